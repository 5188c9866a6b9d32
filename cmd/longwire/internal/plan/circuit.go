package plan

import (
	"iter"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// selection is one thing that a circuit can say about the tags of a port's
// frames: outer and inner VLAN id, the outer one alone with inner 0, or nothing.
type selection struct {
	ifindex      int
	outer, inner uint16
	all          bool // nothing: the whole port
}

// selections yields what a circuit says, once for each of its VLAN ids.
func selections(c dataplane.Circuit) iter.Seq[selection] {
	return func(yield func(selection) bool) {
		if c.VLANs == (dataplane.VLANs{}) {
			yield(selection{ifindex: c.IfIndex, all: true})
			return
		}
		for id := range c.VLANs.Outer.All() {
			if !yield(selection{ifindex: c.IfIndex, outer: id, inner: c.VLANs.Inner}) {
				return
			}
		}
	}
}

// claim takes a circuit for a pseudowire, or returns who has it already. Of the
// circuits of a port no two may say the same about a frame; where one says more
// than another, the one that says most has the frame.
func (r *resolution) claim(circuit dataplane.Circuit, pseudowire string) (owner string, taken bool) {
	for s := range selections(circuit) {
		if owner, taken = r.owners[s]; taken {
			return owner, true
		}
	}
	for s := range selections(circuit) {
		r.owners[s] = pseudowire
	}
	return "", false
}

// circuitOf is the circuit of a pseudowire on its interface.
func circuitOf(pw config.Pseudowire, link Link) dataplane.Circuit {
	return dataplane.Circuit{IfIndex: link.Index, VLANs: pw.VLANs}
}

// closed is the entry of a circuit that sends nothing: its frames end here
// instead of in the host's own stack.
func closed(pw config.Pseudowire, circuit dataplane.Circuit) dataplane.Transmit {
	return dataplane.Transmit{Circuit: circuit, Pseudowire: pw.Name, DropL2CP: pw.DropL2CP}
}

// share makes the whole ports of circuits of VLANs known as such. Where no
// pseudowire has the port, what no circuit takes stays the host's.
func (r *resolution) share() {
	transmits := r.plan.State.Transmit
	shared := map[int]bool{}
	for circuit := range transmits {
		if circuit.VLANs != (dataplane.VLANs{}) {
			shared[circuit.IfIndex] = true
		}
	}
	for ifindex := range shared {
		whole := dataplane.Port(ifindex)
		port, owned := transmits[whole]
		if !owned {
			port = dataplane.Transmit{Circuit: whole, ToHost: true}
		}
		port.Shared = true
		transmits[whole] = port
	}
}

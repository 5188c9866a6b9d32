package plan

import (
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// claim is a circuit that a pseudowire has.
type claim struct {
	vlans dataplane.VLANs
	owner string
}

// claim takes a circuit for a pseudowire, or returns who has it already. Of the
// circuits of a port, those that say as much about a frame's tags must not
// overlap; where one says more than another, the one that says most has the
// frame.
func (r *resolution) claim(circuit dataplane.Circuit, owner string) (other string, taken bool) {
	for _, c := range r.claims[circuit.IfIndex] {
		if overlap(c.vlans, circuit.VLANs) {
			return c.owner, true
		}
	}
	r.claims[circuit.IfIndex] = append(r.claims[circuit.IfIndex], claim{circuit.VLANs, owner})
	return "", false
}

// overlap says whether a frame would belong to two circuits of one port alike.
func overlap(a, b dataplane.VLANs) bool {
	if a == b {
		return true
	}
	if a.Inner != b.Inner {
		return false
	}
	ids := map[uint16]bool{}
	for id := range a.Outer.All() {
		ids[id] = true
	}
	for id := range b.Outer.All() {
		if ids[id] {
			return true
		}
	}
	return false
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
	for ifindex, claims := range r.claims {
		whole := dataplane.Port(ifindex)
		port, owned := transmits[whole]
		switch {
		case !owned:
			port = dataplane.Transmit{Circuit: whole, ToHost: true}
		case len(claims) == 1:
			continue
		}
		port.Shared = true
		transmits[whole] = port
	}
}

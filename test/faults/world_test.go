package faults

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// patience is how long anything may take that takes microseconds on a machine
// with nothing else to do.
const patience = 5 * time.Second

// circuitMTU carries 1500 bytes of payload with three tags.
const circuitMTU = lab.DefaultMTU + 12

// world is a topology with every pseudowire programmed in both PEs. Its hosts
// speak no IPv6 until they are told to, so that nothing is on the wires but what
// a test sends.
type world struct {
	*lab.Topology
	device device
	mtu    int // of the underlay, in bytes of IP
	ends   [2]*end
	// wire sends to PE 1's uplink, whatever the bytes are.
	wire *lab.Port
	// ports send from the customers' hosts, by side and pseudowire.
	ports [2][]*lab.Port
	tries int // frames of untilCrossed
}

// end is the data plane of one PE.
type end struct {
	*tc.Plane
	pe *lab.PE
}

func newWorld(t *testing.T, d device, o lab.Options) *world {
	t.Helper()
	o.Circuits = len(pseudowires)
	o.CircuitMTU = circuitMTU
	w := &world{Topology: lab.NewTopology(t, o), device: d, mtu: lab.UnderlayMTU}
	for side := 1; side <= 2; side++ {
		ce, pe := w.Side(side)
		e := w.open(t, pe)
		for _, p := range pseudowires {
			silence(ce, lab.HostPort(p.number))
			silence(pe.Namespace, lab.Circuit(p.number))
			e.program(t, p, side)
			w.ports[side-1] = append(w.ports[side-1], ce.Port(lab.HostPort(p.number)))
		}
		e.admit(t, side, false)
		uplinks := []string{lab.Uplink}
		if o.SecondUplink && side == 1 {
			uplinks = append(uplinks, lab.Uplink2)
		}
		e.serve(t, uplinks...)
		w.ends[side-1] = e
	}
	w.wire = w.P.Port("pe1")
	return w
}

// silence keeps IPv6 from a device, and with it all that the kernel says of its
// own accord.
func silence(n *lab.Namespace, dev string) { n.Sysctl("net/ipv6/conf/"+dev+"/disable_ipv6", "1") }

// open opens the data plane of a PE.
func (w *world) open(t *testing.T, pe *lab.PE) *end {
	t.Helper()
	e := &end{pe: pe}
	dir := filepath.Join(w.BPFFS(), pe.Role)
	err := pe.Do(func() (err error) {
		e.Plane, err = tc.Open(tc.Options{PinDir: dir, Capacity: 64})
		return err
	})
	if err != nil {
		t.Fatalf("open the data plane of %s: %v", pe.Role, err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// program makes a PE accept and send the packets of a pseudowire.
func (e *end) program(t *testing.T, p pseudowire, side int) {
	t.Helper()
	circuit := e.pe.Index(lab.Circuit(p.number))
	if err := e.PutReceive(p.receive(t, side, circuit)); err != nil {
		t.Fatal(err)
	}
	if err := e.PutTransmit(p.transmit(t, side, circuit)); err != nil {
		t.Fatal(err)
	}
}

// admit makes packets of unknown sessions be counted, and dropped or left to the
// stack.
func (e *end) admit(t *testing.T, side int, drop bool) {
	t.Helper()
	admission := dataplane.Admission{DropUnknown: drop}
	for _, p := range pseudowires {
		admission.Endpoints = append(admission.Endpoints, p.endpoint(side))
	}
	if err := e.SetAdmission(admission); err != nil {
		t.Fatal(err)
	}
}

// serve attaches the programs to every circuit and to the uplinks.
func (e *end) serve(t *testing.T, uplinks ...string) {
	t.Helper()
	var want dataplane.Attachments
	for _, p := range pseudowires {
		want.Circuits = append(want.Circuits, e.pe.Index(lab.Circuit(p.number)))
	}
	for _, dev := range uplinks {
		want.Underlays = append(want.Underlays, e.pe.Index(dev))
	}
	err := e.pe.Do(func() error {
		if _, failed := e.Attach(want); len(failed) > 0 {
			return fmt.Errorf("attach: %v", failed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inject puts a packet on the wire to PE 1's uplink.
func (w *world) inject(t *testing.T, packet []byte) {
	t.Helper()
	packet = append([]byte(nil), packet...)
	copy(packet, w.PE1.MAC(lab.Uplink))
	copy(packet[6:], w.P.MAC("pe1"))
	if err := w.wire.Send(packet); err != nil {
		t.Errorf("send %d bytes to PE1: %v", len(packet), err)
	}
}

// lease makes the router the next hop of a side's packets, for as long as a
// lease runs; or it ends the lease that there is.
func (w *world) lease(t *testing.T, leased bool, side int, p pseudowire) {
	t.Helper()
	e := w.ends[side-1]
	flow := dataplane.Flow{Local: p.source(side), Remote: p.source(3 - side)}
	if !leased {
		if err := e.Revoke(flow); err != nil {
			t.Fatal(err)
		}
		return
	}
	nh := dataplane.NextHop{IfIndex: e.pe.Index(lab.Uplink), MTU: w.mtu}
	copy(nh.Source[:], e.pe.MAC(lab.Uplink))
	copy(nh.Destination[:], w.P.MAC(e.pe.Role))
	if err := e.Lease(flow, nh); err != nil {
		t.Fatal(err)
	}
}

package tc_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// end is the data plane of one PE, without an agent.
type end struct {
	*tc.Plane
	pe  *lab.PE
	dir string
	// leasing is held while a lease is renewed, and while the plane is opened or
	// closed; shut says that it is closed.
	leasing sync.Mutex
	shut    bool
}

// Close closes the plane, and no lease is renewed until it is opened again.
func (e *end) Close() error {
	e.leasing.Lock()
	defer e.leasing.Unlock()
	e.shut = true
	return e.Plane.Close()
}

// openEnd opens a data plane in the PE's namespace.
func openEnd(t *testing.T, top *lab.Topology, pe *lab.PE, mode tc.Mode) *end {
	t.Helper()
	e := &end{pe: pe, dir: filepath.Join(top.BPFFS(), pe.Role)}
	e.reopen(t, tc.Options{Mode: mode})
	return e
}

// reopen opens the data plane again, as the next agent would.
func (e *end) reopen(t *testing.T, o tc.Options) {
	t.Helper()
	o.PinDir, o.Capacity = e.dir, 64
	e.leasing.Lock()
	defer e.leasing.Unlock()
	err := e.pe.Do(func() (err error) {
		e.Plane, err = tc.Open(o)
		return err
	})
	if err != nil {
		t.Fatalf("open the data plane of %s: %v", e.pe.Role, err)
	}
	e.shut = false
	t.Cleanup(func() { _ = e.Close() })
}

// serve attaches the programs to the first circuit and to the uplink.
func (e *end) serve(t *testing.T) {
	t.Helper()
	err := e.pe.Do(func() error {
		want := dataplane.Attachments{Circuits: []int{e.pe.Index(lab.Circuit(0))}, Underlays: []int{e.pe.Index(lab.Uplink)}}
		if _, failed := e.Attach(want); len(failed) > 0 {
			return fmt.Errorf("attach: %v", failed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// carrier is a family and an encapsulation.
type carrier struct{ v6, udp bool }

func (c carrier) String() string {
	return fmt.Sprintf("ipv%d-%s", map[bool]int{false: 4, true: 6}[c.v6], map[bool]string{false: "ip", true: "udp"}[c.udp])
}

var carriers = []carrier{{false, false}, {false, true}, {true, false}, {true, true}}

// join programs one end of a session whose numbers follow from the side.
func (e *end) join(t *testing.T, c carrier, side int) {
	t.Helper()
	near, far := []netip.Addr{lab.PE1Source4, lab.PE2Source4}, []byte{1, 2}
	if c.v6 {
		near = []netip.Addr{lab.PE1Source6, lab.PE2Source6}
	}
	me, other := side-1, 2-side
	cookie := func(i int) dataplane.Cookie {
		k, err := dataplane.NewCookie([]byte{far[i], 2, 3, 4, 5, 6, 7, 8})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ac := e.pe.Index(lab.Circuit(0))
	rx := dataplane.Receive{
		Session: dataplane.SessionID(1000 + me), Pseudowire: "p", Circuit: ac, Local: near[me], Remote: near[other],
		AcceptIP: !c.udp, AcceptUDP: c.udp, LocalPort: 1701, RemotePort: 1701, Cookie: cookie(me),
	}
	tx := dataplane.Transmit{
		Circuit: dataplane.Port(ac), Pseudowire: "p", Session: dataplane.SessionID(1000 + other), Local: near[me], Remote: near[other],
		LocalPort: 1701, RemotePort: 1701, Cookie: cookie(other), TTL: 64, TooBig: dataplane.TooBigDrop,
	}
	if c.udp {
		tx.Encapsulation = dataplane.EncapsulationUDP
	}
	if err := e.PutReceive(rx); err != nil {
		t.Fatal(err)
	}
	if err := e.PutTransmit(tx); err != nil {
		t.Fatal(err)
	}
}

// TestForwardCold joins two hosts in both attach modes over all carriers, with
// empty neighbour tables and nobody who leases a next hop.
func TestForwardCold(t *testing.T) {
	for _, mode := range modes(t) {
		for _, c := range carriers {
			t.Run(fmt.Sprintf("%s-%s", mode, c), func(t *testing.T) {
				t.Parallel()
				top := lab.NewTopology(t, lab.Options{})
				for side, pe := range map[int]*lab.PE{1: top.PE1, 2: top.PE2} {
					e := openEnd(t, top, pe, mode)
					e.join(t, c, side)
					e.serve(t)
				}
				if err := top.CE1.PingAll(lab.Host4(2, 0), 5); err != nil {
					t.Error(err)
				}
				if err := top.CE1.PingAll(lab.Host6(2, 0), 5); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// leased returns the end's flow, and the router as its next hop on a way that
// carries IP packets of so many bytes.
func (e *end) leased(top *lab.Topology, c carrier, side, mtu int) (dataplane.Flow, dataplane.NextHop) {
	near, far := lab.PE1Source4, lab.PE2Source4
	if c.v6 {
		near, far = lab.PE1Source6, lab.PE2Source6
	}
	if side == 2 {
		near, far = far, near
	}
	nh := dataplane.NextHop{IfIndex: e.pe.Index(lab.Uplink), MTU: mtu}
	copy(nh.Source[:], e.pe.MAC(lab.Uplink))
	copy(nh.Destination[:], top.P.MAC(e.pe.Role))
	return dataplane.Flow{Local: near, Remote: far}, nh
}

// lease makes the router the leased next hop of the end's session.
func (e *end) lease(t *testing.T, top *lab.Topology, c carrier, side int) {
	t.Helper()
	e.leaseMTU(t, top, c, side, lab.UnderlayMTU)
}

// leaseMTU is lease on a way that carries IP packets of so many bytes.
func (e *end) leaseMTU(t *testing.T, top *lab.Topology, c carrier, side, mtu int) {
	t.Helper()
	if err := e.Lease(e.leased(top, c, side, mtu)); err != nil {
		t.Fatal(err)
	}
}

// TestTransfer moves bytes by TCP over all carriers, with each way of splitting
// the work of cutting super-frames between the devices and the kernel, and with
// and without a leased next hop.
func TestTransfer(t *testing.T) {
	shapes := map[string]lab.Options{
		"offloads":     {},
		"underlay-off": {NoUnderlayOffloads: true},
		"circuit-off":  {NoCircuitOffloads: true},
	}
	for name, o := range shapes {
		for i := range 2 * len(carriers) {
			c, leased := carriers[i/2], i%2 == 1
			t.Run(fmt.Sprintf("%s-%s-leased=%v", name, c, leased), func(t *testing.T) {
				top := lab.NewTopology(t, o)
				ends := []*end{openEnd(t, top, top.PE1, tc.ModeAuto), openEnd(t, top, top.PE2, tc.ModeAuto)}
				for i, e := range ends {
					e.join(t, c, i+1)
					e.serve(t)
				}
				for _, to := range []netip.Addr{lab.Host4(2, 0), lab.Host6(2, 0)} {
					for i, e := range ends {
						if leased {
							e.lease(t, top, c, i+1)
						}
					}
					took, err := top.Transfer(top.CE1, top.CE2, to, 64<<20, 30*time.Second)
					if err != nil {
						for _, e := range ends {
							all, _ := e.Counters()
							t.Logf("%s: %+v", e.pe.Role, all)
						}
						t.Error(err)
						continue
					}
					t.Logf("64 MiB to %s in %s", to, took.Round(time.Millisecond))
				}
			})
		}
	}
}

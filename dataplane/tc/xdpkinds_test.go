package tc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// TestXDPKinds has circuits of every kind that XDP is forced on: whatever their
// drivers can do, frames cross.
func TestXDPKinds(t *testing.T) {
	for _, kind := range lab.CircuitKinds {
		t.Run(kind.String(), func(t *testing.T) {
			c := carrier{false, true}
			top, ends := pair(t, lab.Options{CircuitKind: kind, NoCircuitOffloads: true}, tc.ModeAuto, c)
			for _, port := range []string{"pe1", "pe2"} {
				top.P.Run("ethtool", "-K", port, "gro", "on")
			}
			for i, e := range ends {
				e.attachXDP(t)
				e.keepLease(t, top, c, i+1, lab.UnderlayMTU)
				// A veth takes frames only if its other end has GRO, or XDP.
				if kind == lab.CircuitTap {
					e.wantXDP(t)
				} else {
					e.wantXDP(t, lab.Circuit(0))
				}
			}
			reachable(t, top, "small frames")
			if err := top.CE1.Ping(lab.Host4(2, 0), 1472, 5*time.Second); err != nil {
				t.Errorf("large frames: %v", err)
			}
			for _, to := range []*lab.Namespace{top.CE1, top.CE2} {
				from, side := top.CE2, 1
				if to == top.CE2 {
					from, side = top.CE1, 2
				}
				if _, err := top.Transfer(from, to, lab.Host4(side, 0), 4<<20, 20*time.Second); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestXDPAsked asks for XDP everywhere. Where the kernel does not tell what drivers
// can do (before 6.3) every interface does without, which is said of each; frames
// cross in any case.
func TestXDPAsked(t *testing.T) {
	c := carrier{true, false}
	top, ends := pair(t, lab.Options{}, tc.ModeAuto, c)
	forXDP(top)
	for i, e := range ends {
		e.attachXDP(t)
		e.keepLease(t, top, c, i+1, lab.UnderlayMTU)
		if _, err := netlink.GenlFamilyGet("netdev"); err == nil {
			e.wantXDP(t)
			continue
		}
		lab.Absent(t, "xdp")
		e.wantXDP(t, lab.Circuit(0), lab.Uplink)
		for _, why := range e.WithoutXDP() {
			if !strings.Contains(why.Error(), "from 6.3") {
				t.Errorf("without XDP because: %v", why)
			}
		}
	}
	reachable(t, top, "with XDP asked for")
}

// TestXDPJumbo serves interfaces whose frames may not fit a page: small ones by
// XDP, and those that do not fit by tc, also after an upgrade.
func TestXDPJumbo(t *testing.T) {
	const mtu, pings = 9000, 20
	c := carrier{true, true}
	top, ends := pair(t, lab.Options{CircuitMTU: mtu, UnderlayMTU: mtu + 200}, tc.ModeAuto, c)
	forXDP(top)
	for i, e := range ends {
		e.keepLease(t, top, c, i+1, mtu+200)
	}
	for _, when := range []string{"at first", "after an upgrade"} {
		for i, e := range ends {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e.reopen(t, tc.Options{})
			e.leaseMTU(t, top, c, i+1, mtu+200)
			if n := e.attachXDP(t); n != 0 {
				t.Errorf("%s: %d repaired when nothing was wrong", when, n)
			}
			e.attachXDP(t)
			e.wantXDP(t)
		}
		encap, decap := ends[0].byXDP(t, func() {
			if err := top.CE1.PingAll(lab.Host4(2, 0), pings); err != nil {
				t.Errorf("%s: small frames: %v", when, err)
			}
		})
		if encap > pings/2 || decap > pings/2 {
			t.Errorf("%s: tc encapsulated %d small frames and decapsulated %d packets", when, encap, decap)
		}
		encap, decap = ends[0].byXDP(t, func() {
			if err := top.CE1.Ping(lab.Host4(2, 0), mtu-28, time.Second); err != nil {
				t.Errorf("%s: large frames: %v", when, err)
			}
		})
		if encap == 0 || decap == 0 {
			t.Errorf("%s: tc encapsulated %d large frames and decapsulated %d packets", when, encap, decap)
		}
	}
	if _, err := top.Transfer(top.CE1, top.CE2, lab.Host4(2, 0), 16<<20, 20*time.Second); err != nil {
		t.Error(err)
	}
}

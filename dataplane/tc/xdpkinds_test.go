package tc_test

import (
	"testing"
	"time"

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
				e.keepLease(t, top, c, i+1)
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

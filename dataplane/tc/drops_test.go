package tc_test

import (
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// awaitDrop polls until a pseudowire has counted a drop for a reason.
func (e *end) awaitDrop(t *testing.T, reason dataplane.Drop) {
	t.Helper()
	var last map[string]dataplane.Counters
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if last, err = e.Counters(); err != nil {
			t.Fatal(err)
		}
		if last["p"].Drops[reason] > 0 {
			return
		}
	}
	t.Errorf("no drop counted as %s: %+v", reason, last)
}

// TestNoRoute counts what the kernel cannot route, on the pseudowire it belongs
// to, and recovers with the route.
func TestNoRoute(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			top, ends := pair(t, lab.Options{}, tc.ModeAuto, c)
			far, family := lab.PE2Source4.String()+"/32", "-4"
			if c.v6 {
				far, family = lab.PE2Source6.String()+"/128", "-6"
			}
			top.PE1.Run("ip", family, "route", "add", "unreachable", far)
			_ = top.CE1.Ping(lab.Host4(2, 0), 56, 300*time.Millisecond)
			ends[0].awaitDrop(t, dataplane.DropNoRoute)
			top.PE1.Run("ip", family, "route", "del", "unreachable", far)
			reachable(t, top, "with the route back")
		})
	}
}

// TestTooBigWithoutLease asks the kernel's route for the MTU when no lease
// tells it.
func TestTooBigWithoutLease(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			top, ends := pair(t, lab.Options{UnderlayMTU: 1400}, tc.ModeAuto, c)
			reachable(t, top, "small frames")
			if err := top.CE1.Ping(lab.Host4(2, 0), 1472, 300*time.Millisecond); err == nil {
				t.Error("a frame of 1514 bytes crossed an underlay of 1400")
			}
			ends[0].awaitDrop(t, dataplane.DropTooBig)
		})
	}
}

package link

import (
	"errors"
	"testing"

	"longwire/dataplane"
)

// drainChanges takes a signal that may wait.
func (w *world) drainChanges() {
	select {
	case <-w.resolver.Changes():
	default:
	}
}

// awaitChange waits until a change is told.
func (w *world) awaitChange(what string) {
	w.t.Helper()
	w.lab.Poll(patience, what, func() error {
		select {
		case <-w.resolver.Changes():
			return nil
		default:
			return errors.New("no change is told")
		}
	})
}

// TestWays checks that the way is known whatever becomes of the lease, and that
// every change of it is told.
func TestWays(t *testing.T) {
	w := newWorld(t)
	w.pe.Run("ip", "tuntap", "add", "tun0", "mode", "tun")
	w.pe.Up("tun0")
	w.r2.Sysctl("net/ipv4/conf/eth0/arp_ignore", "8") // a router that never answers
	w.start(flow4)
	one, two, tun := w.pe.Index("eth1"), w.pe.Index("eth2"), w.pe.Index("tun0")
	w.awaitWay("by r1", flow4, dataplane.NextHop{IfIndex: one, MTU: 1500})
	w.awaitLease("by r1", flow4, w.hop("eth1", w.r1, 1500))
	steps := []struct {
		name string
		argv []string
		want dataplane.NextHop
	}{
		{"a neighbour that does not answer", []string{"route", "replace", "192.0.2.0/24", "via", "10.2.0.254"}, dataplane.NextHop{IfIndex: two, MTU: 1500}},
		{"a smaller link", []string{"link", "set", "eth2", "mtu", "1400"}, dataplane.NextHop{IfIndex: two, MTU: 1400}},
		{"a smaller route", []string{"route", "replace", "192.0.2.0/24", "via", "10.2.0.254", "mtu", "1300"}, dataplane.NextHop{IfIndex: two, MTU: 1300}},
		{"no Ethernet", []string{"route", "replace", "192.0.2.0/24", "dev", "tun0"}, dataplane.NextHop{IfIndex: tun, MTU: 1500}},
		{"no way", []string{"route", "replace", "blackhole", "192.0.2.0/24"}, dataplane.NextHop{}},
		{"by r1 again", []string{"route", "replace", "192.0.2.0/24", "via", "10.1.0.254"}, dataplane.NextHop{IfIndex: one, MTU: 1500}},
	}
	for _, step := range steps {
		w.drainChanges()
		w.pe.Run(append([]string{"ip"}, step.argv...)...)
		w.awaitChange(step.name)
		w.awaitWay(step.name, flow4, step.want)
	}
	w.drainChanges()
	w.resolver.Want(nil)
	w.awaitChange("not wanted any more")
	w.awaitWay("not wanted any more", flow4, dataplane.NextHop{})
}

// TestWaysAtRest checks that nothing is told when nothing changes.
func TestWaysAtRest(t *testing.T) {
	w := newWorld(t)
	w.start(flow4, flow6)
	for name, flow := range families {
		w.awaitLease(name, flow, w.hop("eth1", w.r1, 1500))
	}
	w.drainChanges()
	w.plane.Reset()
	w.lab.Poll(patience, "every route is read again", func() error {
		if len(w.plane.Calls()) < 2*(turns+1) {
			return errors.New("not enough rounds yet")
		}
		return nil
	})
	select {
	case <-w.resolver.Changes():
		t.Errorf("a change is told: %v", w.resolver.Ways())
	default:
	}
}

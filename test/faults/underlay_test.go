package faults

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/test/lab"
)

// followTime is how long the kernel may take to notice by itself that a neighbour
// no longer answers, with the timers of quickNeighbours, and a lease to end.
const followTime = 15 * time.Second

// gateways are the router's addresses on the links of PE 1's two uplinks.
var gateways = map[bool][2]string{
	false: {"10.0.1.254", "10.0.4.254"},
	true:  {"fd00:0:0:1::fe", "fd00:0:0:4::fe"},
}

// everything is the route to all of a family.
var everything = map[bool]string{false: "0.0.0.0/0", true: "::/0"}

// TestUnderlay changes the underlay under PE 1 with nobody there who would tell
// the programs.
func TestUnderlay(t *testing.T) {
	for _, d := range []device{{}, {underlayOff: true}, {circuit: lab.CircuitTap}, {circuit: lab.CircuitBridgePort}} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			o := d.options()
			o.SecondUplink = true
			w := newWorld(t, d, o)
			quickNeighbours(w.PE1.Namespace)
			for _, row := range []struct {
				name string
				run  func(*testing.T, *world, pseudowire)
			}{{"neighbour unresolved", unresolved}, {"route changed", newRoute}, {"two equal routes", equalRoutes}} {
				for _, p := range pseudowires {
					t.Run(row.name+"/"+p.String(), func(t *testing.T) { row.run(t, w, p) })
				}
			}
			t.Run("next hop's MAC changed", func(t *testing.T) { newAddress(t, w) })
			t.Run("next hop's MAC changed under a lease", func(t *testing.T) { newAddressLeased(t, w) })
		})
	}
}

// quickNeighbours shortens the timers by which the kernel notices that a
// neighbour no longer answers, from half a minute to a second or two.
func quickNeighbours(n *lab.Namespace) {
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, dev := range []string{lab.Uplink, lab.Uplink2} {
			dir := fmt.Sprintf("net/%s/neigh/%s/", family, dev)
			n.Sysctl(dir+"base_reachable_time_ms", "1000")
			n.Sysctl(dir+"delay_first_probe_time", "1")
			n.Sysctl(dir+"retrans_time_ms", "200")
			n.Sysctl(dir+"ucast_solicit", "1")
		}
	}
}

// unresolved wants the very first frame to cross when no neighbour is known, and
// all that come while the neighbour is asked for.
func unresolved(t *testing.T, w *world, p pseudowire) {
	seen := w.watch(t)
	for _, count := range []int{1, 40} {
		var burst [][]byte
		for i := range count {
			burst = append(burst, innerFrame(4000+100*p.number+i, 1000))
		}
		w.PE1.FlushNeighbours(lab.Uplink)
		w.cross(t, seen, 1, p, burst)
	}
}

// arrives sends frames until one crosses, and says how long that took. Nothing
// may be counted as dropped meanwhile.
func (w *world) arrives(t *testing.T, p pseudowire) time.Duration {
	t.Helper()
	before, begin := w.count(t, 1), time.Now()
	w.untilCrossed(t, p, followTime)
	took := time.Since(begin)
	for name, c := range w.count(t, 1).since(before) {
		if c.Drops != nil {
			t.Errorf("PE1 dropped of %q: %v", name, c.Drops)
		}
	}
	return took
}

// otherMAC gives the router's port an address that it did not have.
func (w *world) otherMAC() {
	mac := append(net.HardwareAddr(nil), w.P.MAC("pe1")...)
	mac[0], mac[5] = 0x02, mac[5]+1
	w.P.SetMAC("pe1", mac)
}

// newAddress gives the next hop another address without a word.
func newAddress(t *testing.T, w *world) {
	seen := w.watch(t)
	for _, p := range pseudowires {
		w.arrives(t, p)
	}
	w.otherMAC()
	for _, p := range pseudowires {
		t.Logf("%v followed after %v", p, w.arrives(t, p).Round(time.Millisecond))
		w.cross(t, seen, 1, p, [][]byte{innerFrame(4500+p.number, 300)})
	}
}

// newAddressLeased does so while a lease that nobody renews names the old
// address: that is believed until it ends.
func newAddressLeased(t *testing.T, w *world) {
	seen := w.watch(t)
	begin := time.Now()
	for _, p := range pseudowires {
		w.lease(t, true, 1, p)
		w.cross(t, seen, 1, p, [][]byte{innerFrame(4600+p.number, 300)})
	}
	w.otherMAC()
	w.PE1.FlushNeighbours(lab.Uplink)
	for _, p := range pseudowires {
		w.arrives(t, p)
		// The clock of a lease is coarse.
		if took := time.Since(begin); took < dataplane.LeaseDuration-100*time.Millisecond || took > dataplane.LeaseDuration+2*time.Second {
			t.Errorf("%v followed %v after the first lease was given, want %v", p, took, dataplane.LeaseDuration)
		}
		w.cross(t, seen, 1, p, [][]byte{innerFrame(4700+p.number, 300)})
	}
}

// newRoute moves the route to the second uplink and back. The first frame after
// each change goes the new way.
func newRoute(t *testing.T, w *world, p pseudowire) {
	seen := w.watch(t)
	paths := w.watchPaths(t, p)
	for number, uplink := range []int{0, 1, 0} {
		w.PE1.Route(everything[p.v6], gateways[p.v6][uplink])
		frame := innerFrame(5000+10*p.number+number, 300)
		w.cross(t, seen, 1, p, [][]byte{frame})
		if used := paths.of(t, frame); used != uplink {
			t.Errorf("frame %d went by uplink %d, want %d", number, used, uplink)
		}
	}
}

// paths sees the packets of a pseudowire at the router, by the uplink that they
// left PE 1 by.
type paths struct {
	tunnel lab.Tunnel
	ports  [2]*lab.Sniffer
}

func (w *world) watchPaths(t *testing.T, p pseudowire) *paths {
	s := &paths{tunnel: p.tunnel(1), ports: [2]*lab.Sniffer{w.P.Sniff("pe1"), w.P.Sniff("pe1b")}}
	t.Cleanup(func() {
		for _, port := range s.ports {
			port.Close()
		}
	})
	return s
}

// of waits for the packet of a frame and returns which uplink it came by.
func (s *paths) of(t *testing.T, frame []byte) int {
	t.Helper()
	var count [2]int
	err := lab.Await(patience, func() error {
		count = [2]int{}
		for i, port := range s.ports {
			for _, packet := range port.Frames() {
				if inner, err := s.tunnel.Inner(packet); err == nil && bytes.Equal(inner, frame) {
					count[i]++
				}
			}
		}
		if count[0]+count[1] == 0 {
			return errors.New("the packet came by neither uplink")
		}
		return nil
	})
	if err != nil || count[0]+count[1] > 1 {
		t.Errorf("packets by uplink: %v (%v), want one", count, err)
	}
	return min(count[1], 1)
}

// losses take the link of an uplink away, by its carrier and by hand, and give it
// back.
var losses = []func(w *world, uplink int) (restore func()){
	func(w *world, uplink int) func() {
		port := [...]string{"pe1", "pe1b"}[uplink]
		w.P.Down(port)
		return func() { w.P.Up(port) }
	},
	func(w *world, uplink int) func() {
		dev := [...]string{lab.Uplink, lab.Uplink2}[uplink]
		w.PE1.Down(dev)
		return func() { w.PE1.Up(dev) }
	},
}

// keepAddresses makes the kernel of PE 1 forget routes whose link has no carrier,
// and devices that come up again have the addresses that they had.
func (w *world) keepAddresses() {
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, dev := range []string{"all", lab.Uplink, lab.Uplink2} {
			w.PE1.Sysctl("net/"+family+"/conf/"+dev+"/ignore_routes_with_linkdown", "1")
		}
	}
	w.PE1.Sysctl("net/ipv6/conf/all/keep_addr_on_down", "1")
	w.P.Sysctl("net/ipv6/conf/all/keep_addr_on_down", "1")
}

// balance gives PE 1 two equal routes to all of the pseudowire's family.
func (w *world) balance(p pseudowire) {
	way := gateways[p.v6]
	w.PE1.Run("ip", "route", "replace", everything[p.v6], "nexthop", "via", way[0], "nexthop", "via", way[1])
}

// gatewayAnswers waits until an uplink carries packets again.
func (w *world) gatewayAnswers(t *testing.T, p pseudowire, uplink int) {
	t.Helper()
	if err := w.PE1.Ping(netip.MustParseAddr(gateways[p.v6][uplink]), 56, followTime); err != nil {
		t.Fatal(err)
	}
}

// restoreRoutes makes the first uplink the only way again. With a device go the
// routes of either family that have no other.
func (w *world) restoreRoutes() {
	for v6, way := range gateways {
		w.PE1.Run("ip", "route", "replace", everything[v6], "via", way[0])
	}
}

// equalRoutes balances over both uplinks, loses the one in use and goes on by the
// other.
func equalRoutes(t *testing.T, w *world, p pseudowire) {
	w.keepAddresses()
	w.balance(p)
	seen, paths := w.watch(t), w.watchPaths(t, p)
	number := 6000 + 100*p.number
	send := func() (uplink int) {
		number++
		frame := innerFrame(number, 300)
		w.cross(t, seen, 1, p, [][]byte{frame})
		return paths.of(t, frame)
	}
	for _, lose := range losses {
		used := send()
		restore := lose(w, used)
		w.arrives(t, p)
		if now := send(); now == used {
			t.Errorf("still by uplink %d, which was lost", now)
		}
		restore()
		w.balance(p)
		w.gatewayAnswers(t, p, used)
	}
	w.restoreRoutes()
}

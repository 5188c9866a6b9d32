package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var families = map[string]dataplane.Flow{"IPv4": flow4, "IPv6": flow6}

func TestColdNeighbour(t *testing.T) {
	w := newWorld(t)
	w.renew = never // not only in the next round
	w.start(flow4, flow6)
	for name, flow := range families {
		w.awaitLease("resolve a cold neighbour over "+name, flow, w.hop("eth1", w.r1, 1500))
	}
	want := map[dataplane.Flow]dataplane.NextHop{flow4: w.hop("eth1", w.r1, 1500), flow6: w.hop("eth1", w.r1, 1500)}
	w.lab.Poll(patience, "Resolved shows the leases", func() error {
		if d := cmp.Diff(want, w.resolver.Resolved()); d != "" {
			return errors.New(d)
		}
		return nil
	})
}

func TestOnLinkRemote(t *testing.T) {
	w := newWorld(t)
	onLink := dataplane.Flow{Local: flow4.Local, Remote: netip.MustParseAddr("10.1.0.254")}
	w.start(onLink)
	w.awaitLease("resolve a far end on the link", onLink, w.hop("eth1", w.r1, 1500))
}

func TestLeasesAreRenewedAndEnd(t *testing.T) {
	w := newWorld(t)
	w.start(flow4)
	want := w.hop("eth1", w.r1, 1500)
	w.awaitLease("first lease", flow4, want)
	w.plane.Reset()
	begin := time.Now()
	w.lab.Poll(patience, "three renewals", func() error {
		if _, ok := w.plane.Leases()[flow4]; !ok {
			t.Error("the lease ran out")
		}
		if n := len(w.plane.Calls()); n < 3 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("three renewals took %v: that is too often", took)
	}
	for _, c := range w.plane.Calls() {
		if c.Op != fake.OpLease || c.NextHop != want {
			t.Errorf("undisturbed, and yet: %v", c)
		}
	}
	if err := w.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if len(w.plane.Leases()) != 0 || len(w.resolver.Resolved()) != 0 {
		t.Errorf("leases outlive Run: %v", w.plane.Leases())
	}
}

func TestWantChanges(t *testing.T) {
	w := newWorld(t)
	w.start(flow4)
	w.awaitLease("first flow", flow4, w.hop("eth1", w.r1, 1500))
	w.resolver.Want([]dataplane.Flow{flow6, flow6})
	w.awaitLease("second flow", flow6, w.hop("eth1", w.r1, 1500))
	w.awaitNoLease("first flow is not wanted", flow4)
	w.resolver.Want(nil)
	w.awaitNoLease("nothing is wanted", flow6)
}

// TestLeftoverLease checks that the lease of an agent that died is taken back
// when there is no way any more.
func TestLeftoverLease(t *testing.T) {
	w := newWorld(t)
	w.pe.DeleteRoute("192.0.2.0/24")
	if err := w.plane.Lease(flow4, dataplane.NextHop{IfIndex: 99}); err != nil {
		t.Fatal(err)
	}
	w.start(flow4)
	w.lab.Poll(patience, "revoke", func() error {
		for _, c := range w.plane.Calls() {
			if c.Op == fake.OpRevoke && c.Flow == flow4 {
				return nil
			}
		}
		return fmt.Errorf("calls: %v", w.plane.Calls())
	})
}

func TestChangedMAC(t *testing.T) {
	for _, announced := range []bool{true, false} {
		for name, flow := range families {
			t.Run(fmt.Sprintf("%s announced=%v", name, announced), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if announced {
					w.r1.Sysctl("net/ipv4/conf/eth0/arp_notify", "1")
					w.r1.Sysctl("net/ipv6/conf/eth0/ndisc_notify", "1")
				}
				w.start(flow)
				w.awaitLease("old MAC address", flow, w.hop("eth1", w.r1, 1500))
				w.plane.Reset()
				w.r1.SetMAC("eth0", net.HardwareAddr{2, 0, 0, 0, 0xbe, 0xef})
				want := w.hop("eth1", w.r1, 1500)
				w.awaitLease("new MAC address", flow, want)
				w.checkRevokedBefore(flow, want)
			})
		}
	}
}

func TestOwnMACChanges(t *testing.T) {
	w := newWorld(t)
	w.renew = never // the kernel forgets its neighbours, and is made to ask at once
	w.start(flow4)
	w.awaitLease("old MAC address", flow4, w.hop("eth1", w.r1, 1500))
	w.plane.Reset()
	w.pe.SetMAC("eth1", net.HardwareAddr{2, 0, 0, 0, 0xca, 0xfe})
	want := w.hop("eth1", w.r1, 1500)
	w.awaitLease("new MAC address", flow4, want)
	w.checkRevokedBefore(flow4, want)
}

func TestRouteChanges(t *testing.T) {
	w := newWorld(t)
	w.start(flow4, flow6)
	for name, flow := range families {
		w.awaitLease(name+" by r1", flow, w.hop("eth1", w.r1, 1500))
	}

	w.plane.Reset()
	w.pe.Route("192.0.2.0/24", "10.2.0.254")
	w.pe.Route("2001:db8::/32", "fd02::fe")
	for name, flow := range families {
		w.awaitLease(name+" by r2", flow, w.hop("eth2", w.r2, 1500))
		w.checkRevokedBefore(flow, w.hop("eth2", w.r2, 1500))
	}

	w.pe.Run("ip", "route", "add", "192.0.2.9/32", "via", "10.1.0.254")
	w.awaitLease("a longer prefix by r1", flow4, w.hop("eth1", w.r1, 1500))
	w.pe.DeleteRoute("192.0.2.9/32")
	w.awaitLease("without the longer prefix by r2", flow4, w.hop("eth2", w.r2, 1500))

	w.pe.DeleteRoute("192.0.2.0/24")
	w.awaitNoLease("no route", flow4)
	w.pe.Route("0.0.0.0/0", "10.1.0.254")
	w.awaitLease("a default route by r1", flow4, w.hop("eth1", w.r1, 1500))
}

func TestGatewayChangesOnOneLink(t *testing.T) {
	w := newWorld(t)
	w.r1.Address("eth0", "10.1.0.253/24")
	w.pe.Run("ip", "neigh", "replace", "10.1.0.253", "lladdr", "02:00:00:00:02:53", "dev", "eth1", "nud", "permanent")
	w.start(flow4)
	want := w.hop("eth1", w.r1, 1500)
	w.awaitLease("first gateway", flow4, want)
	w.pe.Route("192.0.2.0/24", "10.1.0.253")
	want.Destination = [6]byte{2, 0, 0, 0, 2, 0x53}
	w.awaitLease("second gateway, a permanent entry", flow4, want)
	if got := w.pe.Run("ip", "neigh", "show", "10.1.0.253"); !strings.Contains(got, "PERMANENT") {
		t.Errorf("the permanent entry is now %q", got)
	}
}

// TestNoLease lists the ways that only the kernel can go.
func TestNoLease(t *testing.T) {
	w := newWorld(t)
	w.start(flow4)
	usual := w.hop("eth1", w.r1, 1500)
	w.pe.Run("ip", "tuntap", "add", "tun0", "mode", "tun")
	w.pe.Up("tun0")
	for _, route := range [][]string{
		{"blackhole", "192.0.2.9/32"},
		{"unreachable", "192.0.2.9/32"},
		{"prohibit", "192.0.2.9/32"},
		{"local", "192.0.2.9/32", "dev", "lo"},
		{"192.0.2.9/32", "dev", "tun0"},
		{"192.0.2.9/32", "encap", "ip6", "id", "1", "dst", "fd01::fe", "via", "10.1.0.254", "dev", "eth1"},
	} {
		w.awaitLease("the usual way", flow4, usual)
		w.pe.Run(append([]string{"ip", "route", "add"}, route...)...)
		w.awaitNoLease(route[0], flow4)
		w.pe.Run(append([]string{"ip", "route", "del"}, route...)...)
	}
	w.awaitLease("the usual way", flow4, usual)
}

func TestLinkDownAndUp(t *testing.T) {
	tests := []struct {
		name     string
		down, up func(w *world)
	}{
		{"admin",
			func(w *world) { w.pe.Down("eth1") },
			func(w *world) {
				w.pe.Up("eth1")
				w.pe.Route("192.0.2.0/24", "10.1.0.254") // went with the link
			}},
		{"carrier", func(w *world) { w.r1.Down("eth0") }, func(w *world) { w.r1.Up("eth0") }},
		// The kernel hides the route and shows it again without a word.
		{"carrier, and the route ignored without",
			func(w *world) {
				w.pe.Sysctl("net/ipv4/conf/all/ignore_routes_with_linkdown", "1")
				w.r1.Down("eth0")
			},
			func(w *world) { w.r1.Up("eth0") }},
		{"carrier, with a permanent neighbour",
			func(w *world) {
				w.pe.Run("ip", "neigh", "replace", "10.1.0.254", "lladdr", w.r1.MAC("eth0").String(), "dev", "eth1", "nud", "permanent")
				w.r1.Down("eth0")
			},
			func(w *world) { w.r1.Up("eth0") }},
		{"neighbour lost and the router deaf for a while",
			func(w *world) {
				w.r1.Sysctl("net/ipv4/conf/eth0/arp_ignore", "8")
				w.pe.FlushNeighbours("eth1")
				w.lab.Poll(patience, "the kernel gives up", func() error {
					if got := w.pe.Run("ip", "neigh", "show", "10.1.0.254"); !strings.Contains(got, "FAILED") {
						return errors.New(got)
					}
					return nil
				})
			},
			func(w *world) { w.r1.Sysctl("net/ipv4/conf/eth0/arp_ignore", "0") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(flow4)
			w.awaitLease("before", flow4, w.hop("eth1", w.r1, 1500))
			tt.down(w)
			w.awaitNoLease("down", flow4)
			tt.up(w)
			w.awaitLease("up again", flow4, w.hop("eth1", w.r1, 1500))
		})
	}
}

func TestLinkIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.start(flow4)
	old := w.hop("eth1", w.r1, 1500)
	w.awaitLease("before", flow4, old)
	w.pe.DeleteLink("eth1")
	w.awaitNoLease("deleted", flow4)
	w.lab.Veth(w.pe, "eth1", w.r1, "eth0", 1500)
	w.pe.Address("eth1", "10.1.0.1/24")
	w.r1.Address("eth0", "10.1.0.254/24")
	w.pe.Route("192.0.2.0/24", "10.1.0.254")
	now := w.hop("eth1", w.r1, 1500)
	if now.IfIndex == old.IfIndex {
		t.Fatalf("the new link has the index of the old one, %d", now.IfIndex)
	}
	w.awaitLease("a new link of that name", flow4, now)
}

func TestMTU(t *testing.T) {
	w := newWorld(t)
	w.start(flow4, flow6)
	w.awaitLease("link MTU", flow4, w.hop("eth1", w.r1, 1500))
	w.pe.MTU("eth1", 1400)
	w.awaitLease("smaller link MTU", flow4, w.hop("eth1", w.r1, 1400))
	w.awaitLease("smaller link MTU, IPv6", flow6, w.hop("eth1", w.r1, 1400))
	w.pe.Run("ip", "route", "replace", "192.0.2.0/24", "via", "10.1.0.254", "mtu", "1300")
	w.pe.Run("ip", "-6", "route", "replace", "2001:db8::/32", "via", "fd01::fe", "mtu", "1320")
	w.awaitLease("route MTU", flow4, w.hop("eth1", w.r1, 1300))
	w.awaitLease("route MTU, IPv6", flow6, w.hop("eth1", w.r1, 1320))
	w.pe.Run("ip", "route", "replace", "192.0.2.0/24", "via", "10.1.0.254", "mtu", "9000")
	w.awaitLease("route MTU above the link's", flow4, w.hop("eth1", w.r1, 1400))
}

// TestGatewayOfTheOtherFamily covers RFC 8950 routes: IPv4 by an IPv6 neighbour.
func TestGatewayOfTheOtherFamily(t *testing.T) {
	w := newWorld(t)
	w.pe.Run("ip", "route", "replace", "192.0.2.0/24", "via", "inet6", "fd02::fe", "dev", "eth2")
	w.start(flow4)
	w.awaitLease("IPv6 gateway", flow4, w.hop("eth2", w.r2, 1500))
}

func TestMultipathAndNextHopObjects(t *testing.T) {
	w := newWorld(t)
	w.pe.Run("ip", "nexthop", "add", "id", "7", "via", "10.1.0.254", "dev", "eth1")
	w.pe.Run("ip", "route", "replace", "192.0.2.0/24", "nhid", "7")
	w.start(flow4)
	w.awaitLease("next hop object", flow4, w.hop("eth1", w.r1, 1500))
	w.pe.Run("ip", "nexthop", "replace", "id", "7", "via", "10.2.0.254", "dev", "eth2")
	w.awaitLease("another next hop under that id", flow4, w.hop("eth2", w.r2, 1500))

	w.pe.Run("ip", "route", "replace", "192.0.2.0/24", "nexthop", "via", "10.1.0.254", "nexthop", "via", "10.2.0.254")
	one, two := w.hop("eth1", w.r1, 1500), w.hop("eth2", w.r2, 1500)
	w.lab.Poll(patience, "one of two next hops", func() error {
		if got := w.plane.Leases()[flow4]; got != one && got != two {
			return fmt.Errorf("lease = %+v", got)
		}
		return nil
	})
	w.pe.Down("eth1") // its next hop dies with it
	w.awaitLease("the other next hop", flow4, two)
}

func TestRulesAreFollowed(t *testing.T) {
	w := newWorld(t)
	w.pe.Run("ip", "route", "add", "default", "via", "10.2.0.254", "table", "77")
	w.start(flow4)
	w.awaitLease("main table", flow4, w.hop("eth1", w.r1, 1500))
	w.pe.Run("ip", "rule", "add", "from", "10.1.0.1", "lookup", "77")
	w.awaitLease("by the rule", flow4, w.hop("eth2", w.r2, 1500))
}

func TestOwnAddressComesLater(t *testing.T) {
	w := newWorld(t)
	late := dataplane.Flow{Local: netip.MustParseAddr("198.51.100.1"), Remote: flow4.Remote}
	w.start(late)
	w.awaitNoLease("the source is not ours", late)
	w.pe.Address("lo", "198.51.100.1/32")
	w.awaitLease("the source is ours", late, w.hop("eth1", w.r1, 1500))
}

func TestLeaseFails(t *testing.T) {
	w := newWorld(t)
	w.plane.Fail(fake.On(fake.OpLease, syscall.EPERM))
	w.start(flow4)
	w.lab.Poll(patience, "two attempts", func() error {
		if n := len(w.plane.Calls()); n < 2 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	if got := w.resolver.Resolved(); len(got) != 0 {
		t.Errorf("shown as leased: %v", got)
	}
	w.plane.Heal()
	w.awaitLease("healed", flow4, w.hop("eth1", w.r1, 1500))
}

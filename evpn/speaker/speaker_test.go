package speaker_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/evpn"
	"longwire/evpn/speaker"
)

// pair starts two PEs that are neighbours of each other and each announce one
// service: 101 by the first, 102 by the second.
func pair(t *testing.T, change ...func(a, b *speaker.Neighbor, ca, cb *speaker.Config)) (*pe, *pe) {
	t.Helper()
	nodes := newLAN(t, 2)
	var ca, cb speaker.Config
	toB := speaker.Neighbor{Address: nodes[1].four, ASN: 65000}
	toA := speaker.Neighbor{Address: nodes[0].four, ASN: 65000, Passive: true}
	for _, f := range change {
		f(&toB, &toA, &ca, &cb)
	}
	ca.Neighbors, cb.Neighbors = []speaker.Neighbor{toB}, []speaker.Neighbor{toA}
	a := startPE(t, nodes[0], ca, nodes[0].advertisement(101))
	b := startPE(t, nodes[1], cb, nodes[1].advertisement(102))
	return a, b
}

// exchanged waits until each PE of a pair has the other's route.
func exchanged(t *testing.T, a, b *pe) {
	t.Helper()
	for _, test := range []struct {
		at, from *pe
		service  evpn.ServiceID
	}{{b, a, 101}, {a, b, 102}} {
		r := test.at.waitRoute(t, test.service, fresh)
		want := test.from.node.advertisement(test.service)
		if len(r.Tunnels) != 1 || r.Tunnels[0].Session != want.Session || r.Tunnels[0].Cookie != want.Cookie ||
			r.Tunnels[0].Endpoint != want.Endpoint || r.L2 != want.L2 || !r.HasL2 ||
			len(r.RouteTargets) != 1 || r.RouteTargets[0] != want.RouteTargets[0] {
			t.Errorf("the route of service %d came as %+v", test.service, r.Endpoint)
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(a, b *speaker.Neighbor, ca, cb *speaker.Config){
		"iBGP":               func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {},
		"iBGP, both connect": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { b.Passive = false },
		"iBGP over IPv6":     func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.Address, b.Address = six(2), six(1) },
		"eBGP":               func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.ASN, cb.ASN = 65001, 65001 },
		"eBGP, 4-octet AS":   func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.ASN, cb.ASN = 4200000001, 4200000001 },
		"eBGP over IPv6": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.Address, b.Address, a.ASN, cb.ASN = six(2), six(1), 65001, 65001
		},
		"eBGP multihop": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.ASN, cb.ASN, a.Multihop, b.Multihop = 65001, 65001, 3, 3
		},
		"MD5": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.Password, b.Password = "s3cret", "s3cret" },
		"MD5 over IPv6": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.Address, b.Address, a.Password, b.Password = six(2), six(1), "s3cret", "s3cret"
		},
		"TTL security": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.TTLSecurity, b.TTLSecurity = 1, 1 },
		"TTL security on IPv6": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.Address, b.Address, a.TTLSecurity, b.TTLSecurity = six(2), six(1), 1, 2
		},
		"another port": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.Port, cb.ListenPort, ca.ListenPort = 1790, 1790, -1
		},
		"local addresses": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.LocalAddress, b.LocalAddress = b.Address, a.Address
			ca.ListenAddresses, cb.ListenAddresses = []netip.Addr{b.Address}, []netip.Addr{a.Address}
		},
		"hold time": func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.HoldTime, b.HoldTime = 3*time.Second, 30*time.Second
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, change)
			exchanged(t, a, b)
			if r := b.waitRoute(t, 101, fresh); r.NextHop != a.node.four {
				t.Errorf("the next hop is %v, want the advertised %v", r.NextHop, a.node.four)
			}
			for _, p := range []*pe{a, b} {
				p.waitEvent(t, 0, speaker.EndOfRIB)
				got := p.Neighbors()[0]
				if got.State != "established" || got.Received != 1 || got.Advertised != 1 || got.Flaps != 0 || got.Since.IsZero() {
					t.Errorf("neighbor of %v: %+v", p.node.four, got)
				}
			}
		})
	}
}

func six(n byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: n})
}

// A changed advertisement replaces the route in place, a removed one is
// withdrawn, and others are not touched.
func TestReplaceAndWithdraw(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	b.waitEvent(t, 0, speaker.EndOfRIB) // it may come behind the routes
	a.Announce([]evpn.Advertisement{a.node.advertisement(101), a.node.advertisement(103)})
	b.waitRoute(t, 103, fresh)
	mark := b.mark()
	changed := a.node.advertisement(101, func(ad *evpn.Advertisement) { ad.Session, ad.Cookie = 7777, "abcd" })
	a.Announce([]evpn.Advertisement{changed, a.node.advertisement(103)})
	b.waitRoute(t, 101, func(r evpn.Route) string {
		if r.Tunnels[0].Session != 7777 || r.Tunnels[0].Cookie != "abcd" {
			return fmt.Sprintf("tunnel %+v", r.Tunnels[0])
		}
		return fresh(r)
	})
	if events := b.since(mark); len(events) != 1 || events[0].Kind != speaker.RouteUpdate {
		t.Errorf("a changed session id came as %v", events)
	}
	mark = b.mark()
	a.Announce([]evpn.Advertisement{a.node.advertisement(103)})
	b.waitNoRoute(t, 101)
	if events := b.since(mark); len(events) != 1 || events[0].Kind != speaker.RouteWithdraw {
		t.Errorf("a withdrawal came as %v", events)
	}
	mark = b.mark()
	a.Announce([]evpn.Advertisement{a.node.advertisement(103)}) // the same
	a.Announce(nil)
	b.waitNoRoute(t, 103)
	if n := b.count(mark, speaker.RouteUpdate); n != 0 {
		t.Errorf("%d updates for a route that did not change", n)
	}
}

// A route that is withdrawn within a second of its announcement goes too.
func TestQuickWithdraw(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	for i := range 5 {
		service := evpn.ServiceID(200 + i)
		a.Announce([]evpn.Advertisement{a.node.advertisement(101), a.node.advertisement(service)})
		b.waitRoute(t, service, fresh)
		a.Announce([]evpn.Advertisement{a.node.advertisement(101)})
		b.waitNoRoute(t, service)
	}
}

// What a receiver would refuse is left out, logged once, and harms no other.
func TestUnusableAdvertisement(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	bad := a.node.advertisement(104, func(ad *evpn.Advertisement) { ad.Cookie = "abc" })
	for range 3 {
		a.Announce([]evpn.Advertisement{bad, a.node.advertisement(101), a.node.advertisement(105), a.node.advertisement(105)})
		b.waitRoute(t, 105, fresh)
		a.Announce([]evpn.Advertisement{bad, a.node.advertisement(101)})
		b.waitNoRoute(t, 105)
	}
	exchanged(t, a, b)
	for _, text := range []string{"bad_cookie", "advertised twice"} {
		if n := strings.Count(a.logs.String(), text); n != 1 {
			t.Errorf("%q is logged %d times", text, n)
		}
	}
	b.waitNoRoute(t, 104)
}

// Two PEs that know each other only through a reflector.
func TestReflector(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		change func(n *speaker.Neighbor)
	}{
		"IPv4":          {[]string{"-client", "192.0.2.1", "-client", "192.0.2.2"}, func(n *speaker.Neighbor) {}},
		"IPv6":          {[]string{"-client", "2001:db8::1", "-client", "2001:db8::2"}, func(n *speaker.Neighbor) { n.Address = six(3) }},
		"MD5":           {[]string{"-client", "192.0.2.1", "-client", "192.0.2.2", "-password", "k"}, func(n *speaker.Neighbor) { n.Password = "k" }},
		"it connects":   {[]string{"-client", "192.0.2.1", "-client", "192.0.2.2", "-active"}, func(n *speaker.Neighbor) { n.Passive = true }},
		"eBGP transit":  {[]string{"-client", "192.0.2.1@65000", "-client", "192.0.2.2@65001", "-asn", "65100"}, func(n *speaker.Neighbor) { n.ASN, n.Multihop = 65100, 4 }},
		"without GR":    {[]string{"-client", "192.0.2.1", "-client", "192.0.2.2", "-restart-time", "0"}, func(n *speaker.Neighbor) {}},
		"own addresses": {[]string{"-client", "192.0.2.1", "-client", "192.0.2.2", "-listen", "192.0.2.3"}, func(n *speaker.Neighbor) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := newLAN(t, 3)
			nodes[2].startReflector(t, test.args...)
			n := speaker.Neighbor{Address: nodes[2].four, ASN: 65000}
			test.change(&n)
			ca, cb := speaker.Config{Neighbors: []speaker.Neighbor{n}}, speaker.Config{Neighbors: []speaker.Neighbor{n}}
			if n.ASN != 65000 {
				cb.ASN = 65001
			}
			a := startPE(t, nodes[0], ca, nodes[0].advertisement(101))
			b := startPE(t, nodes[1], cb, nodes[1].advertisement(102))
			exchanged(t, a, b)
			r := b.waitRoute(t, 101, fresh)
			if reflected := n.ASN == 65000; r.Peer != n.Address || reflected != (r.Originator == nodes[0].four) {
				t.Errorf("originator %v by %v", r.Originator, r.Peer)
			}
		})
	}
}

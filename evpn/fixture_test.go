package evpn_test

import (
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"longwire/evpn"
)

var (
	epoch   = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	peerA   = netip.MustParseAddr("192.0.2.101")
	peerB   = netip.MustParseAddr("192.0.2.102")
	target1 = mustTarget("65000:1")
	target2 = mustTarget("65000:2")
)

func mustTarget(s string) evpn.RouteTarget {
	t, err := evpn.ParseRouteTarget(s)
	if err != nil {
		panic(err)
	}
	return t
}

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// endpoint returns a route that Validate passes; change mutates it.
func endpoint(change ...func(*evpn.Endpoint)) evpn.Endpoint {
	ep := evpn.Endpoint{
		Key: evpn.Key{
			Peer: peerA,
			RD:   evpn.NewRD1(netip.MustParseAddr("192.0.2.2"), 1),
			Tag:  102,
		},
		RouteTargets: []evpn.RouteTarget{target1},
		NextHop:      netip.MustParseAddr("192.0.2.2"),
		Label:        3 << 4,
		Tunnels: []evpn.Tunnel{{
			Session:  1001,
			Cookie:   "\xde\xad\xbe\xef\xca\xfe\xf0\x0d",
			Endpoint: netip.MustParseAddr("192.0.2.2"),
		}},
		L2:    evpn.L2Attributes{MTU: 1500},
		HasL2: true,
	}
	for _, f := range change {
		f(&ep)
	}
	return ep
}

// want matches endpoint.
func want(change ...func(*evpn.Want)) evpn.Want {
	w := evpn.Want{
		RouteTargets: []evpn.RouteTarget{target1},
		Remote:       102,
		MTU:          1500,
		Family4:      true,
		Family6:      true,
		Own:          []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	}
	for _, f := range change {
		f(&w)
	}
	return w
}

// drawRoute makes routes that often match want, often collide, and often have
// a problem.
func drawRoute(t *rapid.T) evpn.Route {
	address := rapid.SampledFrom([]netip.Addr{
		{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"),
		netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("224.0.0.1"),
	})
	r := evpn.Route{
		Endpoint: evpn.Endpoint{
			Key: evpn.Key{
				Peer: rapid.SampledFrom([]netip.Addr{peerA, peerB}).Draw(t, "peer"),
				RD:   evpn.RD{0, 1, 0, 0, 0, 0, 0, rapid.ByteRange(0, 2).Draw(t, "rd")},
				Tag:  rapid.SampledFrom([]evpn.ServiceID{102, 103}).Draw(t, "tag"),
			},
			RouteTargets: rapid.SliceOfN(rapid.SampledFrom([]evpn.RouteTarget{target1, target2}), 0, 2).Draw(t, "targets"),
			NextHop:      address.Draw(t, "next hop"),
			Label:        rapid.SampledFrom([]uint32{0, 3 << 4, 100 << 4, 0xfffffd}).Draw(t, "label"),
			HasL2:        rapid.Bool().Draw(t, "has l2"),
			L2: evpn.L2Attributes{
				Flags: rapid.Uint16Range(0, 7).Draw(t, "flags"),
				MTU:   rapid.SampledFrom([]uint16{0, 1500, 1514}).Draw(t, "mtu"),
			},
		},
		Since: at(rapid.IntRange(0, 2).Draw(t, "since")),
	}
	for range rapid.IntRange(0, 2).Draw(t, "tunnels") {
		r.Tunnels = append(r.Tunnels, evpn.Tunnel{
			Session:  evpn.SessionID(rapid.Uint32Range(0, 2).Draw(t, "session")),
			Cookie:   evpn.Cookie(rapid.SampledFrom([]string{"", "abc", "abcd", "abcdefgh"}).Draw(t, "cookie")),
			Endpoint: address.Draw(t, "endpoint"),
		})
	}
	if rapid.Bool().Draw(t, "stale") {
		r.StaleSince = at(1)
	}
	return r
}

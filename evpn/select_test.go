package evpn_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"longwire/evpn"
)

// from returns a good route of the PE 192.0.2.n, received from peerA.
func from(n byte, change ...func(*evpn.Endpoint)) evpn.Route {
	pe := netip.AddrFrom4([4]byte{192, 0, 2, n})
	ep := endpoint(append([]func(*evpn.Endpoint){func(ep *evpn.Endpoint) {
		ep.RD = evpn.NewRD1(pe, 1)
		ep.NextHop = pe
		ep.Tunnels[0].Endpoint = pe
	}}, change...)...)
	return evpn.Route{Endpoint: ep, Since: at(0)}
}

func staleRoute(r evpn.Route) evpn.Route {
	r.StaleSince = at(1)
	return r
}

func flags(f uint16) func(*evpn.Endpoint) {
	return func(ep *evpn.Endpoint) { ep.L2.Flags = f }
}

func viaPeerB(ep *evpn.Endpoint) { ep.Peer = peerB }

func TestSelectWinner(t *testing.T) {
	for _, test := range []struct {
		name   string
		routes []evpn.Route
		remote string // "" = none
		losers int
	}{
		{"nothing", nil, "", 0},
		{"one", []evpn.Route{from(2)}, "192.0.2.2", 0},
		{"the lowest address", []evpn.Route{from(4), from(3), from(5)}, "192.0.2.3", 2},
		{"fresh before stale", []evpn.Route{staleRoute(from(2)), from(3)}, "192.0.2.3", 1},
		{"stale is better than none", []evpn.Route{staleRoute(from(2))}, "192.0.2.2", 0},
		{"stale is better than unusable", []evpn.Route{
			staleRoute(from(3)), from(2, func(ep *evpn.Endpoint) { ep.Tunnels = nil }),
		}, "192.0.2.3", 1},
		{"primary before unmarked", []evpn.Route{from(2), from(3, flags(evpn.FlagPrimary))}, "192.0.2.3", 1},
		{"unmarked before backup", []evpn.Route{from(2, flags(evpn.FlagBackup)), from(3)}, "192.0.2.3", 1},
		{"fresh backup before stale primary", []evpn.Route{
			staleRoute(from(2, flags(evpn.FlagPrimary))), from(3, flags(evpn.FlagBackup)),
		}, "192.0.2.3", 1},
		{"flags without the community count for nothing", []evpn.Route{
			from(2), from(3, flags(evpn.FlagPrimary), func(ep *evpn.Endpoint) { ep.HasL2 = false }),
		}, "192.0.2.2", 1},
		{"two reflectors, one PE", []evpn.Route{from(2, viaPeerB), from(2)}, "192.0.2.2", 1},
		{"another service", []evpn.Route{from(2, func(ep *evpn.Endpoint) { ep.Tag = 103 })}, "", 0},
		{"another route target", []evpn.Route{from(2, func(ep *evpn.Endpoint) {
			ep.RouteTargets = []evpn.RouteTarget{target2}
		})}, "", 0},
		{"one shared route target is enough", []evpn.Route{from(2, func(ep *evpn.Endpoint) {
			ep.RouteTargets = []evpn.RouteTarget{target2, target1}
		})}, "192.0.2.2", 0},
		{"no route target", []evpn.Route{from(2, func(ep *evpn.Endpoint) { ep.RouteTargets = nil })}, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := evpn.Select(test.routes, want())
			got := ""
			if c.Route != nil {
				got = c.Remote.String()
			}
			if got != test.remote || len(c.Losers) != test.losers || c.Problem != nil {
				t.Errorf("remote %q, %d losers, problem %v; want %q, %d", got, len(c.Losers), c.Problem, test.remote, test.losers)
			}
		})
	}
}

func TestSelectPrefersThePeerWithTheLowerAddress(t *testing.T) {
	c := evpn.Select([]evpn.Route{from(2, viaPeerB), from(2)}, want())
	if c.Route.Peer != peerA || c.Losers[0].Peer != peerB {
		t.Errorf("route by %s, loser by %s", c.Route.Peer, c.Losers[0].Peer)
	}
}

// Copies of one route that several reflectors pass on may differ for a while:
// what was said last counts, and where they agree the order of the peers.
func TestSelectAmongCopies(t *testing.T) {
	peerC := netip.MustParseAddr("192.0.2.103")
	by := func(peer netip.Addr, since int, change ...func(*evpn.Endpoint)) evpn.Route {
		r := from(2, append(change, func(ep *evpn.Endpoint) { ep.Peer = peer })...)
		r.Since = at(since)
		return r
	}
	changed := func(ep *evpn.Endpoint) { ep.Tunnels[0].Session++ }
	for _, test := range []struct {
		name   string
		routes []evpn.Route
		peer   netip.Addr
		remote string
	}{
		{"the later of equal ones is not better", []evpn.Route{by(peerA, 1), by(peerB, 2)}, peerA, "192.0.2.2"},
		{"the changed one", []evpn.Route{by(peerA, 1), by(peerB, 2, changed)}, peerB, "192.0.2.2"},
		{"the one that lags", []evpn.Route{by(peerA, 2, changed), by(peerB, 1)}, peerA, "192.0.2.2"},
		{"changed at the same time", []evpn.Route{by(peerA, 1), by(peerB, 1, changed)}, peerA, "192.0.2.2"},
		{"another MTU", []evpn.Route{by(peerA, 1), by(peerB, 2, func(ep *evpn.Endpoint) { ep.L2.MTU = 0 })}, peerB, "192.0.2.2"},
		{"a reflector that zeroes labels changes nothing", []evpn.Route{by(peerA, 1), by(peerB, 2, func(ep *evpn.Endpoint) { ep.Label = 0 })}, peerA, "192.0.2.2"},
		{"changed but stale", []evpn.Route{by(peerA, 1), staleRoute(by(peerB, 2, changed))}, peerA, "192.0.2.2"},
		{"changed, and both stale", []evpn.Route{staleRoute(by(peerA, 1)), staleRoute(by(peerB, 2, changed))}, peerB, "192.0.2.2"},
		{"changed but unusable", []evpn.Route{by(peerA, 1), by(peerB, 2, func(ep *evpn.Endpoint) { ep.Tunnels = nil })}, peerA, "192.0.2.2"},
		{"said again by a third", []evpn.Route{by(peerA, 1), by(peerB, 2, changed), by(peerC, 3)}, peerA, "192.0.2.2"},
		{"changed back by one of three", []evpn.Route{by(peerA, 1, changed), by(peerB, 2), by(peerC, 3, changed)}, peerA, "192.0.2.2"},
		{"another PE is no copy", []evpn.Route{by(peerA, 1), from(3, func(ep *evpn.Endpoint) { changed(ep); viaPeerB(ep) })}, peerA, "192.0.2.2"},
		{"no longer the primary", []evpn.Route{by(peerA, 1, flags(evpn.FlagPrimary)), by(peerB, 2, flags(evpn.FlagBackup)), from(3)}, peerA, "192.0.2.3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := evpn.Select(test.routes, want())
			if c.Route == nil || c.Route.Peer != test.peer || c.Remote.String() != test.remote || len(c.Losers) != len(test.routes)-1 {
				t.Errorf("%+v, want the route of %v by %v", c, test.remote, test.peer)
			}
		})
	}
}

func TestSelectTunnel(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	two := func(ep *evpn.Endpoint) {
		ep.Tunnels = []evpn.Tunnel{
			{Session: 6, Endpoint: six},
			{Session: 4, Cookie: "abcd", Endpoint: four},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*evpn.Endpoint)
		want   func(*evpn.Want)
		tunnel evpn.Tunnel
		remote netip.Addr
		reason evpn.Reason
	}{
		{"the first of both families", two, func(*evpn.Want) {}, evpn.Tunnel{Session: 6, Endpoint: six}, six, ""},
		{"the family that we have", two, func(w *evpn.Want) { w.Family6 = false },
			evpn.Tunnel{Session: 4, Cookie: "abcd", Endpoint: four}, four, ""},
		{"no family in common", two, func(w *evpn.Want) { w.Family4, w.Family6 = false, false },
			evpn.Tunnel{}, netip.Addr{}, evpn.ReasonBadEndpoint},
		{"a bad tunnel is passed over", func(ep *evpn.Endpoint) { two(ep); ep.Tunnels[0].Cookie = "abc" }, func(*evpn.Want) {},
			evpn.Tunnel{Session: 4, Cookie: "abcd", Endpoint: four}, four, ""},
		{"the next hop stands in", func(ep *evpn.Endpoint) { ep.Tunnels = []evpn.Tunnel{{Session: 9}} }, func(*evpn.Want) {},
			evpn.Tunnel{Session: 9}, four, ""},
		{"the endpoint is ours", two, func(w *evpn.Want) { w.Own = []netip.Addr{four, six}; w.Family4 = true },
			evpn.Tunnel{}, netip.Addr{}, evpn.ReasonBadNextHop},
		{"only the endpoint is ours", func(ep *evpn.Endpoint) {
			ep.Tunnels[0].Endpoint = netip.MustParseAddr("192.0.2.1")
		}, func(*evpn.Want) {}, evpn.Tunnel{}, netip.Addr{}, evpn.ReasonBadEndpoint},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := evpn.Select([]evpn.Route{from(2, test.change)}, want(test.want))
			if c.Tunnel != test.tunnel || c.Remote != test.remote {
				t.Errorf("tunnel %+v to %v, want %+v to %v", c.Tunnel, c.Remote, test.tunnel, test.remote)
			}
			if got := reason(c); got != test.reason {
				t.Errorf("problem %v, want %q", c.Problem, test.reason)
			}
		})
	}
}

func reason(c evpn.Choice) evpn.Reason {
	if c.Problem == nil {
		return ""
	}
	return c.Problem.Reason
}

func TestSelectLayer2(t *testing.T) {
	mtu := func(n uint16) func(*evpn.Endpoint) { return func(ep *evpn.Endpoint) { ep.L2.MTU = n } }
	absent := func(ep *evpn.Endpoint) { ep.HasL2 = false }
	for _, test := range []struct {
		name   string
		change func(*evpn.Endpoint)
		want   func(*evpn.Want)
		reason evpn.Reason
		detail []string
	}{
		{"equal", mtu(1500), func(*evpn.Want) {}, "", nil},
		{"theirs is 0", mtu(0), func(*evpn.Want) {}, "", nil},
		{"ours is 0", mtu(9000), func(w *evpn.Want) { w.MTU = 0 }, "", nil},
		{"no community", func(ep *evpn.Endpoint) { mtu(9000)(ep); absent(ep) }, func(*evpn.Want) {}, "", nil},
		{"different", mtu(9000), func(*evpn.Want) {}, evpn.ReasonMTUMismatch, []string{"9000", "1500"}},
		{"different but ignored", mtu(9000), func(w *evpn.Want) { w.IgnoreMTU = true }, "", nil},
		{"14 more", mtu(1514), func(*evpn.Want) {}, evpn.ReasonMTUMismatch, []string{"1514", "1500", "difference of 14", "the Ethernet header:"}},
		{"18 less", mtu(1482), func(*evpn.Want) {}, evpn.ReasonMTUMismatch, []string{"1482", "difference of 18", "VLAN tag or the FCS"}},
		{"22 more", mtu(1522), func(*evpn.Want) {}, evpn.ReasonMTUMismatch, []string{"1522", "difference of 22", "VLAN tag and the FCS"}},
		{"they use a control word", flags(evpn.FlagControlWord), func(*evpn.Want) {}, evpn.ReasonControlWord,
			[]string{"the far end uses the default", "we use none"}},
		{"we use a control word", mtu(1500), func(w *evpn.Want) { w.ControlWord = true }, evpn.ReasonControlWord,
			[]string{"the far end uses no", "we use it"}},
		{"we do and they say nothing", absent, func(w *evpn.Want) { w.ControlWord = true }, evpn.ReasonControlWord, nil},
		{"both use a control word", flags(evpn.FlagControlWord), func(w *evpn.Want) { w.ControlWord = true }, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := evpn.Select([]evpn.Route{from(2, test.change)}, want(test.want))
			if got := reason(c); got != test.reason || (c.Route == nil) != (test.reason != "") {
				t.Fatalf("problem %v, route %v; want %q", c.Problem, c.Route != nil, test.reason)
			}
			for _, text := range test.detail {
				if !strings.Contains(c.Problem.Detail, text) {
					t.Errorf("detail %q lacks %q", c.Problem.Detail, text)
				}
			}
		})
	}
}

func TestSelectTellsTheBestProblem(t *testing.T) {
	routes := []evpn.Route{
		staleRoute(from(2, func(ep *evpn.Endpoint) { ep.Label = 16 << 4 })),
		from(3, func(ep *evpn.Endpoint) { ep.Tunnels = nil }),
	}
	c := evpn.Select(routes, want())
	if c.Route != nil || reason(c) != evpn.ReasonNoEncapsulation {
		t.Errorf("route %v, problem %v; want the fresh route's no_encapsulation", c.Route, c.Problem)
	}
	if diff := cmp.Diff([]evpn.Route{routes[1], routes[0]}, c.Losers, compareAddresses); diff != "" {
		t.Errorf("losers (-want +got):\n%s", diff)
	}
}

// The order of the input never decides, the winner always satisfies the policy,
// and no candidate is lost.
func TestSelectIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := rapid.SliceOfNDistinct(rapid.Custom(drawRoute), 0, 8, func(r evpn.Route) evpn.Key { return r.Key }).Draw(t, "routes")
		w := want(func(w *evpn.Want) {
			w.ControlWord = rapid.Bool().Draw(t, "control word")
			w.IgnoreMTU = rapid.Bool().Draw(t, "ignore mtu")
			w.Family6 = rapid.Bool().Draw(t, "family 6")
		})
		c := evpn.Select(routes, w)
		shuffled := evpn.Select(rapid.Permutation(routes).Draw(t, "order"), w)
		if diff := cmp.Diff(c, shuffled, compareAddresses); diff != "" {
			t.Fatalf("another order gives another choice:\n%s", diff)
		}
		if c.Route != nil {
			checkWinner(t, c, w)
		}
		if winners := len(routes) - countOthers(routes, w) - len(c.Losers); (c.Route != nil) != (winners == 1) {
			t.Fatalf("%d routes unaccounted for", winners)
		}
	})
}

func checkWinner(t *rapid.T, c evpn.Choice, w evpn.Want) {
	switch {
	case evpn.Validate(c.Route.Endpoint) != nil:
		t.Fatalf("the winner is invalid: %v", evpn.Validate(c.Route.Endpoint))
	case c.Tunnel.Validate(c.Route.NextHop) != nil:
		t.Fatalf("the tunnel is invalid: %v", c.Tunnel.Validate(c.Route.NextHop))
	case c.Remote == w.Own[0], c.Remote.Is6() && !w.Family6, !c.Remote.IsValid():
		t.Fatalf("the remote is %v", c.Remote)
	case !w.IgnoreMTU && c.Route.HasL2 && c.Route.L2.MTU != 0 && c.Route.L2.MTU != w.MTU:
		t.Fatalf("the MTU is %d", c.Route.L2.MTU)
	case c.Problem != nil:
		t.Fatalf("a winner with a problem: %v", c.Problem)
	}
	for _, l := range c.Losers {
		if !l.Stale() && c.Route.Stale() && evpn.Select([]evpn.Route{l}, w).Route != nil {
			t.Fatalf("a fresh usable route lost against a stale one")
		}
	}
}

// countOthers counts the routes that are no candidates.
func countOthers(routes []evpn.Route, w evpn.Want) int {
	n := 0
	for _, r := range routes {
		alone := evpn.Select([]evpn.Route{r}, w)
		if alone.Route == nil && alone.Problem == nil {
			n++
		}
	}
	return n
}

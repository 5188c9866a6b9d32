package plan

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b dataplane.Cookie) bool { return a == b }),
	cmpopts.IgnoreUnexported(Status{}),
	cmpopts.IgnoreFields(Status{}, "Path"),
	cmpopts.EquateEmpty(),
}

var (
	own    = netip.MustParseAddr("192.0.2.1")
	far1   = netip.MustParseAddr("192.0.2.9")
	far2   = netip.MustParseAddr("192.0.2.8")
	peer   = netip.MustParseAddr("192.0.2.254")
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	target = evpn.RouteTarget{0, 2, 0xfd, 0xe8, 0, 0, 0, 1}
)

func mustCookie(b ...byte) dataplane.Cookie {
	c, err := dataplane.NewCookie(b)
	if err != nil {
		panic(err)
	}
	return c
}

// Our cookie and the far ends', eight bytes each.
var (
	ourCookie    = mustCookie(1, 2, 3, 4, 5, 6, 7, 8)
	farCookie    = mustCookie(9, 9, 9, 9, 9, 9, 9, 9)
	localStatic  = mustCookie(0xa, 0xa, 0xa, 0xa)
	remoteStatic = mustCookie(0xb, 0xb, 0xb, 0xb)
)

// signalledPW is a pseudowire with evpn only.
func signalledPW() config.Pseudowire {
	return config.Pseudowire{
		Name: "a", Interface: "eth2", Source: own, Port: 1701, CookieLength: 8, TTL: 64,
		EVPN: &config.EVPN{RouteTargets: []evpn.RouteTarget{target}, LocalService: 101, RemoteService: 102},
	}
}

func staticConfig(when config.When) *config.Static {
	return &config.Static{
		When: when, After: 5 * time.Second, Remote: far2, LocalSession: 1012, RemoteSession: 1021,
		LocalCookie: localStatic, RemoteCookie: remoteStatic, RemotePort: 1702,
	}
}

// fallbackPW is a pseudowire with evpn and a static fallback.
func fallbackPW() config.Pseudowire {
	pw := signalledPW()
	pw.Static = staticConfig(config.WhenFallback)
	return pw
}

// staticPW is a pseudowire with static only.
func staticPW() config.Pseudowire {
	pw := signalledPW()
	pw.EVPN, pw.Static = nil, staticConfig(config.WhenAlways)
	return pw
}

// route is what the far end of signalledPW announces.
func route() evpn.Route {
	return evpn.Route{
		Endpoint: evpn.Endpoint{
			Key: evpn.Key{Peer: peer, RD: evpn.RD{0, 1, 192, 0, 2, 9, 0, 1}, Tag: 102}, RouteTargets: []evpn.RouteTarget{target},
			NextHop: far1, Label: 3 << 4, Tunnels: []evpn.Tunnel{{Session: 77777, Cookie: evpn.Cookie(farCookie.Bytes()), Endpoint: far1}},
		},
		Since: start,
	}
}

// input has one pseudowire, its circuit (3) and an underlay (2), both up.
func input(pw config.Pseudowire) Input {
	return Input{
		Config: &config.Config{Router: config.Router{Sources: []netip.Addr{own}}, Underlay: config.Underlay{Auto: true}, Pseudowires: []config.Pseudowire{pw}},
		Now:    start,
		Links: map[string]Link{
			"lo":   {Index: 1, MTU: 65536, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
			"eth0": {Index: 2, MTU: 1600, Ethernet: true, Up: true, Addresses: []netip.Addr{own}},
			"eth2": {Index: 3, MTU: 1500, Ethernet: true, Up: true},
		},
		Identities: map[string]Identity{"a": {Identity: dataplane.Identity{Session: 555555, Cookie: ourCookie}}},
	}
}

// The entries of a plan in its simplest case: signalled over protocol 115.
func wantReceive() dataplane.Receive {
	return dataplane.Receive{Session: 555555, Pseudowire: "a", Circuit: 3, Local: own, Remote: far1, AcceptIP: true, Cookie: ourCookie}
}

func wantTransmit() dataplane.Transmit {
	return dataplane.Transmit{Circuit: dataplane.Port(3), Pseudowire: "a", Session: 77777, Local: own, Remote: far1, Cookie: farCookie, TTL: 64}
}

// wantClosed is the entry of the circuit while nothing is sent.
func wantClosed() dataplane.Transmit {
	return dataplane.Transmit{Circuit: dataplane.Port(3), Pseudowire: "a"}
}

func wantStaticReceive() dataplane.Receive {
	return dataplane.Receive{Session: 1012, Pseudowire: "a", Circuit: 3, Local: own, Remote: far2, AcceptIP: true, Cookie: localStatic}
}

func wantStaticTransmit() dataplane.Transmit {
	return dataplane.Transmit{Circuit: dataplane.Port(3), Pseudowire: "a", Session: 1021, Local: own, Remote: far2, Cookie: remoteStatic, TTL: 64}
}

func wantAd() evpn.Advertisement {
	return evpn.Advertisement{
		Service: 101, RouteTargets: []evpn.RouteTarget{target}, NextHop: own, Endpoint: own,
		Session: 555555, Cookie: evpn.Cookie(ourCookie.Bytes()), L2: evpn.L2Attributes{MTU: 1500},
	}
}

func state(receives []dataplane.Receive, transmits ...dataplane.Transmit) dataplane.State {
	s := dataplane.State{Receive: map[dataplane.SessionID]dataplane.Receive{}, Transmit: map[dataplane.Circuit]dataplane.Transmit{}}
	for _, r := range receives {
		s.Receive[r.Session] = r
	}
	for _, t := range transmits {
		s.Transmit[t.Circuit] = t
	}
	return s
}

// with returns a changed copy.
func with[T any](v T, changes ...func(*T)) T {
	for _, change := range changes {
		change(&v)
	}
	return v
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, compare); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

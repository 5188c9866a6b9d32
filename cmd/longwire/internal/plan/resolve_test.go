package plan

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

type receives = []dataplane.Receive

func noRemote(r *dataplane.Receive)     { r.Remote = netip.Addr{} }
func toStatic(r *dataplane.Receive)     { r.Remote = far2 }
func staleRoute(r *evpn.Route)          { r.StaleSince = start.Add(-time.Minute) }
func useUDP(pw *config.Pseudowire)      { pw.Encapsulation = dataplane.EncapsulationUDP }
func useSublayer(pw *config.Pseudowire) { pw.Sublayer = dataplane.SublayerDefault }

func acceptUDP(r *dataplane.Receive) { r.AcceptUDP, r.LocalPort = true, 1701 }

// row is one pseudowire in one situation.
type row struct {
	name   string
	pw     config.Pseudowire
	change func(*Input)
	state  dataplane.State
	ads    []evpn.Advertisement
	status Status // without name, interface and MTU
}

var signalledRows = []row{
	{
		name: "circuit absent: nothing at all", pw: signalledPW(),
		change: func(in *Input) { delete(in.Links, "eth2"); in.Routes = []evpn.Route{route()} },
		state:  state(nil),
		status: Status{State: StateDown, Reason: ReasonInterfaceAbsent, Detail: "eth2 does not exist", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555},
	},
	{
		name: "circuit is no Ethernet", pw: signalledPW(),
		change: func(in *Input) { in.Links["eth2"] = Link{Index: 3, MTU: 1500, Up: true} },
		state:  state(nil),
		status: Status{State: StateBlocked, Reason: ReasonNotEthernet, Detail: "eth2 carries no Ethernet frames", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "circuit down: withdrawn, no encapsulation", pw: signalledPW(),
		change: func(in *Input) {
			in.Links["eth2"] = Link{Index: 3, MTU: 1500, Ethernet: true}
			in.Routes = []evpn.Route{route()}
		},
		state:  state(receives{wantReceive()}, wantClosed()),
		status: Status{State: StateDown, Reason: ReasonInterfaceDown, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "circuit up, far end unknown: announced, refuses every packet", pw: signalledPW(),
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "far end learned", pw: signalledPW(),
		change: func(in *Input) { in.Routes = []evpn.Route{route()} },
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "route of a lost peer", pw: signalledPW(),
		change: func(in *Input) { in.Routes = []evpn.Route{with(route(), staleRoute)} },
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateStale, Reason: ReasonPeerLost, Detail: "the BGP session to 192.0.2.254 is lost", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500, Since: start.Add(-time.Minute)},
	},
	{
		name: "MTU mismatch: blocked, still announced", pw: signalledPW(),
		change: func(in *Input) {
			in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) { r.HasL2, r.L2.MTU = true, 9000 })}
		},
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateBlocked, Reason: Reason(evpn.ReasonMTUMismatch), Detail: "the far end has MTU 9000, we have 1500", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "MTU mismatch ignored", pw: with(signalledPW(), func(pw *config.Pseudowire) { pw.IgnoreMTU = true }),
		change: func(in *Input) {
			in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) { r.HasL2, r.L2.MTU = true, 9000 })}
		},
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "sublayer at our end only", pw: with(signalledPW(), useSublayer),
		change: func(in *Input) { in.Routes = []evpn.Route{route()} },
		state:  state(receives{with(wantReceive(), noRemote, func(r *dataplane.Receive) { r.Sublayer = dataplane.SublayerDefault })}, wantClosed()),
		ads:    []evpn.Advertisement{with(wantAd(), func(ad *evpn.Advertisement) { ad.L2.Flags = evpn.FlagControlWord })},
		status: Status{State: StateBlocked, Reason: Reason(evpn.ReasonControlWord), Detail: "the far end uses no L2-specific sublayer, we use it", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "route without cookie's session is never used", pw: signalledPW(),
		change: func(in *Input) { in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) { r.Tunnels = nil })} },
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateBlocked, Reason: Reason(evpn.ReasonNoEncapsulation), Detail: "no usable L2TPv3 tunnel in the Tunnel Encapsulation attribute", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "short cookie and configured MTU", pw: with(signalledPW(), func(pw *config.Pseudowire) { pw.CookieLength, pw.MTU = 4, 9000 }),
		state: state(receives{with(wantReceive(), noRemote, func(r *dataplane.Receive) { r.Cookie = mustCookie(1, 2, 3, 4) })}, wantClosed()),
		ads: []evpn.Advertisement{with(wantAd(), func(ad *evpn.Advertisement) {
			ad.Cookie, ad.L2.MTU = "\x01\x02\x03\x04", 9000
		})},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 9000},
	},
	{
		name: "identities exhausted", pw: signalledPW(),
		change: func(in *Input) { in.Identities["a"] = Identity{Err: dataplane.ErrCapacity} },
		state:  state(nil, wantClosed()),
		status: Status{State: StateBlocked, Reason: ReasonCapacity, Detail: "session map is full", MTU: 1500},
	},
	{
		name: "identity refused", pw: signalledPW(),
		change: func(in *Input) { in.Identities["a"] = Identity{Err: syscall.EPERM} },
		state:  state(nil, wantClosed()),
		status: Status{State: StateBlocked, Reason: ReasonPermission, Detail: "operation not permitted", MTU: 1500},
	},
}

var udpRows = []row{
	{
		name: "both ends ask for UDP", pw: with(signalledPW(), useUDP),
		change: func(in *Input) {
			in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) {
				r.Tunnels = []evpn.Tunnel{{Session: 77777, Cookie: evpn.Cookie(farCookie.Bytes()), Endpoint: far1, UDPPort: 5000}}
			})}
		},
		state: state(receives{with(wantReceive(), acceptUDP)}, with(wantTransmit(), func(tx *dataplane.Transmit) {
			tx.Encapsulation, tx.LocalPort, tx.RemotePort = dataplane.EncapsulationUDP, 1701, 5000
		})),
		ads:    []evpn.Advertisement{with(wantAd(), func(ad *evpn.Advertisement) { ad.UDPPort = 1701 })},
		status: Status{State: StateUp, Source: SourceSignalled, Remote: far1, Encapsulation: dataplane.EncapsulationUDP, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "only we ask for UDP: protocol 115, both accepted", pw: with(signalledPW(), useUDP),
		change: func(in *Input) { in.Routes = []evpn.Route{route()} },
		state:  state(receives{with(wantReceive(), acceptUDP)}, wantTransmit()),
		ads:    []evpn.Advertisement{with(wantAd(), func(ad *evpn.Advertisement) { ad.UDPPort = 1701 })},
		status: Status{State: StateUp, Detail: "the far end signals no UDP port: protocol 115", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "only the far end asks for UDP: protocol 115", pw: signalledPW(),
		change: func(in *Input) {
			in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) {
				r.Tunnels = []evpn.Tunnel{{Session: 77777, Cookie: evpn.Cookie(farCookie.Bytes()), Endpoint: far1, UDPPort: 5000}}
			})}
		},
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "static over UDP accepts UDP only", pw: with(staticPW(), useUDP),
		state: state(receives{with(wantStaticReceive(), func(r *dataplane.Receive) { r.AcceptIP, r.AcceptUDP, r.LocalPort = false, true, 1701 })},
			with(wantStaticTransmit(), func(tx *dataplane.Transmit) {
				tx.Encapsulation, tx.LocalPort, tx.RemotePort = dataplane.EncapsulationUDP, 1701, 1702
			})),
		status: Status{State: StateUp, Source: SourceStatic, Remote: far2, Encapsulation: dataplane.EncapsulationUDP, RemoteSession: 1021, LocalSession: 1012, MTU: 1500},
	},
}

// keptUDP is what a restart finds of a far end over UDP.
func keptUDP() dataplane.Transmit {
	return with(wantTransmit(), func(tx *dataplane.Transmit) {
		tx.Encapsulation, tx.LocalPort, tx.RemotePort = dataplane.EncapsulationUDP, 1701, 5000
	})
}

var keptRows = []row{
	{
		name: "UDP goes on over UDP, from the configured port", pw: with(signalledPW(), useUDP, func(pw *config.Pseudowire) { pw.Port = 1702 }),
		change: func(in *Input) { in.Holding, in.Actual = true, state(nil, keptUDP()) },
		state: state(receives{with(wantReceive(), acceptUDP, func(r *dataplane.Receive) { r.LocalPort = 1702 })},
			with(keptUDP(), func(tx *dataplane.Transmit) { tx.LocalPort = 1702 })),
		ads: []evpn.Advertisement{with(wantAd(), func(ad *evpn.Advertisement) { ad.UDPPort = 1702 })},
		status: Status{
			State: StateStale, Reason: ReasonRestarting, Detail: "kept until the route comes again", Source: SourceSignalled, Remote: far1,
			Encapsulation: dataplane.EncapsulationUDP, RemoteSession: 77777, LocalSession: 555555, MTU: 1500,
		},
	},
	{
		name: "UDP goes on over protocol 115 when it is configured now", pw: signalledPW(),
		change: func(in *Input) { in.Holding, in.Actual = true, state(nil, keptUDP()) },
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateStale, Reason: ReasonRestarting, Detail: "kept until the route comes again", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "not from another source address", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding, in.Actual = true, state(nil, with(wantTransmit(), func(tx *dataplane.Transmit) { tx.Local = far2 }))
		},
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "not of another pseudowire", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding, in.Actual = true, state(nil, with(wantTransmit(), func(tx *dataplane.Transmit) { tx.Pseudowire = "b" }))
		},
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "a blocked route ends what was kept", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding, in.Actual = true, state(nil, wantTransmit())
			in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) { r.Tunnels = nil })}
		},
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateBlocked, Reason: Reason(evpn.ReasonNoEncapsulation), Detail: "no usable L2TPv3 tunnel in the Tunnel Encapsulation attribute", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "the circuit is down: remembered, nothing sent", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding, in.Clocks = true, map[string]Clock{"a": {Kept: wantTransmit()}}
			in.Links["eth2"] = Link{Index: 3, MTU: 1500, Ethernet: true}
		},
		state:  state(receives{wantReceive()}, wantClosed()),
		status: Status{State: StateDown, Reason: ReasonInterfaceDown, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
}

var staticRows = []row{
	{
		name: "static only", pw: staticPW(),
		state:  state(receives{wantStaticReceive()}, wantStaticTransmit()),
		status: Status{State: StateUp, Source: SourceStatic, Remote: far2, RemoteSession: 1021, LocalSession: 1012, MTU: 1500},
	},
	{
		name: "always beats signalled", pw: with(signalledPW(), func(pw *config.Pseudowire) { pw.Static = staticConfig(config.WhenAlways) }),
		change: func(in *Input) { in.Routes = []evpn.Route{route()} },
		state:  state(receives{wantStaticReceive(), with(wantReceive(), toStatic)}, wantStaticTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Source: SourceStatic, Remote: far2, RemoteSession: 1021, LocalSession: 1012, MTU: 1500},
	},
	{
		name: "fallback waits", pw: fallbackPW(),
		state:  state(receives{wantStaticReceive(), with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1; static fallback after 5s", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "fallback is due", pw: fallbackPW(),
		change: func(in *Input) {
			in.Clocks = map[string]Clock{"a": {AbsentSince: start.Add(-5 * time.Second)}}
		},
		state:  state(receives{wantStaticReceive(), with(wantReceive(), toStatic)}, wantStaticTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Detail: "fallback, signalled far end: no_remote (no route for service 102 with 65000:1)", Source: SourceStatic, Remote: far2, RemoteSession: 1021, LocalSession: 1012, MTU: 1500},
	},
	{
		name: "signalled far end returns", pw: fallbackPW(),
		change: func(in *Input) {
			in.Clocks = map[string]Clock{"a": {AbsentSince: start.Add(-time.Hour), Fallback: true}}
			in.Actual = state(nil, wantStaticTransmit())
			in.Routes = []evpn.Route{route()}
		},
		state:  state(receives{wantStaticReceive(), wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "a blocked far end is absent too", pw: fallbackPW(),
		change: func(in *Input) {
			in.Clocks = map[string]Clock{"a": {AbsentSince: start.Add(-5 * time.Second)}}
			in.Routes = []evpn.Route{with(route(), func(r *evpn.Route) { r.NextHop = netip.Addr{} })}
		},
		state:  state(receives{wantStaticReceive(), with(wantReceive(), toStatic)}, wantStaticTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Detail: "fallback, signalled far end: bad_next_hop (the BGP next hop is absent)", Source: SourceStatic, Remote: far2, RemoteSession: 1021, LocalSession: 1012, MTU: 1500},
	},
	{
		name: "a stale route is not absent", pw: fallbackPW(),
		change: func(in *Input) {
			in.Clocks = map[string]Clock{"a": {AbsentSince: start.Add(-4 * time.Second)}}
			in.Routes = []evpn.Route{with(route(), staleRoute)}
		},
		state:  state(receives{wantStaticReceive(), wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateStale, Reason: ReasonPeerLost, Detail: "the BGP session to 192.0.2.254 is lost", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500, Since: start.Add(-time.Minute)},
	},
}

var restartRows = []row{
	{
		name: "learned far end is kept while holding", pw: signalledPW(),
		change: func(in *Input) { in.Holding, in.Actual = true, state(nil, wantTransmit()) },
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateStale, Reason: ReasonRestarting, Detail: "kept until the route comes again", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "and moves to the circuit's new index", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding, in.Actual = true, state(nil, with(wantTransmit(), func(tx *dataplane.Transmit) { tx.Circuit = dataplane.Port(99) }))
		},
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateStale, Reason: ReasonRestarting, Detail: "kept until the route comes again", Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
	{
		name: "not when the hold is over", pw: signalledPW(),
		change: func(in *Input) { in.Actual = state(nil, wantTransmit()) },
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "not when a route had come and is withdrawn", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding, in.Actual = true, state(nil, wantTransmit())
			in.Clocks = map[string]Clock{"a": {Learned: true}}
		},
		state:  state(receives{with(wantReceive(), noRemote)}, wantClosed()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "not with another sublayer", pw: with(signalledPW(), useSublayer),
		change: func(in *Input) { in.Holding, in.Actual = true, state(nil, wantTransmit()) },
		state:  state(receives{with(wantReceive(), noRemote, func(r *dataplane.Receive) { r.Sublayer = dataplane.SublayerDefault })}, wantClosed()),
		ads:    []evpn.Advertisement{with(wantAd(), func(ad *evpn.Advertisement) { ad.L2.Flags = evpn.FlagControlWord })},
		status: Status{State: StateDown, Reason: ReasonNoRemote, Detail: "no route for service 102 with 65000:1", LocalSession: 555555, MTU: 1500},
	},
	{
		name: "an active fallback goes on at once", pw: fallbackPW(),
		change: func(in *Input) { in.Holding, in.Actual = true, state(nil, wantStaticTransmit()) },
		state:  state(receives{wantStaticReceive(), with(wantReceive(), toStatic)}, wantStaticTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Detail: "fallback, signalled far end: no_remote (no route for service 102 with 65000:1)", Source: SourceStatic, Remote: far2, RemoteSession: 1021, LocalSession: 1012, MTU: 1500},
	},
	{
		name: "the route that came again replaces what was kept", pw: signalledPW(),
		change: func(in *Input) {
			in.Holding = true
			in.Actual = state(nil, with(wantTransmit(), func(tx *dataplane.Transmit) { tx.Session = 1 }))
			in.Routes = []evpn.Route{route()}
		},
		state:  state(receives{wantReceive()}, wantTransmit()),
		ads:    []evpn.Advertisement{wantAd()},
		status: Status{State: StateUp, Source: SourceSignalled, Remote: far1, RemoteSession: 77777, LocalSession: 555555, MTU: 1500},
	},
}

func TestResolve(t *testing.T) {
	groups := map[string][]row{"signalled": signalledRows, "udp": udpRows, "static": staticRows, "restart": restartRows, "kept": keptRows}
	for group, rows := range groups {
		for _, row := range rows {
			t.Run(group+"/"+row.name, func(t *testing.T) {
				in := input(row.pw)
				if row.change != nil {
					row.change(&in)
				}
				got := Resolve(in)
				diff(t, "state", row.state, got.State)
				diff(t, "advertisements", row.ads, got.Advertise)
				row.status.Name, row.status.Interface = "a", "eth2"
				diff(t, "statuses", []Status{row.status}, got.Statuses)
			})
		}
	}
}

func TestFallbackClock(t *testing.T) {
	in := input(fallbackPW())
	first := Resolve(in)
	if want := start.Add(5 * time.Second); !first.Wake.Equal(want) {
		t.Errorf("wake at %s, want %s", first.Wake, want)
	}
	in.Clocks, in.Now = first.Clocks, start.Add(4999*time.Millisecond)
	if early := Resolve(in); early.Statuses[0].Source != SourceNone || !early.Wake.Equal(first.Wake) {
		t.Errorf("before static.after: %+v, wake %s", early.Statuses[0], early.Wake)
	}
	in.Now = first.Wake
	due := Resolve(in)
	if due.Statuses[0].Source != SourceStatic || !due.Wake.IsZero() {
		t.Errorf("at static.after: %+v, wake %s", due.Statuses[0], due.Wake)
	}
	in.Clocks, in.Routes = due.Clocks, []evpn.Route{route()}
	if back := Resolve(in); back.Clocks["a"] != (Clock{Learned: true}) || back.Statuses[0].Source != SourceSignalled {
		t.Errorf("the signalled far end is back: clocks %v, %+v", back.Clocks, back.Statuses[0])
	}
}

func TestRemarks(t *testing.T) {
	other := with(route(), func(r *evpn.Route) {
		r.RD[7], r.NextHop = 2, netip.MustParseAddr("192.0.2.10")
		r.Tunnels = []evpn.Tunnel{{Session: 5, Endpoint: r.NextHop}}
	})
	in := input(signalledPW())
	in.Routes = []evpn.Route{other, route()}
	in.NextHops = map[dataplane.Flow]dataplane.NextHop{{Local: own, Remote: far1}: {MTU: 1500}}
	got := Resolve(in)
	want := "also offered by 192.0.2.10 (peer 192.0.2.254); underlay MTU 1500 is less than the 1546 that full frames need: payloads above 1454 bytes are fragmented"
	if got.Statuses[0].Detail != want {
		t.Errorf("detail %q, want %q", got.Statuses[0].Detail, want)
	}
	diff(t, "uses", map[evpn.Key][]Use{route().Key: {{Pseudowire: "a", Selected: true}}, other.Key: {{Pseudowire: "a"}}}, got.Uses)
	diff(t, "flows", []dataplane.Flow{{Local: own, Remote: far1}}, got.Flows)
}

func TestConflicts(t *testing.T) {
	a, b := staticPW(), staticPW()
	b.Name, b.Interface, b.Static = "b", "eth3", staticConfig(config.WhenAlways)
	in := input(a)
	in.Config.Pseudowires = []config.Pseudowire{b, a}
	in.Links["eth3"] = Link{Index: 4, MTU: 1500, Ethernet: true, Up: true}
	got := Resolve(in)
	closedB := dataplane.Transmit{Circuit: dataplane.Port(4), Pseudowire: "b"}
	diff(t, "one session id: the first name keeps it", state(receives{wantStaticReceive()}, wantStaticTransmit(), closedB), got.State)
	if s := got.Statuses[1]; s.Reason != ReasonConflict || s.Detail != "session id 1012 belongs to a" {
		t.Errorf("status of b: %+v", s)
	}

	b.Static.LocalSession = 2
	in.Config.Pseudowires[0] = b
	in.Links["eth3"] = in.Links["eth2"]
	got = Resolve(in)
	diff(t, "one circuit: the first name keeps it", state(receives{wantStaticReceive()}, wantStaticTransmit()), got.State)
	if s := got.Statuses[1]; s.Reason != ReasonConflict || s.Detail != "the circuit belongs to a" {
		t.Errorf("status of b: %+v", s)
	}
}

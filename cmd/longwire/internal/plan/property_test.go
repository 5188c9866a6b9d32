package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// Everything is drawn from small sets, so that collisions are common.
var (
	drawAddr   = rapid.SampledFrom([]netip.Addr{own, far1, far2, netip.MustParseAddr("2001:db8::9"), {}})
	drawCookie = rapid.SampledFrom([]dataplane.Cookie{{}, ourCookie, farCookie, remoteStatic})
	drawBool   = rapid.Bool()
	drawVLANs  = rapid.SampledFrom([]dataplane.VLANs{
		{}, {}, {Outer: "0"}, {Outer: "100"}, {Outer: "200"}, {Outer: "0,150-250"}, {Outer: "200", Inner: 100}, {Outer: "200", Inner: 101},
	})
	drawMode = rapid.SampledFrom([]config.TagMode{config.TagsKeep, config.TagsTranslate, config.TagsPop, config.TagsPush})
)

func drawPW(t *rapid.T, i int) config.Pseudowire {
	pw := config.Pseudowire{
		Name: fmt.Sprintf("pw%d", i), Interface: fmt.Sprintf("ac%d", rapid.IntRange(0, 3).Draw(t, "interface")),
		Source: own, Port: 1701, CookieLength: rapid.SampledFrom([]int{0, 4, 8}).Draw(t, "cookie length"), TTL: 64,
	}
	if drawBool.Draw(t, "udp") {
		pw.Encapsulation = dataplane.EncapsulationUDP
	}
	if drawBool.Draw(t, "sublayer") {
		pw.Sublayer = dataplane.SublayerDefault
	}
	pw.VLANs = drawVLANs.Draw(t, "VLANs")
	pw.Tags = config.Tags{Mode: drawMode.Draw(t, "mode"), Type: 0x8100, Push: 7}
	pw.ClampMSS = drawBool.Draw(t, "clamp")
	kind := rapid.IntRange(1, 3).Draw(t, "kind")
	if kind&1 != 0 {
		pw.EVPN = &config.EVPN{
			RouteTargets: []evpn.RouteTarget{target}, LocalService: evpn.ServiceID(i),
			RemoteService: evpn.ServiceID(rapid.IntRange(100, 102).Draw(t, "remote service")),
		}
	}
	if kind&2 != 0 {
		pw.Static = staticConfig(rapid.SampledFrom([]config.When{config.WhenAlways, config.WhenFallback}).Draw(t, "when"))
		pw.Static.LocalSession = dataplane.SessionID(rapid.IntRange(1, 4).Draw(t, "local session"))
	}
	return pw
}

func drawRoute(t *rapid.T, i int) evpn.Route {
	r := with(route(), func(r *evpn.Route) {
		r.RD[7] = byte(i)
		r.Tag = evpn.ServiceID(rapid.IntRange(100, 102).Draw(t, "tag"))
		r.NextHop = drawAddr.Draw(t, "next hop")
		r.HasL2 = drawBool.Draw(t, "has L2")
		r.L2.MTU = rapid.SampledFrom([]uint16{0, 1500, 9000}).Draw(t, "MTU")
		r.L2.Flags = uint16(rapid.IntRange(0, 7).Draw(t, "flags"))
		r.Tunnels = nil
	})
	for range rapid.IntRange(0, 2).Draw(t, "tunnels") {
		r.Tunnels = append(r.Tunnels, evpn.Tunnel{
			Session: evpn.SessionID(rapid.IntRange(0, 3).Draw(t, "session")), Cookie: evpn.Cookie(drawCookie.Draw(t, "cookie").Bytes()),
			Endpoint: drawAddr.Draw(t, "endpoint"), UDPPort: rapid.SampledFrom([]uint16{0, 1701}).Draw(t, "port"),
		})
	}
	if drawBool.Draw(t, "stale") {
		r.StaleSince = start
	}
	return r
}

func drawInput(t *rapid.T) Input {
	in := Input{
		Config: &config.Config{Router: config.Router{Sources: []netip.Addr{own}}, Underlay: config.Underlay{Auto: true}},
		Now:    start.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "now")) * time.Second),
		Links:  map[string]Link{"eth0": {Index: 50, MTU: 1500, Ethernet: true, Up: true, Addresses: []netip.Addr{own}}}, Identities: map[string]Identity{},
		Holding: drawBool.Draw(t, "holding"), Clocks: map[string]Clock{}, Actual: state(nil),
	}
	for i := range 4 {
		if drawBool.Draw(t, "link exists") {
			in.Links[fmt.Sprintf("ac%d", i)] = Link{Index: 1 + i, MTU: 1500, Ethernet: true, Up: drawBool.Draw(t, "link up")}
		}
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "pseudowires") {
		pw := drawPW(t, i)
		in.Config.Pseudowires = append(in.Config.Pseudowires, pw)
		id := Identity{Identity: dataplane.Identity{Session: dataplane.SessionID(rapid.IntRange(0, 12).Draw(t, "identity")), Cookie: ourCookie}}
		if rapid.IntRange(0, 9).Draw(t, "identity fails") == 0 {
			id = Identity{Err: errors.New("no identity")}
		}
		in.Identities[pw.Name] = id
		if drawBool.Draw(t, "clock") {
			in.Clocks[pw.Name] = Clock{AbsentSince: start}
		}
		if drawBool.Draw(t, "installed") {
			circuit := rapid.IntRange(1, 9).Draw(t, "installed circuit")
			in.Actual.Transmit[dataplane.Port(circuit)] = dataplane.Transmit{
				Circuit: dataplane.Port(circuit), Pseudowire: pw.Name, Session: dataplane.SessionID(rapid.IntRange(0, 9).Draw(t, "installed session")),
				Local: own, Remote: far2, Encapsulation: dataplane.EncapsulationIP, Cookie: farCookie, TTL: 1, ClampMTU: 1400,
			}
		}
	}
	in.NextHops = map[dataplane.Flow]dataplane.NextHop{}
	for _, remote := range []netip.Addr{far1, far2} {
		if drawBool.Draw(t, "way is known") {
			hop := dataplane.NextHop{IfIndex: rapid.SampledFrom([]int{50, 50, 1, 2}).Draw(t, "leaves by"), MTU: rapid.IntRange(0, 2000).Draw(t, "hop MTU")}
			in.NextHops[dataplane.Flow{Local: own, Remote: remote}] = hop
		}
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "routes") {
		in.Routes = append(in.Routes, drawRoute(t, i))
	}
	return in
}

// A circuit has one owner, the pseudowire that is configured on it, and what is
// sent has the session and cookie of one far end, whole, and never leaves by a
// circuit.
func TestEveryTransmitIsOneFarEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan := Resolve(in)
		owners := map[string]int{}
		for circuit, tx := range plan.State.Transmit {
			if tx.Pseudowire == "" {
				continue
			}
			pw, ok := configured(in, tx.Pseudowire)
			if !ok || circuitOf(pw, in.Links[pw.Interface]) != circuit || tx.Circuit != circuit {
				t.Fatalf("%+v is not on its circuit", tx)
			}
			if owners[tx.Pseudowire]++; owners[tx.Pseudowire] > 1 {
				t.Fatalf("%s has two circuits", tx.Pseudowire)
			}
			if tx.Session == 0 {
				continue
			}
			if hop, known := in.NextHops[dataplane.Flow{Local: tx.Local, Remote: tx.Remote}]; known && isCircuit(in, hop.IfIndex) || !in.Links[pw.Interface].Up {
				t.Fatalf("%+v is sent", tx)
			}
			if !knownFarEnd(in, pw, tx) {
				t.Fatalf("%+v is no far end of %+v", tx, pw)
			}
		}
		for id, rx := range plan.State.Receive {
			if pw, _ := configured(in, rx.Pseudowire); rx.Session != id || id == 0 || in.Links[pw.Interface].Index != rx.Circuit {
				t.Fatalf("session %d: %+v", id, rx)
			}
		}
	})
}

func isCircuit(in Input, ifindex int) bool {
	return slices.ContainsFunc(in.Config.Pseudowires, func(pw config.Pseudowire) bool {
		link, exists := in.Links[pw.Interface]
		return exists && link.Index == ifindex
	})
}

// takers are the entries that take a frame with two tags, of those that say most
// about it, as the programs look for them.
func takers(s dataplane.State, ifindex int, outer, inner uint16) []string {
	var names []string
	match := func(level func(dataplane.VLANs) bool) {
		for circuit, tx := range s.Transmit {
			if circuit.IfIndex == ifindex && len(names) == 0 && level(circuit.VLANs) {
				names = append(names, tx.Pseudowire)
			}
		}
	}
	has := func(v dataplane.VLANs) bool { return slices.Contains(slices.Collect(v.Outer.All()), outer) }
	match(func(v dataplane.VLANs) bool { return v.Inner == inner && has(v) })
	match(func(v dataplane.VLANs) bool { return v.Inner == 0 && has(v) })
	match(func(v dataplane.VLANs) bool { return v == dataplane.VLANs{} })
	return names
}

// A frame of a configured circuit is taken, by a pseudowire that has it in its
// configuration or, if it is nobody's, by the host; and the port knows that it is
// shared exactly when it is.
func TestEveryFrameHasOneTaker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan := Resolve(in)
		for _, pw := range in.Config.Pseudowires {
			link, exists := in.Links[pw.Interface]
			if !exists {
				continue
			}
			for _, frame := range [][2]uint16{{0, 0}, {100, 0}, {200, 5}, {200, 100}, {200, 101}, {250, 0}, {4000, 0}} {
				names := takers(plan.State, link.Index, frame[0], frame[1])
				if len(names) != 1 {
					t.Fatalf("frame %v on %s is taken by %q", frame, pw.Interface, names)
				}
			}
			circuits := 0
			for circuit := range plan.State.Transmit {
				if circuit.IfIndex == link.Index && circuit.VLANs != (dataplane.VLANs{}) {
					circuits++
				}
			}
			if port := plan.State.Transmit[dataplane.Port(link.Index)]; port.Shared != (circuits > 0) || port.ToHost != (port.Pseudowire == "") {
				t.Fatalf("%d circuits of VLANs and the port %+v", circuits, port)
			}
		}
		for _, s := range plan.Statuses {
			pw, _ := configured(in, s.Name)
			tx := plan.State.Transmit[circuitOf(pw, in.Links[pw.Interface])]
			_, exists := in.Links[pw.Interface]
			lost := strings.HasPrefix(s.Detail, "the circuit belongs to ")
			if (tx.Pseudowire == s.Name) != (exists && !lost) {
				t.Fatalf("%+v has %+v", s, tx)
			}
		}
	})
}

func configured(in Input, name string) (config.Pseudowire, bool) {
	i := slices.IndexFunc(in.Config.Pseudowires, func(pw config.Pseudowire) bool { return pw.Name == name })
	if i < 0 {
		return config.Pseudowire{}, false
	}
	return in.Config.Pseudowires[i], true
}

// knownFarEnd says whether session, cookie and address come together from a
// route, the configuration or the kernel.
func knownFarEnd(in Input, pw config.Pseudowire, tx dataplane.Transmit) bool {
	if pw.Static != nil && isStatic(pw, tx) {
		return true
	}
	for _, kept := range in.Actual.Transmit {
		if in.Holding && kept.Pseudowire == pw.Name && kept.Session == tx.Session && kept.Cookie == tx.Cookie && kept.Remote == tx.Remote {
			return true
		}
	}
	return slices.ContainsFunc(in.Routes, func(r evpn.Route) bool {
		return pw.EVPN != nil && r.Tag == pw.EVPN.RemoteService && slices.ContainsFunc(r.Tunnels, func(tu evpn.Tunnel) bool {
			remote := tu.Endpoint
			if !remote.IsValid() {
				remote = r.NextHop
			}
			return dataplane.SessionID(tu.Session) == tx.Session && string(tu.Cookie) == string(tx.Cookie.Bytes()) && remote == tx.Remote
		})
	})
}

// A pseudowire is up or stale exactly when it can send, and then the far end in
// use may send to it; what is announced can be received.
func TestStatusAgreesWithState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan := Resolve(in)
		if len(plan.Statuses) != len(in.Config.Pseudowires) {
			t.Fatalf("%d statuses of %d pseudowires", len(plan.Statuses), len(in.Config.Pseudowires))
		}
		sends := map[string]dataplane.Transmit{}
		for _, tx := range plan.State.Transmit {
			if tx.Session != 0 {
				sends[tx.Pseudowire] = tx
			}
		}
		for _, s := range plan.Statuses {
			tx, sending := sends[s.Name]
			if sending != (s.State == StateUp || s.State == StateStale) || (s.State == StateUp) != (s.Reason == ReasonNone) {
				t.Fatalf("%+v and transmit %+v", s, tx)
			}
			if rx := plan.State.Receive[s.LocalSession]; sending && (rx.Pseudowire != s.Name || rx.Remote != tx.Remote) {
				t.Fatalf("%s sends %+v and receives %+v", s.Name, tx, rx)
			}
		}
		for _, ad := range plan.Advertise {
			rx, ok := plan.State.Receive[dataplane.SessionID(ad.Session)]
			if !ok || string(ad.Cookie) != string(rx.Cookie.Bytes()) || ad.Endpoint != rx.Local {
				t.Fatalf("announced %+v, installed %+v", ad, rx)
			}
		}
	})
}

// The order in which routes and pseudowires are listed does not matter.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		want := Resolve(in)
		shuffle := rand.New(rand.NewPCG(1, uint64(rapid.IntRange(0, 1000).Draw(t, "seed"))))
		in.Routes = slices.Clone(in.Routes)
		shuffle.Shuffle(len(in.Routes), func(i, j int) { in.Routes[i], in.Routes[j] = in.Routes[j], in.Routes[i] })
		other := *in.Config
		other.Pseudowires = slices.Clone(in.Config.Pseudowires)
		shuffle.Shuffle(len(other.Pseudowires), func(i, j int) {
			other.Pseudowires[i], other.Pseudowires[j] = other.Pseudowires[j], other.Pseudowires[i]
		})
		in.Config = &other
		if d := cmp.Diff(want, Resolve(in), compare); d != "" {
			t.Fatalf("in another order (-want +got):\n%s", d)
		}
	})
}

// What a plan has installed does not change the next plan.
func TestPlanIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		first := Resolve(in)
		in.Actual, in.Clocks = first.State, first.Clocks
		if d := cmp.Diff(first.State, Resolve(in).State, compare); d != "" {
			t.Fatalf("the second pass differs (-first +second):\n%s", d)
		}
	})
}

// What is announced depends on our side only: two ends that each waited for the
// other would wait for ever.
func TestAnnouncementsNeverWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		with := Resolve(in).Advertise
		in.Routes, in.Actual, in.Holding, in.Clocks = nil, dataplane.State{}, false, nil
		if d := cmp.Diff(with, Resolve(in).Advertise, compare); d != "" {
			t.Fatalf("with and without far ends (-with +without):\n%s", d)
		}
	})
}

// Two pseudowires that have nothing in common do not change each other's
// entries.
func TestPseudowiresAreIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		alone := in
		other := staticPW()
		other.Name, other.Interface, other.Static.LocalSession = "zz", "other", 9999
		both := *in.Config
		both.Pseudowires = append(slices.Clone(in.Config.Pseudowires), other)
		in.Config = &both
		in.Links["other"] = Link{Index: 77, MTU: 1500, Ethernet: true, Up: true}
		got := Resolve(in)
		if got.State.Transmit[dataplane.Port(77)].Pseudowire != "zz" || got.State.Receive[9999].Pseudowire != "zz" {
			t.Fatalf("the other pseudowire is missing: %+v", got.State)
		}
		delete(got.State.Transmit, dataplane.Port(77))
		delete(got.State.Receive, 9999)
		if d := cmp.Diff(Resolve(alone).State, got.State, compare); d != "" {
			t.Fatalf("beside another one (-alone +beside):\n%s", d)
		}
	})
}

package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/link"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

// scene runs a test in virtual time on a bench whose agent has started.
func scene(t *testing.T, cfg *config.Config, play func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg)
		b.start()
		defer func() { b.stop() }()
		play(b)
	})
}

func TestSignalledLife(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		if b.ready != 1 {
			t.Errorf("ready %d times", b.ready)
		}
		if runs, early := b.speaker().life(); !runs || early == 0 {
			t.Errorf("the speaker runs: %v, with %d sets announced before", runs, early)
		}
		b.expect("at the start", "down", "no_remote", "")
		b.announces("at the start", 1)
		b.sends("at the start", 0)

		b.send(route(peer1))
		b.expect("learned", "up", "", "signalled")
		b.sends("learned", learnedSession)
		if got := b.plane.State().Receive[555555].Remote; got != far1 {
			t.Errorf("receives from %s", got)
		}
		if want := []dataplane.Flow{{Local: own, Remote: far1}}; !slices.Equal(b.resolver.wanted(), want) {
			t.Errorf("flows %v, want %v", b.resolver.wanted(), want)
		}

		b.send(withdrawal(peer1))
		b.expect("withdrawn", "down", "no_remote", "")
		b.sends("withdrawn", 0)
		if got := b.plane.State().Receive[555555].Remote; got.IsValid() {
			t.Errorf("still receives from %s", got)
		}
	})
}

// A far end that changes in place is one update of each entry, never a delete
// and an add.
func TestImplicitReplace(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.plane.Reset()
		changed := route(peer1)
		changed.Endpoint.Tunnels = []evpn.Tunnel{{Session: 88888, Cookie: "\x08\x08\x08\x08", Endpoint: far1}}
		b.send(changed)
		b.sends("replaced", 88888)
		want := []string{"identity of a", "put transmit 88888 on 3 of a"}
		if diff := cmp.Diff(want, b.plane.Writes()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

func TestCircuitFlap(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.links.carrier(false)
		b.wait(time.Second)
		b.expect("carrier lost", "down", "interface_down", "signalled")
		b.announces("carrier lost", 0)
		b.sends("carrier lost", 0)
		id := b.plane.Identities()["a"]

		b.links.carrier(true)
		b.wait(time.Second)
		b.expect("carrier back", "up", "", "signalled")
		b.announces("carrier back", 1)
		b.sends("carrier back", learnedSession)
		if b.plane.Identities()["a"] != id {
			t.Error("the identity changed")
		}
	})
}

// The withdrawal comes before the far end's packets have nowhere to go, and the
// announcement after they have.
func TestOrderOfWithdrawAndAnnounce(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.plane.Reset()
		var then []string
		note := func(ads []evpn.Advertisement) {
			then = append(then, fmt.Sprintf("announce %d, sending %v", len(ads), b.plane.State().Transmit[dataplane.Port(circuit)].Session != 0))
		}
		b.speaker().set(func(s *fakeSpeaker) { s.announced = note })
		b.links.carrier(false)
		b.wait(time.Second)
		want := []string{"announce 0, sending true", "announce 0, sending false"}
		if diff := cmp.Diff(want, then); diff != "" {
			t.Errorf("going down (-want +got):\n%s", diff)
		}
	})
}

func TestInterfaceAppearsAndIsRecreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signalledConfig())
		delete(b.links.links, "eth2")
		b.start()
		defer b.stop()
		b.expect("absent", "down", "interface_absent", "")
		b.announces("absent", 0)
		b.send(route(peer1))

		appear := func(index int) {
			b.links.change(func(links map[string]link.Link) {
				links["eth2"] = link.Link{Index: index, Name: "eth2", MTU: 1500, AdminUp: true, Carrier: true, Ethernet: true}
			})
			b.wait(time.Second)
		}
		appear(circuit)
		b.expect("appeared", "up", "", "signalled")
		if got := b.plane.Attached(); !slices.Equal(got.Circuits, []int{circuit}) || !slices.Equal(got.Underlays, []int{underlay}) {
			t.Errorf("attached %+v", got)
		}

		appear(77)
		b.expect("recreated", "up", "", "signalled")
		state := b.plane.State()
		if _, old := state.Transmit[dataplane.Port(circuit)]; old || state.Transmit[dataplane.Port(77)].Session != learnedSession || state.Receive[555555].Circuit != 77 {
			t.Errorf("after a new index: %+v", state)
		}
		if on, _ := b.promisc.state(); !slices.Contains(on, 77) {
			t.Errorf("promiscuous: %v", on)
		}
	})
}

func TestFallbackAndReturn(t *testing.T) {
	scene(t, fallbackConfig(), func(b *bench) {
		b.wait(4900 * time.Millisecond)
		b.expect("before static.after", "down", "no_remote", "")
		b.wait(200 * time.Millisecond)
		b.expect("after static.after", "up", "", "static")
		b.sends("after static.after", 1021)
		b.announces("in fallback", 1)

		b.send(route(peer1))
		b.expect("returned", "up", "", "signalled")
		b.sends("returned", learnedSession)
		if _, ok := b.plane.State().Receive[1012]; !ok {
			t.Error("the static session is not received any more: the far end may still use it")
		}

		b.send(withdrawal(peer1))
		b.expect("lost again", "down", "no_remote", "")
		b.wait(5 * time.Second)
		b.expect("lost for 5 s", "up", "", "static")
	})
}

func TestStaticOnly(t *testing.T) {
	scene(t, staticConfig(), func(b *bench) {
		if len(b.speakers) != 0 {
			t.Error("a speaker for a static pseudowire")
		}
		b.expect("at the start", "up", "", "static")
		b.sends("at the start", 1021)
		if got := b.agent.Neighbors(); got == nil || len(got) != 0 {
			t.Errorf("neighbors %v", got)
		}
	})
}

func TestPeerLossIsStaleThenGone(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1), of(speaker.EndOfRIB, peer1), of(speaker.EndOfRIB, peer2))
		b.send(of(speaker.PeerDown, peer1))
		b.expect("peer lost", "stale", "peer_lost", "signalled")
		b.wait(119 * time.Second)
		b.expect("within stale_time", "stale", "peer_lost", "signalled")
		b.sends("within stale_time", learnedSession)
		b.wait(time.Second)
		b.expect("after stale_time", "down", "no_remote", "")
		b.sends("after stale_time", 0)
	})
}

func TestPeerLossAndReturn(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.plane.Reset()
		b.send(of(speaker.EngineDown, netip.Addr{}))
		b.expect("worker dead", "stale", "peer_lost", "signalled")
		b.send(of(speaker.EngineUp, netip.Addr{}), of(speaker.PeerUp, peer1), route(peer1), of(speaker.EndOfRIB, peer1))
		b.expect("back", "up", "", "signalled")
		for _, w := range b.plane.Writes() {
			if !strings.HasPrefix(w, "identity") {
				t.Errorf("the data plane was touched: %s", w)
			}
		}
		b.send(of(speaker.EngineDown, netip.Addr{}), of(speaker.EngineUp, netip.Addr{}), of(speaker.EndOfRIB, peer1))
		b.expect("End-of-RIB without the route", "stale", "peer_lost", "signalled")
		b.wait(settleTime)
		b.expect("settled without the route", "down", "no_remote", "")
	})
}

// A reflector that restarts ends its RIB before its other clients are back, and
// GoBGP then withdraws what it has not sent again: forwarding goes on, and the
// route that comes a little later finds everything as it was.
func TestReflectorReturnsBeforeItsClients(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(of(speaker.PeerUp, peer1), route(peer1), of(speaker.EndOfRIB, peer1))
		b.wait(settleTime)
		b.plane.Reset()
		b.send(of(speaker.PeerDown, peer1), of(speaker.PeerUp, peer1), of(speaker.EndOfRIB, peer1), withdrawal(peer1))
		b.expect("back without the route", "stale", "peer_lost", "signalled")
		b.sends("back without the route", learnedSession)
		b.send(route(peer1))
		b.wait(settleTime)
		b.expect("the route came later", "up", "", "signalled")
		for _, w := range b.plane.Writes() {
			if !strings.HasPrefix(w, "identity") {
				t.Errorf("the data plane was touched: %s", w)
			}
		}
		b.send(withdrawal(peer1))
		b.expect("really withdrawn", "down", "no_remote", "")
	})
}

// Two reflectors: the loss of one changes nothing.
func TestTwoReflectors(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1), route(peer2))
		b.plane.Reset()
		b.send(of(speaker.PeerDown, peer2))
		b.expect("one lost", "up", "", "signalled")
		b.send(of(speaker.PeerUp, peer2), of(speaker.EndOfRIB, peer2), of(speaker.PeerDown, peer1))
		b.expect("the route is left at the lost one only", "stale", "peer_lost", "signalled")
		b.sends("throughout", learnedSession)
	})
}

var compareAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
var compareCookie = cmp.Comparer(func(a, b dataplane.Cookie) bool { return a == b })

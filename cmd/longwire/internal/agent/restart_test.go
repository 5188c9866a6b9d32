package agent

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"longwire/cmd/longwire/internal/config"
	"longwire/evpn/speaker"
)

// restart replaces the agent while the data plane stays.
func (b *bench) restart() {
	b.stop()
	b.plane.Reset()
	b.start()
}

func TestRestartKeepsLearned(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		before := b.plane.State()
		b.restart()
		b.expect("restarted", "stale", "restarting", "signalled")
		if !b.agent.Agent().Holding {
			t.Error("not holding")
		}
		if diff := cmp.Diff(before, b.plane.State(), compareAddr, compareCookie); diff != "" {
			t.Errorf("the restart changed what is forwarded:\n%s", diff)
		}
		b.send(of(speaker.EndOfRIB, peer1))
		b.expect("one End-of-RIB of two", "stale", "restarting", "signalled")
		b.send(route(peer2), of(speaker.EndOfRIB, peer2))
		b.expect("complete", "up", "", "signalled")
		if b.agent.Agent().Holding {
			t.Error("still holding")
		}
		for _, w := range b.plane.Writes() {
			if strings.Contains(w, "delete") || strings.Contains(w, "transmit") {
				t.Errorf("forwarding was touched: %s", w)
			}
		}
	})
}

func TestRestartWithoutTheRoute(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.restart()
		b.send(of(speaker.EndOfRIB, peer1), of(speaker.EndOfRIB, peer2))
		b.expect("complete without the route", "down", "no_remote", "")
		b.sends("complete without the route", 0)
	})
}

func TestSelectionTimer(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.restart()
		b.send(of(speaker.EndOfRIB, peer1))
		b.wait(59 * time.Second)
		b.expect("before selection_time", "stale", "restarting", "signalled")
		b.wait(time.Second)
		b.expect("after selection_time", "down", "no_remote", "")
		want := []string{"neighbor 192.0.2.253 has sent no End-of-RIB since the agent's start"}
		if diff := cmp.Diff(want, b.agent.Agent().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		b.send(of(speaker.EndOfRIB, peer2))
		if got := b.agent.Agent().Problems; len(got) != 0 {
			t.Errorf("problems after it came: %v", got)
		}
	})
}

// Static sessions are reconciled at once, also while learned ones are held.
func TestRestartReconcilesStaticAtOnce(t *testing.T) {
	scene(t, fallbackConfig(), func(b *bench) {
		b.wait(6 * time.Second)
		b.sends("in fallback", 1021)
		b.stop()
		b.cfg = edit(b.cfg, func(cfg *config.Config) {
			s := *cfg.Pseudowires[0].Static
			s.LocalSession = 2012
			cfg.Pseudowires[0].Static = &s
		})
		b.start()
		b.expect("restarted", "up", "", "static")
		b.sends("restarted", 1021)
		if _, ok := b.plane.State().Receive[2012]; !ok {
			t.Error("the new session is not there")
		}
		b.wait(receiveGrace + time.Second)
		if _, ok := b.plane.State().Receive[1012]; ok {
			t.Error("the old session is still there")
		}
	})
}

// gobgpdConfig has an operator's gobgpd instead of neighbours.
func gobgpdConfig() *config.Config {
	cfg := signalledConfig()
	cfg.BGP.Gobgpd, cfg.BGP.Neighbors = "unix:///run/gobgpd.sock", nil
	return cfg
}

// Which peers there are we learn from an operator's gobgpd: what was learned
// before our restart is kept until all of them have sent everything.
func TestRestartBehindGobgpd(t *testing.T) {
	scene(t, gobgpdConfig(), func(b *bench) {
		up := speaker.Event{Kind: speaker.EngineUp, Peers: []netip.Addr{peer1, peer2}}
		b.send(up, route(peer1))
		b.restart()
		b.expect("restarted", "stale", "restarting", "signalled")
		b.send(up, route(peer1), of(speaker.EndOfRIB, peer1))
		b.expect("one End-of-RIB of two", "up", "", "signalled")
		if !b.agent.Agent().Holding {
			t.Error("not holding with an End-of-RIB to come")
		}
		b.send(of(speaker.EngineDown, netip.Addr{}), up) // it says the same when it comes back
		if !b.agent.Agent().Holding {
			t.Error("not holding after gobgpd's restart")
		}
		b.send(of(speaker.EndOfRIB, peer2))
		if b.agent.Agent().Holding {
			t.Error("still holding")
		}
	})
}

// A reload does not end the wait for the peers of gobgpd, which are in no file.
func TestReloadBehindGobgpd(t *testing.T) {
	scene(t, gobgpdConfig(), func(b *bench) {
		b.send(speaker.Event{Kind: speaker.EngineUp, Peers: []netip.Addr{peer1}})
		if err := b.agent.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !b.agent.Agent().Holding {
			t.Error("not holding")
		}
	})
}

// While an operator's gobgpd is not there, that is a problem of the agent.
func TestGobgpdAbsent(t *testing.T) {
	scene(t, gobgpdConfig(), func(b *bench) {
		problems := func(when string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, b.agent.Agent().Problems, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: problems (-want +got):\n%s", when, diff)
			}
		}
		b.send(speaker.Event{Kind: speaker.EngineDown, Reason: "nobody listens"})
		problems("absent", "no BGP: nobody listens")
		b.send(speaker.Event{Kind: speaker.EngineUp, Peers: []netip.Addr{peer1}}, route(peer1), of(speaker.EndOfRIB, peer1))
		problems("there")
		b.expect("there", "up", "", "signalled")
		b.send(speaker.Event{Kind: speaker.EngineDown, Reason: "it has ended"})
		problems("gone", "no BGP: it has ended")
		b.expect("gone", "stale", "peer_lost", "signalled")
	})
}

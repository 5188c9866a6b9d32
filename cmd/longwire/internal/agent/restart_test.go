package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

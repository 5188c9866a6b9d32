package agent

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

// reload asks the agent for a reload of a configuration.
func (b *bench) reload(cfg *config.Config, loadErr error) error {
	b.cfg, b.loadErr = cfg, loadErr
	return b.agent.Reload(context.Background())
}

func TestReloadRefused(t *testing.T) {
	good := signalledConfig()
	tests := []struct {
		name    string
		cfg     *config.Config
		loadErr error
		refuse  error
		want    string
	}{
		{"bad file", nil, errors.New("pe1.yaml:3: x: is wrong"), nil, "pe1.yaml:3: x: is wrong"},
		{
			"what only a restart changes", edit(good, func(c *config.Config) { c.State.Pins, c.Dataplane.Capacity = "/x", 5 }), nil, nil,
			"pe1.yaml: state, dataplane.capacity cannot change while the agent runs; restart it",
		},
		{"what the speaker refuses", edit(good, func(c *config.Config) { c.Router.ASN = 1 }), nil, errors.New("no"), "pe1.yaml: bgp: no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scene(t, good, func(b *bench) {
				b.send(route(peer1))
				before := b.plane.State()
				b.speaker().set(func(s *fakeSpeaker) { s.refuse = tt.refuse })
				var invalid *api.InvalidConfig
				if err := b.reload(tt.cfg, tt.loadErr); !errors.As(err, &invalid) || invalid.Message != tt.want {
					t.Errorf("reload: %v, want %q", err, tt.want)
				}
				b.wait(2 * fullPass)
				b.expect("after a refused reload", "up", "", "signalled")
				if diff := cmp.Diff(before, b.plane.State(), compareAddr, compareCookie); diff != "" {
					t.Errorf("the data plane changed:\n%s", diff)
				}
			})
		})
	}
}

// A reload touches what changed and nothing else, and is done when it returns.
func TestReloadTouchesOnlyWhatChanged(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.plane.Reset()
		next := edit(b.cfg, func(c *config.Config) {
			c.Pseudowires[0].TTL = 9
			c.BGP.Neighbors = c.BGP.Neighbors[:1]
		})
		if err := b.reload(next, nil); err != nil {
			t.Fatal(err)
		}
		want := []string{"identity of a", "put transmit 77777 on 3 of a"}
		if diff := cmp.Diff(want, b.plane.Writes()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if got := b.speaker().neighbors(); got != 1 || len(b.speakers) != 1 {
			t.Errorf("%d neighbours, %d speakers", got, len(b.speakers))
		}
		b.send(of(speaker.EndOfRIB, peer1))
		if b.agent.Agent().Holding {
			t.Error("still waits for the neighbour that was removed")
		}
	})
}

// A static session id that a signalled pseudowire has is taken from it.
func TestReloadReservesASession(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		next := edit(b.cfg, func(c *config.Config) {
			c.Pseudowires[0].Static = staticFarEnd(config.WhenFallback)
			c.Pseudowires[0].Static.LocalSession = 555555
		})
		if err := b.reload(next, nil); err != nil {
			t.Fatal(err)
		}
		ads := b.speaker().last()
		if len(ads) != 1 || ads[0].Session == 555555 {
			t.Errorf("announced %+v", ads)
		}
		if got := b.plane.State().Receive[555555]; got.Remote != far2 {
			t.Errorf("the static session is %+v", got)
		}
	})
}

func TestReloadAddsAndRemovesBGP(t *testing.T) {
	scene(t, staticConfig(), func(b *bench) {
		if err := b.reload(signalledConfig(), nil); err != nil {
			t.Fatal(err)
		}
		b.wait(time.Second)
		if runs, early := b.speaker().life(); !runs || early != 1 {
			t.Errorf("runs %v, %d sets before", runs, early)
		}
		b.announces("with BGP", 1)
		b.send(route(peer1))
		b.expect("signalled now", "up", "", "signalled")

		if err := b.reload(staticConfig(), nil); err != nil {
			t.Fatal(err)
		}
		b.expect("static again", "up", "", "static")
		b.announces("static again", 0)
		if got := b.agent.Routes(); len(got) != 0 {
			t.Errorf("routes %v", got)
		}
	})
}

func TestReloadAfterTheEnd(t *testing.T) {
	scene(t, staticConfig(), func(b *bench) {
		b.stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := b.agent.Reload(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reload: %v", err)
		}
		b.start()
	})
}

func TestViews(t *testing.T) {
	scene(t, fallbackConfig(), func(b *bench) {
		other := route(peer2)
		other.Endpoint.NextHop = netip.Addr{}
		unused := route(peer2)
		unused.Endpoint.Tag, unused.Key.Tag = 103, 103
		b.send(route(peer1), other, unused)
		b.send(of(speaker.PeerDown, peer2))

		verdicts := map[string]string{}
		for _, r := range b.agent.Routes() {
			verdicts[r.Peer+" "+string(rune('0'+r.Service-100))] = r.Verdict
			if (r.StaleSince != nil) != (r.Peer == peer2.String()) {
				t.Errorf("stale since %v: %+v", r.StaleSince, r)
			}
		}
		want := map[string]string{"192.0.2.254 2": api.RouteSelected, "192.0.2.253 2": api.RouteBlocked, "192.0.2.253 3": api.RouteUnused}
		if diff := cmp.Diff(want, verdicts); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}

		hidden, err := b.agent.Sessions(false)
		if err != nil || len(hidden) != 3 {
			t.Fatalf("sessions %+v, %v", hidden, err)
		}
		for _, s := range hidden {
			if s.Cookie != "" {
				t.Errorf("a cookie without asking: %+v", s)
			}
		}
		shown, _ := b.agent.Sessions(true)
		transmit := api.Session{
			Pseudowire: "a", Direction: "transmit", Session: learnedSession, Interface: "eth2", Local: "192.0.2.1", Remote: "192.0.2.9",
			Encapsulation: "ip", Sublayer: "none", CookieLength: 4, Cookie: "09090909",
			Options: []string{"ttl=64", "too-big=fragment"},
		}
		if diff := cmp.Diff(transmit, shown[2]); diff != "" {
			t.Errorf("transmit session (-want +got):\n%s", diff)
		}

		b.plane.SetCounters("", dataplane.Counters{Drops: map[dataplane.Drop]uint64{dataplane.DropUnknownSession: 4}})
		counters, err := b.agent.Counters()
		wantCounters := []api.Counters{{Drops: map[string]uint64{"unknown_session": 4}}, {Pseudowire: "a", Drops: map[string]uint64{}}}
		if diff := cmp.Diff(wantCounters, counters); diff != "" || err != nil {
			t.Errorf("counters %v (-want +got):\n%s", err, diff)
		}
		if n := b.agent.Neighbors(); len(n) != 1 || n[0].Address != "192.0.2.254" || n[0].State != "established" {
			t.Errorf("neighbors %+v", n)
		}
		if a := b.agent.Agent(); a.Version != "test" || a.PID != 42 || a.Config != "pe1.yaml" {
			t.Errorf("agent %+v", a)
		}
	})
}

// A route that its pseudowire refuses by policy is shown as blocked.
func TestViewOfPolicyProblem(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		big := route(peer1)
		big.Endpoint.HasL2, big.Endpoint.L2.MTU = true, 9000
		b.send(big)
		r := b.agent.Routes()[0]
		if r.Verdict != api.RouteBlocked || r.Reason != string(evpn.ReasonMTUMismatch) || r.Pseudowires[0] != "a" {
			t.Errorf("%+v", r)
		}
	})
}

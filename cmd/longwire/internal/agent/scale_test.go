package agent

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/link"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

// many is the number of pseudowires here.
const many = 500

func manyConfig() *config.Config {
	cfg := signalledConfig()
	first := cfg.Pseudowires[0]
	cfg.Pseudowires = nil
	for i := range many {
		pw := first
		pw.Name, pw.Interface = fmt.Sprintf("pw%03d", i), fmt.Sprintf("ac%d", i)
		pw.EVPN = &config.EVPN{RouteTargets: first.EVPN.RouteTargets, LocalService: evpn.ServiceID(1000 + i), RemoteService: evpn.ServiceID(2000 + i)}
		cfg.Pseudowires = append(cfg.Pseudowires, pw)
	}
	return cfg
}

// routeOf is the route of the i-th far end.
func routeOf(i int) speaker.Event {
	e := route(peer1)
	e.Endpoint.Tag = evpn.ServiceID(2000 + i)
	e.Endpoint.Tunnels = []evpn.Tunnel{{Session: evpn.SessionID(1 + i), Cookie: "\x01\x02\x03\x04", Endpoint: far1}}
	e.Key = e.Endpoint.Key
	return e
}

// Many pseudowires come up together, each with its own far end, and the loss of
// one leaves the others untouched.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, manyConfig())
		for i := range many {
			name := fmt.Sprintf("ac%d", i)
			b.links.links[name] = link.Link{Index: 100 + i, Name: name, MTU: 1500, AdminUp: true, Carrier: true, Ethernet: true}
		}
		b.start()
		defer b.stop()
		b.announces("at the start", many)
		for i := range many {
			b.speaker().events <- routeOf(i)
		}
		b.wait(time.Second)
		state := b.plane.State()
		for i := range many {
			tx, rx := state.Transmit[dataplane.Port(100+i)], state.Receive[b.plane.Identities()[fmt.Sprintf("pw%03d", i)].Session]
			if tx.Session != dataplane.SessionID(1+i) || tx.Pseudowire != fmt.Sprintf("pw%03d", i) || rx.Circuit != 100+i || rx.Remote != far1 {
				t.Fatalf("pseudowire %d: %+v and %+v", i, tx, rx)
			}
		}

		b.plane.Reset()
		lost := routeOf(7)
		lost.Kind = speaker.RouteWithdraw
		b.send(lost)
		changed := 0
		for _, c := range b.plane.Calls() {
			if c.Op != "read" && c.Op != "identity" {
				changed++
				if c.Pseudowire != "pw007" {
					t.Errorf("touched %s", c)
				}
			}
		}
		if changed != 2 {
			t.Errorf("%d changes, want the receive session closed and the transmit session deleted", changed)
		}
		up := 0
		for _, p := range b.agent.Pseudowires() {
			if p.State == "up" {
				up++
			}
		}
		if up != many-1 {
			t.Errorf("%d are up, want %d", up, many-1)
		}
	})
}

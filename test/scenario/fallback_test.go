package scenario

import (
	"fmt"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestFallbackAndReturn takes the route reflector away: the static far end takes
// over after its delay, and gives way when the route is back.
func TestFallbackAndReturn(t *testing.T) {
	t.Parallel()
	recordOutside(t, "static far end takes over, and gives way again")
	w := wire{signalled: true, static: true, when: "fallback", cookie: 8}
	signalledOnly := wire{number: 1, signalled: true, cookie: 8}
	p := newPair(t, lab.Options{Circuits: 2}, []wire{w, signalledOnly}, byReflector)
	p.configure(func(_ int, c *lab.Config) {
		c.BGP.StaleTime = "3s"
		c.Pseudowires[0].Static.After = "1s"
	})
	rr := p.reflect()
	p.launch()
	p.awaitSource(1, w, "signalled")
	p.awaitSource(2, w, "signalled")
	p.pings(w)
	signalled := p.mustRead(1)[w.name()]

	rr.Kill()
	if *bgpMode != "frr" { // which withdraws at once
		p.await(1, w, "stale", "peer_lost")
		p.pings(w)
	}
	p.awaitSource(1, w, "static")
	p.awaitSource(2, w, "static")
	p.pings(w)
	p.await(1, signalledOnly, "down", "no_remote")
	p.silent(signalledOnly)
	row := p.mustRead(1)[w.name()]
	if row.LocalSession != w.session(1) || row.RemoteSession != w.session(2) {
		t.Errorf("fallback uses other sessions than configured: %+v", row)
	}

	rr.Restart()
	p.awaitSource(1, w, "signalled")
	p.awaitSource(2, w, "signalled")
	p.await(1, signalledOnly, "up", "")
	p.pings(w)
	p.pings(signalledOnly)
	if again := p.mustRead(1)[w.name()]; again.LocalSession != signalled.LocalSession || again.RemoteSession != signalled.RemoteSession {
		t.Errorf("sessions changed over the fallback: %+v, then %+v", signalled, again)
	}
}

// TestFallbackWithoutBGPAtAll starts with no reflector: the static far end is in
// use after its delay, although nothing was ever signalled.
func TestFallbackWithoutBGPAtAll(t *testing.T) {
	t.Parallel()
	recordOutside(t, "no reflector at the start: static far end")
	w := wire{signalled: true, static: true, when: "fallback", cookie: 4, udp: true}
	p := newPair(t, lab.Options{}, []wire{w}, byReflector)
	p.configure(func(_ int, c *lab.Config) {
		c.BGP.SelectionTime = "10s"
		c.Pseudowires[0].Static.After = "1s"
	}).launch()
	p.awaitSource(1, w, "static")
	p.pings(w)
}

// TestAgentKilled kills an agent without notice under traffic: nothing is lost
// while it is dead nor when it comes back, and it comes back with the same
// sessions.
func TestAgentKilled(t *testing.T) {
	tests := []struct {
		name      string
		reflector bool
	}{{"by a route reflector", true}, {"directly", false}}
	if *bgpMode != "worker" {
		tests = tests[:1] // the other one has no daemon on the PEs
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			recordOutside(t, agentKilledRow())
			wires := encapsulations(0)
			for i := range wires {
				wires[i].signalled, wires[i].cookie = true, 8
			}
			bgp := byReflector
			if !tt.reflector {
				bgp = func(side int) (uint32, *lab.BGP) {
					return 65000, &lab.BGP{Neighbors: []lab.Neighbor{{Address: wire{}.source(3 - side), ASN: 65000,
						LocalAddress: wire{}.source(side).String(), HoldTime: "9s"}}}
				}
			}
			p := newPair(t, lab.Options{Circuits: len(wires)}, wires, bgp)
			if tt.reflector {
				p.reflect()
			}
			p.launch()
			p.killedUnderTraffic(t, wires)
		})
	}
}

// killedUnderTraffic kills and restarts the agent of PE1 while every wire
// carries a stream in each direction.
func (p *pair) killedUnderTraffic(t *testing.T, wires []wire) {
	before := [3]map[string]pseudowire{1: p.mustRead(1), 2: p.mustRead(2)}
	var flows []*lab.Stream
	for _, w := range wires {
		port := lab.HostPort(w.number)
		flows = append(flows, p.Stream(p.CE1, port, p.CE2, port, 2*time.Millisecond),
			p.Stream(p.CE2, port, p.CE1, port, 2*time.Millisecond))
	}
	p.flowing(flows, 100)
	p.agents[1].Daemon().Kill()
	if *bgpMode == "frr" {
		p.backAfterFRR(flows, wires, before)
		return
	}
	// Long enough for the leases of next hops to run out.
	had := flows[0].Received()
	p.flowing(flows, had+2500)
	p.agents[1].Launch()
	p.awaitAllUp(1)
	p.awaitAllUp(2)
	p.flowing(flows, flows[0].Received()+500)
	for i, flow := range flows {
		if sent, lost := flow.Stop(); lost != 0 {
			t.Errorf("%v, direction %d: %d of %d frames lost", wires[i/2], i%2+1, lost, sent)
		}
	}
	p.sameSessions(before)
}

// sameSessions compares the sessions of both sides with those of before.
func (p *pair) sameSessions(before [3]map[string]pseudowire) {
	p.t.Helper()
	for side := 1; side <= 2; side++ {
		for name, now := range p.mustRead(side) {
			was := before[side][name]
			if was.LocalSession != now.LocalSession || was.RemoteSession != now.RemoteSession {
				p.t.Errorf("PE%d: sessions changed: %+v, then %+v", side, was, now)
			}
		}
	}
}

// flowing waits until every stream has delivered count frames.
func (p *pair) flowing(flows []*lab.Stream, count int) {
	p.t.Helper()
	p.Poll(30*time.Second, "traffic", func() error {
		for i, flow := range flows {
			if got := flow.Received(); got < count {
				return fmt.Errorf("stream %d delivered %d of %d frames", i, got, count)
			}
		}
		return nil
	})
}

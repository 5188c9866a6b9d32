package speaker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"longwire/evpn"
	"longwire/evpn/wire"
)

// bench feeds an adjIn by hand. GoBGP's clock and ours run alike.
type bench struct {
	in  *adjIn
	now time.Time
	out []string
}

var neighbor = netip.MustParseAddr("192.0.2.254")

func newBench() *bench { return &bench{in: newAdjIn(), now: time.Unix(1700000000, 0)} }

func key(service evpn.ServiceID) evpn.Key { return evpn.Key{Peer: neighbor, Tag: service} }

func (b *bench) pass(d time.Duration) { b.now = b.now.Add(d); b.note(b.in.expire(b.now)) }

func (b *bench) note(events []Event) {
	for _, ev := range events {
		text := ev.Kind.String()
		if ev.Kind == RouteUpdate || ev.Kind == RouteWithdraw {
			text += fmt.Sprintf(" %d", ev.Key.Tag)
		}
		b.out = append(b.out, text)
	}
}

func (b *bench) message(m wire.BMPMessage) {
	m.Peer = neighbor
	if m.Time.IsZero() {
		m.Time = b.now
	}
	m.Time = m.Time.Truncate(time.Second)
	b.note(b.in.message(m, b.now))
}

func (b *bench) up()   { b.message(wire.BMPMessage{Kind: wire.BMPPeerUp}) }
func (b *bench) down() { b.message(wire.BMPMessage{Kind: wire.BMPPeerDown}) }

func (b *bench) announce(services ...evpn.ServiceID) {
	for _, s := range services {
		b.message(wire.BMPMessage{Kind: wire.BMPRouteMonitoring, PostPolicy: true,
			Update: wire.Update{Reach: []evpn.Endpoint{{Key: key(s)}}}})
	}
}

// withdraw is a withdrawal that was received at a given time.
func (b *bench) withdraw(received time.Time, services ...evpn.ServiceID) {
	for _, s := range services {
		b.message(wire.BMPMessage{Kind: wire.BMPRouteMonitoring, PostPolicy: true, Time: received,
			Update: wire.Update{Unreach: []evpn.Key{key(s)}}})
	}
}

func (b *bench) end(since time.Time, services ...evpn.ServiceID) {
	end := ribEnd{peer: neighbor, since: since.Truncate(time.Second)}
	for _, s := range services {
		end.routes = append(end.routes, key(s))
	}
	b.note(b.in.endOfRIB(end))
}

func (b *bench) want(t *testing.T, events ...string) {
	t.Helper()
	if got, want := strings.Join(b.out, ", "), strings.Join(events, ", "); got != want {
		t.Errorf("events:\n got %s\nwant %s", got, want)
	}
	b.out = nil
}

func TestRealWithdrawal(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1, 2)
	b.pass(5 * time.Second)
	b.withdraw(b.now, 1)
	b.want(t, "peer up", "route update 1", "route update 2", "route withdraw 1")
}

// In the second of the announcement a withdrawal could be the end of the
// session; without one it is real a moment later.
func TestWithdrawalInDoubt(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1)
	b.withdraw(b.now, 1)
	b.want(t, "peer up", "route update 1")
	if due := b.in.due(); !due.Equal(b.now.Add(quiet)) {
		t.Errorf("due at %v, now %v", due, b.now)
	}
	b.pass(quiet - 1)
	b.want(t)
	b.pass(1)
	b.want(t, "route withdraw 1")
	if !b.in.due().IsZero() {
		t.Error("something is still due")
	}
}

func TestWithdrawalInDoubtThenAnnounced(t *testing.T) {
	b := newBench()
	b.up()
	for range 3 {
		b.announce(1)
		b.withdraw(b.now, 1)
	}
	b.announce(1)
	b.pass(time.Second)
	b.want(t, "peer up", "route update 1", "route update 1", "route update 1", "route update 1")
}

// A stream of doubtful withdrawals does not delay the first for ever.
func TestWithdrawalsInDoubtAreBounded(t *testing.T) {
	b := newBench()
	b.up()
	for service := evpn.ServiceID(1); service < 30; service++ {
		b.announce(service)
		b.withdraw(b.now, service)
		b.pass(quiet - 1)
		if len(b.out) > 0 && strings.HasPrefix(b.out[len(b.out)-1], "route withdraw") {
			if waited := time.Duration(service) * (quiet - 1); waited < longest {
				t.Errorf("reported after %v", waited)
			}
			return
		}
	}
	t.Error("never reported")
}

// Without graceful restart GoBGP withdraws every route with the route's own
// time, and then says that the session is lost.
func TestSessionLossWithoutGracefulRestart(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1, 2)
	learnt := b.now
	b.pass(time.Hour)
	b.withdraw(learnt, 1, 2)
	b.down()
	b.pass(time.Second)
	b.want(t, "peer up", "route update 1", "route update 2", "peer down")
	b.up()
	b.announce(1)
	b.end(b.now, 1)
	b.want(t, "peer up", "route update 1", "end of rib")
}

// In graceful restart BMP shows the loss and the return, and neither withdraws
// nor repeats a route; at the end GoBGP withdraws what was not sent again.
func TestSessionLossInGracefulRestart(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1, 2)
	learnt := b.now
	b.pass(time.Hour)
	b.down()
	b.pass(time.Second)
	b.up()
	b.announce(3)
	b.want(t, "peer up", "route update 1", "route update 2", "peer down", "peer up", "route update 3")
	b.end(b.now, 1, 3)
	b.withdraw(learnt, 2)
	b.pass(time.Second)
	b.want(t, "route update 1", "end of rib", "route withdraw 2")
}

// When the restart timer expires GoBGP withdraws what is stale already.
func TestRestartTimerExpires(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1)
	learnt := b.now
	b.down()
	b.pass(time.Minute)
	b.withdraw(learnt, 1)
	b.pass(time.Second)
	b.want(t, "peer up", "route update 1", "peer down")
}

// The End-of-RIB comes another way and waits for what BMP has yet to tell.
func TestEndOvertakesRoutes(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1)
	b.end(b.now, 1, 2, 3)
	b.want(t, "peer up", "route update 1")
	b.announce(2)
	b.want(t, "route update 2")
	b.announce(3)
	b.want(t, "route update 3", "end of rib")
}

func TestEndOvertakesSession(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1)
	b.pass(10 * time.Second)
	b.end(b.now, 1, 2) // of the next session, of whose beginning BMP lags behind
	b.want(t, "peer up", "route update 1")
	b.down()
	b.up()
	b.want(t, "peer down", "peer up")
	b.announce(2)
	b.want(t, "route update 2", "route update 1", "end of rib")
}

// A route that was listed at the End-of-RIB and withdrawn since is not awaited,
// and does not come back.
func TestEndListsWhatIsGone(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(1, 2)
	b.pass(2 * time.Second)
	b.withdraw(b.now, 1)
	b.end(b.now.Add(-2*time.Second), 1, 2)
	b.want(t, "peer up", "route update 1", "route update 2", "route withdraw 1", "end of rib")
	b.end(b.now.Add(-2*time.Second), 2, 3)
	b.withdraw(b.now, 3)
	b.want(t, "route withdraw 3", "end of rib")
}

// An End-of-RIB that waits for routes ends with its session.
func TestEndOfLostSession(t *testing.T) {
	b := newBench()
	b.up()
	b.end(b.now, 1)
	b.down()
	b.pass(time.Second)
	b.up()
	b.announce(1)
	b.want(t, "peer up", "peer down", "peer up", "route update 1")
}

func TestRemoveNeighbor(t *testing.T) {
	b := newBench()
	b.up()
	b.announce(2, 1, 3)
	learnt := b.now
	b.withdraw(learnt, 3) // still held
	b.note(b.in.remove(neighbor))
	b.want(t, "peer up", "route update 2", "route update 1", "route update 3", "peer removed")
	// What was on its way comes and goes.
	b.announce(4)
	b.withdraw(learnt, 1, 2, 4)
	b.want(t, "route update 4", "route withdraw 1", "route withdraw 2", "route withdraw 4")
}

// GoBGP's own routes and pre-policy copies are nobody's.
func TestNotOfAPeer(t *testing.T) {
	in := newAdjIn()
	for _, m := range []wire.BMPMessage{
		{Kind: wire.BMPInitiation},
		{Kind: wire.BMPPeerUp, Peer: netip.IPv6Unspecified()},
		{Kind: wire.BMPRouteMonitoring, PostPolicy: true, Peer: netip.IPv6Unspecified(), Update: wire.Update{Reach: []evpn.Endpoint{{}}}},
		{Kind: wire.BMPRouteMonitoring, Peer: neighbor, Update: wire.Update{Reach: []evpn.Endpoint{{}}}},
		{Kind: wire.BMPStatistics, Peer: neighbor},
	} {
		if events := in.message(m, time.Now()); len(events) != 0 {
			t.Errorf("%+v makes %v", m, events)
		}
	}
}

// Over random lives of a session, as GoBGP plays them, a table that applies the
// events ends up fresh and equal to what the peer has once the End-of-RIB is in,
// and nothing is ever deleted because a session is lost.
func TestAdjInModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &gobgp{bench: newBench(), table: evpn.NewTable(), held: map[evpn.ServiceID]time.Time{}, graceful: rapid.Bool().Draw(t, "graceful restart")}
		services := rapid.SliceOfDistinct(rapid.Uint32Range(1, 6), rapid.ID)
		for range rapid.IntRange(1, 6).Draw(t, "sessions") {
			g.establish()
			for _, s := range services.Draw(t, "announced") {
				g.announceOnce(evpn.ServiceID(s))
				g.pass(time.Duration(rapid.IntRange(0, 1500).Draw(t, "milliseconds")) * time.Millisecond)
			}
			g.endOfRIB()
			for _, s := range services.Draw(t, "withdrawn") {
				g.withdrawOnce(evpn.ServiceID(s))
			}
			g.pass(longest)
			g.check(t)
			before := len(g.table.Routes())
			g.lose()
			if after := len(g.table.Routes()); after != before {
				t.Fatalf("the loss of the session changes %d routes to %d", before, after)
			}
		}
	})
}

// gobgp plays GoBGP's part, as it was measured.
type gobgp struct {
	*bench
	table    *evpn.Table
	graceful bool
	held     map[evpn.ServiceID]time.Time // what GoBGP holds, with the time it was received
	sent     map[evpn.ServiceID]bool      // in this session
	since    time.Time
}

// apply moves the events into the table.
func (g *gobgp) apply(events []Event) {
	for _, ev := range events {
		switch ev.Kind {
		case RouteUpdate:
			g.table.Update(ev.Endpoint, g.now)
		case RouteWithdraw:
			g.table.Withdraw(ev.Key)
		case PeerDown:
			g.table.PeerDown(ev.Peer, g.now)
		case EndOfRIB:
			g.table.EndOfRIB(ev.Peer)
		case PeerRemoved:
			g.table.PeerRemoved(ev.Peer)
		case PeerUp, EngineUp, EngineDown:
		}
	}
}

func (g *gobgp) tell(m wire.BMPMessage) {
	m.Peer, m.PostPolicy, m.Time = neighbor, true, m.Time.Truncate(time.Second)
	g.apply(g.in.message(m, g.now))
}

func (g *gobgp) pass(d time.Duration) {
	g.now = g.now.Add(d)
	g.apply(g.in.expire(g.now))
}

func (g *gobgp) establish() {
	g.pass(5 * time.Second) // GoBGP rests that long
	g.since, g.sent = g.now, map[evpn.ServiceID]bool{}
	g.tell(wire.BMPMessage{Kind: wire.BMPPeerUp, Time: g.now})
}

// announceOnce tells BMP only of what is new.
func (g *gobgp) announceOnce(s evpn.ServiceID) {
	g.sent[s] = true
	if _, known := g.held[s]; !known {
		g.held[s] = g.now
		g.tell(wire.BMPMessage{Kind: wire.BMPRouteMonitoring, Time: g.now, Update: wire.Update{Reach: []evpn.Endpoint{{Key: key(s)}}}})
	}
}

func (g *gobgp) withdrawOnce(s evpn.ServiceID) {
	if _, known := g.held[s]; known {
		delete(g.held, s)
		g.tell(wire.BMPMessage{Kind: wire.BMPRouteMonitoring, Time: g.now, Update: wire.Update{Unreach: []evpn.Key{key(s)}}})
	}
}

// drop withdraws with the time of the route.
func (g *gobgp) drop(s evpn.ServiceID) {
	received := g.held[s]
	delete(g.held, s)
	g.tell(wire.BMPMessage{Kind: wire.BMPRouteMonitoring, Time: received, Update: wire.Update{Unreach: []evpn.Key{key(s)}}})
}

func (g *gobgp) endOfRIB() {
	end := ribEnd{peer: neighbor, since: g.since.Truncate(time.Second)}
	for s := range g.sent {
		end.routes = append(end.routes, key(s))
	}
	g.apply(g.in.endOfRIB(end))
	for s := range g.held {
		if !g.sent[s] {
			g.drop(s)
		}
	}
}

func (g *gobgp) lose() {
	if !g.graceful {
		for s := range g.held {
			g.drop(s)
		}
	}
	g.tell(wire.BMPMessage{Kind: wire.BMPPeerDown, Time: g.now})
	g.pass(longest)
}

func (g *gobgp) check(t *rapid.T) {
	routes := g.table.Routes()
	if len(routes) != len(g.held) {
		t.Fatalf("the table has %d routes, GoBGP %d", len(routes), len(g.held))
	}
	for _, r := range routes {
		if _, ok := g.held[r.Tag]; !ok || r.Stale() {
			t.Fatalf("route %d: held %v, stale %v", r.Tag, ok, r.Stale())
		}
	}
}

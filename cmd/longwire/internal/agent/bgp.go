package agent

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

// running is a speaker with the end of its life.
type running struct {
	Speaker
	cancel context.CancelFunc
	done   chan struct{}
}

// prepareSpeaker makes a speaker if the configuration needs one. It begins to
// speak when the returned function is called, after the first announcements
// are with it: a peer must not see us without routes.
func (a *Agent) prepareSpeaker(cfg *config.Config) (start func(context.Context)) {
	if !cfg.BGP.Enabled() {
		return func(context.Context) {}
	}
	r := &running{Speaker: a.deps.NewSpeaker(speakerConfig(cfg)), done: make(chan struct{}), cancel: func() {}}
	a.speaker.Store(r)
	return func(ctx context.Context) {
		ctx, r.cancel = context.WithCancel(ctx)
		go func() {
			defer close(r.done)
			if err := r.Run(ctx); err != nil && ctx.Err() == nil {
				select {
				case a.failed <- fmt.Errorf("speak BGP: %w", err):
				default:
				}
			}
		}()
	}
}

// stopSpeaker ends the speaker as a restart does: peers keep our routes.
func (a *Agent) stopSpeaker() {
	if r := a.speaker.Swap(nil); r != nil {
		r.cancel()
		<-r.done
	}
}

// events is the channel of the speaker, or one on which nothing comes.
func (a *Agent) events() <-chan speaker.Event {
	if r := a.speaker.Load(); r != nil {
		return r.Events()
	}
	return nil
}

// drain applies an event and those that wait behind it, so that a flood costs
// one pass.
func (a *Agent) drain(event speaker.Event) {
	a.apply(event, time.Now())
	for range drainLimit {
		select {
		case event := <-a.events():
			a.apply(event, time.Now())
		default:
			return
		}
	}
}

// apply enters one event in the table. Nothing is deleted because a session or
// the worker is lost; what is stale goes some time after the peer has sent
// everything again, or when its time is over.
func (a *Agent) apply(event speaker.Event, now time.Time) {
	switch event.Kind {
	case speaker.RouteUpdate:
		if !a.table.Update(event.Endpoint, now) {
			return
		}
	case speaker.RouteWithdraw:
		if a.returning.has(event.Peer) && a.table.Stale(event.Key) || !a.table.Withdraw(event.Key) {
			return
		}
	case speaker.EndOfRIB:
		a.returning.complete(event.Peer, now)
		a.complete(event.Peer)
	case speaker.PeerDown:
		a.returning.gone(event.Peer)
		a.table.PeerDown(event.Peer, now)
		a.deps.Log.Warn("BGP session lost", "neighbor", event.Peer)
	case speaker.PeerRemoved:
		a.returning.gone(event.Peer)
		a.table.PeerRemoved(event.Peer)
	case speaker.PeerUp:
		a.returning.up(event.Peer)
		a.deps.Log.Info("BGP session established", "neighbor", event.Peer)
	case speaker.EngineDown:
		clear(a.returning)
		a.table.EngineDown(now)
		a.engineDown(event.Reason)
	case speaker.EngineUp:
		a.engineUp(event.Peers)
	}
	a.dirty = true
}

// engine says in a log what speaks BGP for us.
func (a *Agent) engine() string {
	if a.cfg.BGP.Gobgpd != "" {
		return "gobgpd"
	}
	return "BGP worker"
}

// engineDown notes why there is no BGP.
func (a *Agent) engineDown(reason string) {
	if a.noEngine == "" {
		a.deps.Log.Error(a.engine()+" lost; forwarding goes on", "stale_time", a.cfg.BGP.StaleTime)
	}
	a.noEngine = "no BGP: " + reason
}

// engineUp notes that there is BGP, and which peers an operator's gobgpd has: of
// those an End-of-RIB is to come.
func (a *Agent) engineUp(peers []netip.Addr) {
	a.deps.Log.Info(a.engine() + " runs")
	a.noEngine = ""
	if a.awaited == nil && !a.holdUntil.IsZero() {
		a.await(peers)
	}
}

// await sets the peers of which an End-of-RIB is still to come.
func (a *Agent) await(peers []netip.Addr) {
	a.awaited = map[netip.Addr]struct{}{}
	for _, peer := range peers {
		a.awaited[peer] = struct{}{}
	}
}

// hold begins the time after a start in which learned sessions of the kernel
// are kept: until every peer has sent its End-of-RIB, at most selection_time.
// Which peers an operator's gobgpd has it says when it is reached.
func (a *Agent) hold() {
	if !a.cfg.BGP.Enabled() {
		return
	}
	a.holdUntil = time.Now().Add(a.cfg.BGP.SelectionTime)
	if a.awaited = nil; a.cfg.BGP.Gobgpd != "" {
		return
	}
	var peers []netip.Addr
	for _, n := range a.cfg.BGP.Neighbors {
		peers = append(peers, n.Address)
	}
	a.await(peers)
}

// holding says whether routes may be incomplete because we have just started.
func (a *Agent) holding(now time.Time) bool {
	if !a.holdUntil.IsZero() && !now.Before(a.holdUntil) {
		a.deps.Log.Warn("End-of-RIB did not come in time; what was not learned again is removed", "neighbors", len(a.awaited))
		a.holdUntil = time.Time{}
	}
	return !a.holdUntil.IsZero()
}

// complete notes a peer's End-of-RIB.
func (a *Agent) complete(peer netip.Addr) {
	delete(a.awaited, peer)
	if len(a.awaited) == 0 {
		a.holdUntil = time.Time{}
	}
}

// lateNeighbors are the problems of neighbours that did not send everything
// they have in time after our start.
func (a *Agent) lateNeighbors() []string {
	var problems []string
	if a.holdUntil.IsZero() {
		for _, peer := range slices.SortedFunc(maps.Keys(a.awaited), netip.Addr.Compare) {
			problems = append(problems, fmt.Sprintf("neighbor %s has sent no End-of-RIB since the agent's start", peer))
		}
	}
	return problems
}

// prune deletes routes that have been stale for too long, or that their peer
// has not sent again. It returns those that are left and when the next one is
// due; zero = never.
func (a *Agent) prune(now time.Time) (routes []evpn.Route, next time.Time) {
	stale := a.cfg.BGP.StaleTime
	settled, next := a.returning.settle(now)
	for _, peer := range settled {
		a.table.EndOfRIB(peer)
	}
	if n := a.table.Prune(now.Add(-stale).Add(time.Nanosecond)); n > 0 {
		a.deps.Log.Warn("deleted stale routes", "routes", n, "stale_time", stale)
	}
	routes = a.table.Routes()
	for _, route := range routes {
		if route.Stale() {
			next = earlier(next, route.StaleSince.Add(stale))
		}
	}
	return routes, next
}

// speakerConfig is the part of a configuration that the speaker needs.
func speakerConfig(cfg *config.Config) speaker.Config {
	s := speaker.Config{
		RouterID: cfg.Router.ID, ASN: cfg.Router.ASN,
		ListenPort: cfg.BGP.ListenPort, ListenAddresses: cfg.BGP.ListenAddresses,
		RestartTime: cfg.BGP.RestartTime, Gobgpd: cfg.BGP.Gobgpd,
		WorkerCommand: []string{"/proc/self/exe", "bgp-worker"}, RuntimeDir: cfg.State.Runtime,
	}
	for _, n := range cfg.BGP.Neighbors {
		s.Neighbors = append(s.Neighbors, speaker.Neighbor{
			Address: n.Address, LocalAddress: n.LocalAddress, ASN: n.ASN, Port: n.Port, Passive: n.Passive,
			Multihop: n.Multihop, Password: n.Password, TTLSecurity: n.TTLSecurity, HoldTime: n.HoldTime,
		})
	}
	return s
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

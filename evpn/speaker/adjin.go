package speaker

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"longwire/evpn"
	"longwire/evpn/wire"
)

// A withdrawal that may be the end of a session is held until no other has come
// for quiet, or until the first is longest old: GoBGP writes the withdrawals of
// a lost session in one go, and then says that the session is lost.
const (
	quiet   = 100 * time.Millisecond
	longest = 2 * time.Second
)

// adjIn turns what GoBGP reports into events. It holds what GoBGP holds for
// each peer, for two reasons (both measured on v3.37.0):
//
// While a peer is in graceful restart BMP shows its loss and nothing else: the
// stale routes stay, and when the peer sends them again unchanged, BMP is
// silent, because it does not repeat what it has told. So the routes that GoBGP
// still holds at the End-of-RIB are reported again from here.
//
// Without graceful restart BMP shows a withdrawal of every route, and only then
// that the session is lost. Such a withdrawal carries the time of the route, a
// real one the time of its own reception, so that the first kind is recognised,
// held for a moment, and forgotten when the loss follows: the loss of a session
// makes routes stale and withdraws none.
//
// It is a pure state machine; one goroutine owns it.
type adjIn struct {
	peers map[netip.Addr]*peerIn
}

// peerIn is one peer's part.
type peerIn struct {
	up     bool
	since  time.Time // when up, by GoBGP's clock in whole seconds
	routes map[evpn.Key]*routeIn
	held   map[evpn.Key]bool // withdrawals in doubt
	first  time.Time         // when the oldest of them came
	last   time.Time         // when the newest of them came

	// An End-of-RIB comes another way than the BMP messages and may overtake
	// them. It waits here for its session, and then for the routes of which
	// BMP has yet to tell.
	end     *ribEnd
	missing map[evpn.Key]bool // nil while it waits for the session
	gone    map[evpn.Key]bool // withdrawn in a session whose end has not come
}

// routeIn is one route that GoBGP holds.
type routeIn struct {
	endpoint evpn.Endpoint
	received time.Time // by GoBGP's clock in whole seconds
	told     bool      // reported since its session was last lost
}

// ribEnd is an End-of-RIB with what GoBGP held of the peer soon after it came.
type ribEnd struct {
	peer   netip.Addr
	since  time.Time // when the session came up, in whole seconds
	routes []evpn.Key
}

// maxGone bounds the memory of withdrawals that a peer without End-of-RIB can
// fill.
const maxGone = 1 << 16

func newAdjIn() *adjIn { return &adjIn{peers: map[netip.Addr]*peerIn{}} }

func (a *adjIn) peer(address netip.Addr) *peerIn {
	p, ok := a.peers[address]
	if !ok {
		p = &peerIn{routes: map[evpn.Key]*routeIn{}, held: map[evpn.Key]bool{}}
		a.peers[address] = p
	}
	return p
}

// message applies one BMP message. GoBGP reports its own routes under the
// unspecified address; they are no peer's.
func (a *adjIn) message(m wire.BMPMessage, now time.Time) []Event {
	if !m.Peer.IsValid() || m.Peer.IsUnspecified() {
		return nil
	}
	p := a.peer(m.Peer)
	switch m.Kind {
	case wire.BMPRouteMonitoring:
		if !m.PostPolicy {
			return nil
		}
		return p.update(m, now)
	case wire.BMPPeerUp:
		p.up, p.since, p.gone = true, m.Time, map[evpn.Key]bool{}
		return append([]Event{{Kind: PeerUp, Peer: m.Peer}}, p.awaitEnd()...)
	case wire.BMPPeerDown:
		return p.down(m.Peer)
	case wire.BMPStatistics, wire.BMPInitiation, wire.BMPTermination, wire.BMPRouteMirroring:
	}
	return nil
}

// update applies the routes of an UPDATE.
func (p *peerIn) update(m wire.BMPMessage, now time.Time) []Event {
	var events []Event
	for _, k := range m.Update.Unreach {
		events = append(events, p.withdraw(k, m.Time, now)...)
	}
	for _, ep := range m.Update.Reach {
		delete(p.held, ep.Key)
		delete(p.missing, ep.Key)
		p.routes[ep.Key] = &routeIn{endpoint: ep, received: m.Time, told: true}
		events = append(events, updated(ep))
	}
	return append(events, p.finishEnd()...)
}

// withdraw reports a withdrawal, holds it when it may be the end of the
// session, or swallows it when the session has ended and the route is stale.
func (p *peerIn) withdraw(k evpn.Key, received, now time.Time) []Event {
	r, known := p.routes[k]
	delete(p.routes, k)
	delete(p.missing, k)
	if p.gone != nil && len(p.gone) < maxGone {
		p.gone[k] = true
	}
	switch {
	case !known:
	case !p.up && !r.told:
		return nil
	case p.up && received.Equal(r.received):
		if len(p.held) == 0 {
			p.first = now
		}
		p.held[k], p.last = true, now
		return nil
	}
	return []Event{withdrawn(k)}
}

// down ends the session: what was held was its end, and GoBGP either keeps the
// remaining routes as stale or withdraws them from now on. An End-of-RIB that
// still waits for its session is of a later one and waits on.
func (p *peerIn) down(address netip.Addr) []Event {
	p.up, p.gone = false, nil
	if p.missing != nil {
		p.end, p.missing = nil, nil
	}
	clear(p.held)
	for _, r := range p.routes {
		r.told = false
	}
	return []Event{{Kind: PeerDown, Peer: address}}
}

// endOfRIB takes an End-of-RIB.
func (a *adjIn) endOfRIB(end ribEnd) []Event {
	p := a.peer(end.peer)
	p.end, p.missing = &end, nil
	return p.awaitEnd()
}

// awaitEnd finds out what an End-of-RIB has to wait for, once its session is up:
// every route that GoBGP held and of which BMP has told neither the
// announcement nor the withdrawal.
func (p *peerIn) awaitEnd() []Event {
	if p.end == nil || !p.up || p.since.Before(p.end.since) {
		return nil
	}
	p.missing = map[evpn.Key]bool{}
	for _, k := range p.end.routes {
		if _, known := p.routes[k]; !known && !p.gone[k] {
			p.missing[k] = true
		}
	}
	return p.finishEnd()
}

// finishEnd reports an End-of-RIB when nothing is missing any more: first every
// route that GoBGP holds and that was not reported in this session, then the
// end.
func (p *peerIn) finishEnd() []Event {
	if p.missing == nil || len(p.missing) > 0 {
		return nil
	}
	var events []Event
	for _, k := range p.end.routes {
		if r, known := p.routes[k]; known && !r.told {
			r.told = true
			events = append(events, updated(r.endpoint))
		}
	}
	events = append(events, Event{Kind: EndOfRIB, Peer: p.end.peer})
	p.end, p.missing, p.gone = nil, nil, nil
	return events
}

// remove forgets a neighbour that was taken out of the configuration.
func (a *adjIn) remove(address netip.Addr) []Event {
	delete(a.peers, address)
	return []Event{{Kind: PeerRemoved, Peer: address}}
}

// due returns when expire has something to do; zero = never.
func (a *adjIn) due() time.Time {
	var due time.Time
	for _, p := range a.peers {
		if t := p.due(); !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	return due
}

func (p *peerIn) due() time.Time {
	if len(p.held) == 0 {
		return time.Time{}
	}
	if calm, late := p.last.Add(quiet), p.first.Add(longest); calm.Before(late) {
		return calm
	} else {
		return late
	}
}

// expire reports the held withdrawals that no loss of a session has followed.
func (a *adjIn) expire(now time.Time) []Event {
	var events []Event
	for _, p := range a.peers {
		if t := p.due(); t.IsZero() || now.Before(t) {
			continue
		}
		for _, k := range sortedKeys(p.held) {
			events = append(events, withdrawn(k))
		}
		clear(p.held)
	}
	return events
}

func updated(ep evpn.Endpoint) Event {
	return Event{Kind: RouteUpdate, Peer: ep.Peer, Key: ep.Key, Endpoint: ep}
}

func withdrawn(k evpn.Key) Event {
	return Event{Kind: RouteWithdraw, Peer: k.Peer, Key: k}
}

func sortedKeys[V any](m map[evpn.Key]V) []evpn.Key {
	return slices.SortedFunc(maps.Keys(m), func(a, b evpn.Key) int {
		return cmp.Or(slices.Compare(a.RD[:], b.RD[:]), slices.Compare(a.ESI[:], b.ESI[:]), cmp.Compare(a.Tag, b.Tag))
	})
}

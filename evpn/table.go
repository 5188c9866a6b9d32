package evpn

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Route is one table entry.
type Route struct {
	Endpoint
	// Since is when the route was learned or its content last changed.
	Since time.Time
	// StaleSince is when the session that brought the route was lost; zero
	// while the route is fresh.
	StaleSince time.Time
}

// Stale reports whether the session that brought the route is lost.
func (r Route) Stale() bool { return !r.StaleSince.IsZero() }

// Table holds the received routes of all peers. A lost session marks routes
// stale and deletes none: they go when the peer withdraws them, when its
// End-of-RIB shows that they are gone, or when the owner prunes them. It is
// not safe for concurrent use: one goroutine owns it.
type Table struct {
	routes map[Key]*Route
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{routes: map[Key]*Route{}} }

// Update adds ep or replaces the route with its key (implicit replace,
// RFC 4271 section 3.1), sets ep.Problem by Validate, and makes the route
// fresh. It reports whether anything changed that a reader can see.
func (t *Table) Update(ep Endpoint, now time.Time) (changed bool) {
	ep.Problem = Validate(ep)
	old, ok := t.routes[ep.Key]
	if !ok {
		t.routes[ep.Key] = &Route{Endpoint: ep, Since: now}
		return true
	}
	wasStale := old.Stale()
	old.StaleSince = time.Time{}
	if sameEndpoint(old.Endpoint, ep) {
		return wasStale
	}
	old.Endpoint, old.Since = ep, now
	return true
}

// Withdraw removes the route with key k and reports whether there was one.
func (t *Table) Withdraw(k Key) bool {
	_, ok := t.routes[k]
	delete(t.routes, k)
	return ok
}

// Stale reports whether there is a route with key k, and it is stale.
func (t *Table) Stale(k Key) bool {
	r, ok := t.routes[k]
	return ok && r.Stale()
}

// PeerDown marks the fresh routes of peer stale as of now.
func (t *Table) PeerDown(peer netip.Addr, now time.Time) {
	for _, r := range t.routes {
		if r.Peer == peer {
			r.expire(now)
		}
	}
}

// EngineDown marks every fresh route stale as of now: the BGP process is gone
// and with it all sessions.
func (t *Table) EngineDown(now time.Time) {
	for _, r := range t.routes {
		r.expire(now)
	}
}

// EndOfRIB removes the routes of peer that are still stale: the peer has sent
// everything it has (RFC 4724 section 4.2).
func (t *Table) EndOfRIB(peer netip.Addr) {
	for k, r := range t.routes {
		if r.Peer == peer && r.Stale() {
			delete(t.routes, k)
		}
	}
}

// PeerRemoved removes all routes of a peer that is no longer a neighbour.
func (t *Table) PeerRemoved(peer netip.Addr) {
	maps.DeleteFunc(t.routes, func(k Key, _ *Route) bool { return k.Peer == peer })
}

// Prune removes the routes that have been stale since before staleBefore and
// returns how many they were.
func (t *Table) Prune(staleBefore time.Time) int {
	n := 0
	for k, r := range t.routes {
		if r.Stale() && r.StaleSince.Before(staleBefore) {
			delete(t.routes, k)
			n++
		}
	}
	return n
}

// Routes returns a copy of the entries in the order of their keys. The slices
// inside the endpoints are shared: treat them as read-only.
func (t *Table) Routes() []Route {
	routes := make([]Route, 0, len(t.routes))
	for _, r := range t.routes {
		routes = append(routes, *r)
	}
	slices.SortFunc(routes, func(a, b Route) int { return compareKeys(a.Key, b.Key) })
	return routes
}

// expire keeps the first time of staleness: a second loss does not prolong it.
func (r *Route) expire(now time.Time) {
	if !r.Stale() {
		r.StaleSince = now
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(
		a.Peer.Compare(b.Peer),
		slices.Compare(a.RD[:], b.RD[:]),
		slices.Compare(a.ESI[:], b.ESI[:]),
		cmp.Compare(a.Tag, b.Tag),
	)
}

// sameEndpoint compares everything but the key, which is equal by construction.
func sameEndpoint(a, b Endpoint) bool {
	return slices.Equal(a.RouteTargets, b.RouteTargets) &&
		a.NextHop == b.NextHop &&
		a.Label == b.Label &&
		slices.Equal(a.Tunnels, b.Tunnels) &&
		a.L2 == b.L2 &&
		a.HasL2 == b.HasL2 &&
		a.Originator == b.Originator &&
		sameProblem(a.Problem, b.Problem)
}

func sameProblem(a, b *Problem) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

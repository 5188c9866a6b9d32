package agent

import (
	"net/netip"
	"time"
)

// settleTime is how much longer than to its End-of-RIB a peer's stale routes
// are kept. A route reflector that restarts says that it has sent everything
// before all of its other clients are back, and their routes come later.
const settleTime = 30 * time.Second

// returning holds the peers whose session is up and whose stale routes may
// still come again: since when their End-of-RIB is there, zero while it is not.
// A withdrawal of a stale route is no news from such a peer, because it has not
// sent the route again: it is GoBGP that gives the route up.
type returning map[netip.Addr]time.Time

// up notes that a peer's session is established.
func (r returning) up(peer netip.Addr) { r[peer] = time.Time{} }

// gone notes that it is lost.
func (r returning) gone(peer netip.Addr) { delete(r, peer) }

// complete notes a peer's End-of-RIB.
func (r returning) complete(peer netip.Addr, now time.Time) { r[peer] = now }

// has says whether a peer's stale routes may still come again.
func (r returning) has(peer netip.Addr) bool {
	_, ok := r[peer]
	return ok
}

// settle returns the peers whose time is over, which are then forgotten, and
// when the next one's will be.
func (r returning) settle(now time.Time) (settled []netip.Addr, next time.Time) {
	for peer, since := range r {
		switch end := since.Add(settleTime); {
		case since.IsZero():
		case now.Before(end):
			next = earlier(next, end)
		default:
			settled = append(settled, peer)
			delete(r, peer)
		}
	}
	return settled, next
}

package speaker

import (
	"net/netip"
	"time"

	"longwire/evpn"
)

// EventKind says what an Event is about.
type EventKind int

// The events. The owner of an evpn.Table applies all but EngineUp to it in the
// order in which they come.
const (
	RouteUpdate   EventKind = iota // Endpoint: new, changed, or confirmed after a restart
	RouteWithdraw                  // Key: the peer has withdrawn the route
	PeerUp                         // Peer: the session is established
	PeerDown                       // Peer: the session is lost, its routes are stale
	EndOfRIB                       // Peer: has sent all it has; what is stale is gone
	PeerRemoved                    // Peer: is no longer configured, and neither are its routes of use
	EngineDown                     // the BGP process died, or cannot be reached: every route is stale
	EngineUp                       // it is back; peers and routes follow
)

// String returns the kind in a word, for logs and tests.
func (k EventKind) String() string {
	names := map[EventKind]string{
		RouteUpdate: "route update", RouteWithdraw: "route withdraw", PeerUp: "peer up", PeerDown: "peer down",
		EndOfRIB: "end of rib", PeerRemoved: "peer removed", EngineDown: "engine down", EngineUp: "engine up",
	}
	return names[k]
}

// Event is one change on the BGP side. No event deletes a route because a
// session or the process is lost: that only makes routes stale.
type Event struct {
	Kind     EventKind
	Peer     netip.Addr    // of every event but EngineUp and EngineDown
	Peers    []netip.Addr  // of EngineUp: the neighbours of an operator's gobgpd
	Reason   string        // of EngineDown: what happened
	Key      evpn.Key      // of RouteUpdate and RouteWithdraw
	Endpoint evpn.Endpoint // of RouteUpdate
}

// NeighborStatus is what `show neighbors` says of one neighbour.
type NeighborStatus struct {
	Address    netip.Addr
	ASN        uint32
	State      string    // "established", "active", "idle", …; "down" without an engine
	Since      time.Time // of State; zero when unknown
	Reason     Reason    // why there is no session, or it is of no use; none while all is well
	Detail     string    // of Reason, for people
	Received   uint64    // routes held from it, of any EVPN type
	Advertised uint64    // our routes that it was sent
	Flaps      uint64    // sessions lost since the speaker started
	// Failures counts sessions and attempts at one that failed, by reason, since
	// the speaker started.
	Failures map[Reason]uint64
}

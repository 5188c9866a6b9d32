package dataplane

import (
	"errors"
	"net/netip"
	"time"
)

// ErrCapacity is returned when a map has no room for one more session; the
// sessions that exist are untouched.
var ErrCapacity = errors.New("session map is full")

// Target is where a desired state is applied: the pinned maps of the kernel, or
// a fake that fails on demand.
type Target interface {
	// Read returns what the kernel forwards now.
	Read() (State, error)
	// PutReceive adds or atomically replaces one session.
	PutReceive(Receive) error
	// PutTransmit adds or atomically replaces the encapsulation of a circuit.
	PutTransmit(Transmit) error
	// DeleteTransmit and DeleteReceive succeed when the entry is absent.
	DeleteTransmit(Circuit) error
	DeleteReceive(SessionID) error
}

// IdentityStore keeps the session id and cookie of each signalled pseudowire.
type IdentityStore interface {
	// Identity returns the identity of a pseudowire, made from crypto/rand the
	// first time. A session id for which reserved is true is never chosen.
	Identity(pseudowire string, reserved func(SessionID) bool) (Identity, error)
	// Rotate gives a pseudowire a new cookie and keeps the old one as Previous.
	// It fails while there is a Previous already.
	Rotate(pseudowire string, now time.Time) (Identity, error)
	// Retire removes the previous cookie; it succeeds when there is none.
	Retire(pseudowire string) error
	// Forget removes an identity; it succeeds when there is none.
	Forget(pseudowire string) error
}

// Endpoint is where packets of the far ends arrive: an outer address of ours and
// a UDP port, or 0 for IP protocol 115.
type Endpoint struct {
	Address netip.Addr
	Port    uint16
}

// Admission is what happens to packets for our endpoints whose session id
// nobody here has. They are counted; without DropUnknown the host's stack gets
// them, since other users of L2TP may live on it.
type Admission struct {
	Endpoints   []Endpoint
	DropUnknown bool
}

// Admitter decides about packets of unknown sessions.
type Admitter interface {
	// SetAdmission replaces the admission.
	SetAdmission(Admission) error
}

// Attacher puts the programs on interfaces.
type Attacher interface {
	// Attach makes the attachments exactly those wanted: missing ones are
	// added, detached ones repaired, and others of ours removed. It reports
	// every interface that it could not serve, by ifindex.
	Attach(Attachments) (repaired int, failed map[int]error)
}

// XDP tells about the XDP programs, which work in front of those for tc.
type XDP interface {
	// NativeXDP says whether an interface is to have XDP if nobody has decided.
	NativeXDP(ifindex int) bool
	// WithoutXDP returns why interfaces of Attachments.XDP do without XDP, in
	// whole or in part, by ifindex, as of the last Attach. They work all the same.
	WithoutXDP() map[int]error
}

// LeaseDuration is how long encapsulation trusts a next hop that is not renewed.
const LeaseDuration = 3 * time.Second

// NextHops is the cache that encapsulation uses while its lease lasts. Without
// a lease packets take the kernel's own lookup.
type NextHops interface {
	// Lease makes a next hop usable for a flow until the lease is renewed or
	// runs out, LeaseDuration later.
	Lease(Flow, NextHop) error
	// Revoke sends a flow's packets back to the kernel's lookup at once; it
	// succeeds when there is no lease.
	Revoke(Flow) error
}

// CounterReader reads the counters.
type CounterReader interface {
	// Counters returns the totals by pseudowire, and under "" the drops that
	// belong to no session.
	Counters() (map[string]Counters, error)
}

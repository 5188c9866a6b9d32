// Package plan decides what should be forwarded and announced. It is pure: the
// same input gives the same plan, whatever the order of routes and links.
package plan

import (
	"net/netip"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// Link is what the plan needs to know of a network interface.
type Link struct {
	Index    int
	MTU      int  // bytes
	Up       bool // administratively up, with carrier
	Ethernet bool // frames have an Ethernet header
	XDP      bool // the driver has native XDP
	// Master and Parent are those of link.Link.
	Master, Parent int
	Addresses      []netip.Addr
}

// Identity is the receive side that the data plane keeps for a signalled
// pseudowire, or why there is none.
type Identity struct {
	dataplane.Identity
	Err error
}

// Input is everything that a plan depends on.
type Input struct {
	Config     *config.Config
	Now        time.Time
	Routes     []evpn.Route
	Links      map[string]Link     // by name
	Identities map[string]Identity // by signalled pseudowire
	Actual     dataplane.State     // what the kernel forwards
	// Holding is set after a restart until the routes are known to be
	// complete: what the kernel has of a learned far end is then kept.
	Holding bool
	Clocks  map[string]Clock // of the plan before, by pseudowire
	// NextHops are the ways that are known. A pseudowire whose way is not known
	// yet is taken to be well.
	NextHops map[dataplane.Flow]dataplane.NextHop
}

// Clock is what one plan must remember for the next about a pseudowire.
type Clock struct {
	AbsentSince time.Time // the signalled far end has been absent since; zero = it is there
	Fallback    bool      // the static far end is in use instead
	Learned     bool      // a route has come since the start, so nothing old is kept any more
	// Kept is what a restart found installed for a learned far end; it is
	// remembered here while the circuit is down and nothing is installed.
	Kept dataplane.Transmit
}

// Use says what a pseudowire does with a route.
type Use struct {
	Pseudowire string
	Selected   bool
	Problem    *evpn.Problem // why the pseudowire cannot use the best route that there is
}

// Plan is what should be.
type Plan struct {
	State     dataplane.State
	Attach    dataplane.Attachments
	Admission dataplane.Admission
	Advertise []evpn.Advertisement // by pseudowire name
	Statuses  []Status             // one for each pseudowire, by name
	Flows     []dataplane.Flow
	Uses      map[evpn.Key][]Use // of the routes that a pseudowire looks for
	Problems  []string           // of no pseudowire in particular, sorted
	Clocks    map[string]Clock
	// Wake is when the passing of time alone changes the plan; zero = never.
	Wake time.Time
}

// State is the state of a pseudowire.
type State string

// The states.
const (
	StateUp      State = "up"      // frames are forwarded in both directions
	StateDown    State = "down"    // something is absent that may come by itself
	StateBlocked State = "blocked" // what is there cannot be used
	StateStale   State = "stale"   // forwarding on what was last known
)

// Source says where the far end is known from.
type Source string

// The sources.
const (
	SourceNone      Source = ""
	SourceSignalled Source = "signalled"
	SourceStatic    Source = "static"
)

// Status is the state of one pseudowire and why.
type Status struct {
	Name          string
	Interface     string
	VLANs         dataplane.VLANs
	State         State
	Reason        Reason
	Detail        string // for people, may be empty
	Source        Source
	Remote        netip.Addr // zero when there is no far end
	Encapsulation dataplane.Encapsulation
	LocalSession  dataplane.SessionID // that the far end in use sends to; 0 = none
	RemoteSession dataplane.SessionID // 0 = none
	MTU           int                 // bytes of Ethernet payload of the circuit; 0 = unknown
	Path          Path
	Rotated       time.Time // of the cookie whose predecessor is still accepted; zero = there is none
	Since         time.Time // of state, reason and source
	circuit       int
}

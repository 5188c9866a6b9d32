// Package config reads the agent's YAML file. It is strict: an unknown key, a
// wrong type, a conflict or a badly kept secret is an error with file, line and
// key, and what leaves the package is valid.
package config

import (
	"net/netip"
	"time"

	"longwire/dataplane"
	"longwire/evpn"
)

// Config is a valid configuration.
type Config struct {
	Router      Router
	Underlay    Underlay
	BGP         BGP
	Dataplane   Dataplane
	State       State
	Metrics     Metrics
	Pseudowires []Pseudowire // in the order of the file, names unique
}

// Router is this PE.
type Router struct {
	ID  netip.Addr // BGP identifier, IPv4; the zero Addr without BGP
	ASN uint32     // 0 without BGP
	// Sources are the outer addresses that pseudowires may use, at least one;
	// the first one that fits is the default.
	Sources []netip.Addr
}

// Underlay says where decapsulation listens.
type Underlay struct {
	Auto       bool     // every interface with an address that is no circuit
	Interfaces []string // otherwise exactly these
}

// BGP is what the speaker needs.
type BGP struct {
	// Gobgpd is an operator's own daemon (unix:///path or host:port); empty
	// means our worker.
	Gobgpd          string
	ListenPort      int32 // -1 = none
	ListenAddresses []netip.Addr
	Neighbors       []Neighbor
	RestartTime     time.Duration // how long peers keep our routes while we restart (RFC 4724)
	SelectionTime   time.Duration // how long a restarted agent waits for End-of-RIB
	StaleTime       time.Duration // how long routes of a lost peer are used
}

// Enabled says whether there is anybody to speak BGP with.
func (b BGP) Enabled() bool { return b.Gobgpd != "" || len(b.Neighbors) > 0 }

// Neighbor is one BGP peer.
type Neighbor struct {
	Address      netip.Addr
	LocalAddress netip.Addr // zero = the system chooses
	ASN          uint32
	Port         uint16
	Passive      bool
	Multihop     uint8         // eBGP TTL; 0 = off
	Password     string        // TCP MD5 (RFC 2385), the content of password_file
	TTLSecurity  uint8         // largest number of hops (RFC 5082); 0 = off
	HoldTime     time.Duration // proposed hold time (RFC 4271)
}

// Dataplane sizes and places the eBPF programs.
type Dataplane struct {
	Capacity uint32 // sessions
	Attach   string // auto, tcx or clsact
}

// State says where the agent keeps what outlives it. All are absolute paths.
type State struct {
	Socket  string // control socket
	Pins    string // bpffs directory
	Runtime string // pid file and the worker's sockets
}

// Metrics is the Prometheus endpoint; the zero value serves none.
type Metrics struct {
	Listen netip.AddrPort
}

// Pseudowire joins one interface to one far end. EVPN, Static or both are set.
type Pseudowire struct {
	Name          string
	Interface     string
	Source        netip.Addr // our outer address, one of Router.Sources
	Encapsulation dataplane.Encapsulation
	Port          uint16 // our UDP port
	Sublayer      dataplane.Sublayer
	CookieLength  int    // bytes of the cookie that we choose when signalled: 0, 4 or 8
	MTU           uint16 // bytes of Ethernet payload; 0 = the interface's
	IgnoreMTU     bool
	TTL           uint8
	EVPN          *EVPN
	Static        *Static
}

// EVPN is the signalled side of a pseudowire (RFC 8214).
type EVPN struct {
	RD            evpn.RD
	RouteTargets  []evpn.RouteTarget // at least one
	LocalService  evpn.ServiceID
	RemoteService evpn.ServiceID
}

// When says when a static far end is used.
type When string

// The choices of static.when.
const (
	WhenFallback When = "fallback" // while the signalled far end is absent
	WhenAlways   When = "always"   // whatever is signalled
)

// Static is a far end that is configured instead of learned.
type Static struct {
	When          When
	After         time.Duration // absence of the signalled far end before the fallback
	Remote        netip.Addr
	LocalSession  dataplane.SessionID
	RemoteSession dataplane.SessionID
	LocalCookie   dataplane.Cookie // what we expect
	RemoteCookie  dataplane.Cookie // what we send
	RemotePort    uint16           // UDP destination port
}

// ReservedSessions returns the local session ids of static far ends, which no
// signalled pseudowire may choose.
func (c *Config) ReservedSessions() map[dataplane.SessionID]bool {
	reserved := map[dataplane.SessionID]bool{}
	for _, pw := range c.Pseudowires {
		if pw.Static != nil {
			reserved[pw.Static.LocalSession] = true
		}
	}
	return reserved
}

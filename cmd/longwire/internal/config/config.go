// Package config reads the agent's YAML file. It is strict: an unknown key, a
// wrong type, a conflict or a badly kept secret is an error with file, line and
// key, and what leaves the package is valid.
package config

import (
	"net/netip"
	"slices"
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
	XDP      XDP
	// DropUnknown drops packets of unknown sessions to our endpoints instead of
	// passing them on to the host's stack.
	DropUnknown bool
	// ReservedSessions are the session ids that other users of L2TP on this host
	// have: no signalled pseudowire chooses one of them.
	ReservedSessions []SessionRange
	// SlowPathRate is how many packets in a second the slow path delivers at the
	// most; 0 = it is off.
	SlowPathRate int
}

// XDP says which interfaces get the XDP programs in front of those of tc.
type XDP struct {
	// Auto is every interface whose driver has native XDP, but no virtual one.
	Auto       bool
	Interfaces []string // otherwise exactly these
}

// SessionRange is a range of session ids, both ends included.
type SessionRange struct{ First, Last dataplane.SessionID }

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

// Pseudowire joins one circuit to one far end. EVPN, Static or both are set.
type Pseudowire struct {
	Name          string
	Interface     string
	VLANs         dataplane.VLANs // that the circuit has of the port; zero = all
	Tags          Tags
	DropL2CP      dataplane.L2CP // not tunnelled; a whole port alone has any
	Source        netip.Addr     // our outer address, one of Router.Sources
	Encapsulation dataplane.Encapsulation
	Port          uint16 // our UDP port
	Sublayer      dataplane.Sublayer
	Sequencing    bool   // number frames, and drop duplicates and late ones
	CookieLength  int    // bytes of the cookie that we choose when signalled: 0, 4 or 8
	MTU           uint16 // bytes of Ethernet payload; 0 = the interface's
	IgnoreMTU     bool
	TooBig        dataplane.TooBig // what happens to frames that the underlay cannot carry
	ClampMSS      bool             // bound TCP's MSS by what the way carries
	TTL           uint8
	DSCP          uint8 // 0 to 63
	CopyDSCP      bool
	CopyECN       bool // normal mode of RFC 6040; false = compatibility mode
	DontFragment  bool // outer IPv4 DF
	Entropy       bool // UDP source port by flow
	ZeroChecksum  bool // UDP over IPv6 without checksum, both directions (RFC 6935)
	EVPN          *EVPN
	Static        *Static
}

// TagMode says what happens to the tags that select a circuit's frames
// (RFC 8214 section 2.1).
type TagMode string

// The modes.
const (
	TagsKeep      TagMode = "keep"      // they cross unchanged
	TagsTranslate TagMode = "translate" // they cross, and the end that delivers gives them its own ids
	TagsPop       TagMode = "pop"       // taken off before they cross; the end that delivers adds its own
	TagsPush      TagMode = "push"      // one more is added; the end that delivers takes one off
)

// Tags are the tags of a pseudowire's frames.
type Tags struct {
	Mode TagMode
	// Type is the EtherType of tags that are added; of two, the outer one's, and
	// the inner one's is 0x8100. It is 0 with TagsKeep, which adds none.
	Type uint16
	Push uint16 // the VLAN id that TagsPush adds
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
	// PreviousCookie is accepted besides LocalCookie while it is configured.
	PreviousCookie *dataplane.Cookie
	RemoteCookie   dataplane.Cookie // what we send
	RemotePort     uint16           // UDP destination port
}

// ReservedSession says whether no signalled pseudowire may choose a session id:
// it is a static far end's, or reserved for others on this host.
func (c *Config) ReservedSession(id dataplane.SessionID) bool {
	for _, pw := range c.Pseudowires {
		if pw.Static != nil && pw.Static.LocalSession == id {
			return true
		}
	}
	return slices.ContainsFunc(c.Dataplane.ReservedSessions, func(r SessionRange) bool { return r.First <= id && id <= r.Last })
}

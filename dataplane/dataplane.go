// Package dataplane says what the eBPF data plane forwards and in which order
// it may be changed. It holds no kernel code: dataplane/maps, dataplane/tc and
// dataplane/link do, behind the interfaces here.
package dataplane

import (
	"encoding/hex"
	"fmt"
	"net/netip"
)

// SessionID is an L2TPv3 session id (RFC 3931 section 4.1); never zero.
type SessionID uint32

// Encapsulation says what carries L2TPv3 over IP.
type Encapsulation uint8

// The encapsulations of RFC 3931 section 4.1.
const (
	EncapsulationIP  Encapsulation = iota // IP protocol 115 (section 4.1.1)
	EncapsulationUDP                      // UDP (section 4.1.2)
)

// String returns "ip" or "udp".
func (e Encapsulation) String() string {
	if e == EncapsulationUDP {
		return "udp"
	}
	return "ip"
}

// Sublayer is the L2-specific sublayer of a session (RFC 3931 section 4.6).
type Sublayer uint8

// The sublayers that Longwire speaks.
const (
	SublayerNone    Sublayer = iota // the frame follows the cookie
	SublayerDefault                 // four bytes, V and S bits and a sequence number
)

// Len returns the sublayer's length in bytes.
func (s Sublayer) Len() int {
	if s == SublayerDefault {
		return 4
	}
	return 0
}

// Cookie is an L2TPv3 cookie of 0, 4 or 8 bytes in wire order
// (RFC 3931 section 4.1.1). Cookies compare with ==.
type Cookie struct {
	bytes [8]byte
	n     uint8
}

// NewCookie makes a cookie of b. It fails unless b has 0, 4 or 8 bytes.
func NewCookie(b []byte) (Cookie, error) {
	var c Cookie
	switch len(b) {
	case 0, 4, 8:
		c.n = uint8(copy(c.bytes[:], b))
		return c, nil
	}
	return c, fmt.Errorf("a cookie has 0, 4 or 8 bytes, not %d", len(b))
}

// Bytes returns the cookie in wire order.
func (c Cookie) Bytes() []byte { return c.bytes[:c.n] }

// Len returns the cookie's length in bytes.
func (c Cookie) Len() int { return int(c.n) }

// String returns the cookie as hexadecimal digits.
func (c Cookie) String() string { return hex.EncodeToString(c.Bytes()) }

// Receive is what one local session id accepts and where it delivers. A packet
// must agree with all of it; anything else is dropped and counted.
type Receive struct {
	Session    SessionID // ours, the key of decapsulation
	Pseudowire string
	Circuit    int        // ifindex that decapsulated frames leave by
	Local      netip.Addr // outer destination
	// Remote is the outer source. The zero Addr means that the far end is not
	// known yet: the session then refuses every packet.
	Remote     netip.Addr
	AcceptIP   bool
	AcceptUDP  bool
	LocalPort  uint16 // UDP destination port
	RemotePort uint16 // UDP source port; 0 accepts any
	Cookie     Cookie // the cookie that we chose and advertised
	Sublayer   Sublayer
}

// Transmit is how the frames of one attachment circuit leave.
type Transmit struct {
	Circuit       int // ifindex, the key of encapsulation
	Pseudowire    string
	Session       SessionID // the far end's
	Local         netip.Addr
	Remote        netip.Addr
	Encapsulation Encapsulation
	LocalPort     uint16 // UDP source port
	RemotePort    uint16 // UDP destination port
	Cookie        Cookie // the cookie that the far end chose
	Sublayer      Sublayer
	TTL           uint8
	DontFragment  bool // outer IPv4 DF; without it the identification varies (RFC 6864)
}

// State is everything that the data plane forwards, desired or actual.
type State struct {
	Receive  map[SessionID]Receive
	Transmit map[int]Transmit // by circuit ifindex
}

// Attachments lists the interfaces, by ifindex, that carry our programs.
type Attachments struct {
	Circuits  []int // encapsulation on ingress
	Underlays []int // decapsulation on ingress
}

// Identity is the receive side that a signalled pseudowire keeps for life. It
// outlives the agent.
type Identity struct {
	Session SessionID
	Cookie  Cookie // 8 random bytes
}

// NextHop is a resolved way to a far end, as the forwarding caches it.
type NextHop struct {
	IfIndex     int
	Source      [6]byte // MAC
	Destination [6]byte // MAC
	MTU         int     // bytes of IP, the smaller of link and route
}

// Flow is the pair of outer addresses that a next hop is resolved for.
type Flow struct {
	Local, Remote netip.Addr
}

// Counters are the totals of one pseudowire since its first session.
type Counters struct {
	EncapPackets, EncapBytes uint64 // customer frames sent, bytes without outer header
	DecapPackets, DecapBytes uint64 // customer frames delivered
	Drops                    map[Drop]uint64
}

// Drop names why a packet was not forwarded; the names are those of the
// metrics and the manual. bpf/consts.h has the numbers.
type Drop string

// The reasons to drop, or where the name says so to pass on, a packet.
const (
	DropUnspecified        Drop = "unspecified"
	DropNoSession          Drop = "no_session"          // encap: the circuit has no far end now
	DropTooBig             Drop = "too_big"             // encap: exceeds the underlay's MTU
	DropTooManyTags        Drop = "too_many_tags"       // encap: more than three VLAN tags
	DropNoRoute            Drop = "no_route"            // encap: no route to the far end
	DropNoHelper           Drop = "no_helper"           // encap: the helper interfaces are gone
	DropNoMemory           Drop = "no_memory"           // the kernel could not resize the packet
	DropUnknownSession     Drop = "unknown_session"     // decap: passed on to the stack
	DropNoRemote           Drop = "no_remote"           // decap: the far end is not known yet
	DropWrongSource        Drop = "wrong_source"        // decap: outer source or port
	DropWrongEncapsulation Drop = "wrong_encapsulation" // decap: UDP for IP, or IP for UDP
	DropWrongCookie        Drop = "wrong_cookie"        // decap
	DropVCCV               Drop = "vccv"                // decap: control channel (RFC 5085)
	DropMalformed          Drop = "malformed"           // decap: lengths that lie
	DropBadChecksum        Drop = "bad_checksum"        // decap: outer IPv4 or UDP
	DropFragment           Drop = "fragment"            // decap: passed on to the stack
	DropIPOptions          Drop = "ip_options"          // decap: passed on to the stack
)

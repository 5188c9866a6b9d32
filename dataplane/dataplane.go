// Package dataplane says what the eBPF data plane forwards and in which order
// it may be changed. It holds no kernel code: dataplane/maps, dataplane/tc and
// dataplane/link do, behind the interfaces here.
package dataplane

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"
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

// Attachments lists the interfaces, by ifindex, that carry our programs.
type Attachments struct {
	Circuits  []int // encapsulation on ingress
	Underlays []int // decapsulation on ingress
	// XDP are those of both lists that carry the XDP program as well, in front
	// of the tc program, which takes what XDP cannot do.
	XDP []int
}

// Identity is the receive side that a signalled pseudowire keeps for life. It
// outlives the agent.
type Identity struct {
	Session SessionID
	Cookie  Cookie // 8 random bytes
	// Previous is the cookie before the last rotation, accepted besides until it
	// is retired (RFC 8159 section 5); without bytes when there is none.
	Previous Cookie
	Rotated  time.Time // zero when there is no Previous
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
	Fragmented               uint64 // customer frames sent in fragments of the outer packet
	Answered                 uint64 // ICMP "too big" sent to the customer
	PreviousCookie           uint64 // frames delivered that still had the previous cookie
	SequenceGaps             uint64 // sequence numbers that were skipped on receipt
	SequenceResets           uint64 // times that the far end began to count anew
	Drops                    map[Drop]uint64
}

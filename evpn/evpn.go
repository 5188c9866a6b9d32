// Package evpn holds what an EVPN-VPWS route means to a pseudowire
// (RFC 8214, RFC 7432, RFC 9012). It does no I/O: bytes are the business of
// evpn/wire and sessions that of evpn/speaker.
package evpn

import (
	"encoding/hex"
	"net/netip"
)

// ServiceID is a VPWS service instance identifier, carried in the Ethernet
// Tag of an Ethernet A-D per-EVI route (RFC 8214 section 3.1).
type ServiceID uint32

// ReservedTag is MAX-ET, the Ethernet Tag of a per-ES route; it is never a
// service (RFC 7432 section 8.2.1).
const ReservedTag ServiceID = 0xffffffff

// SessionID is an L2TPv3 session id (RFC 3931 section 4.1). Zero is a control
// message and never a session.
type SessionID uint32

// ESI is an Ethernet Segment Identifier; all zero when single-homed
// (RFC 7432 section 5).
type ESI [10]byte

// RD is a route distinguisher in its eight wire bytes (RFC 4364 section 4.2).
type RD [8]byte

// RouteTarget is a route target extended community in its eight wire bytes
// (RFC 4360 section 4, RFC 5668).
type RouteTarget [8]byte

// Cookie is the L2TPv3 cookie of one direction, in wire order. Its length is
// 0, 4 or 8 bytes on a valid endpoint (RFC 3931 section 4.1.1). It is held as a
// string so that endpoints compare with ==; the bytes are not text.
type Cookie string

// String returns the cookie as hexadecimal digits.
func (c Cookie) String() string { return hex.EncodeToString([]byte(c)) }

// Layer 2 Attributes control flags (RFC 8214 section 3.1).
const (
	FlagBackup      uint16 = 0x0001 // B: backup PE
	FlagPrimary     uint16 = 0x0002 // P: primary PE
	FlagControlWord uint16 = 0x0004 // C: here, a default L2-specific sublayer in both directions
)

// L2Attributes is the Layer 2 Attributes extended community
// (RFC 8214 section 3.1).
type L2Attributes struct {
	Flags uint16
	MTU   uint16 // bytes of Ethernet payload; 0 = do not check
}

// Tunnel is one usable Tunnel Encapsulation TLV of type 1, L2TPv3 over IP
// (RFC 9012 section 3.2.1).
type Tunnel struct {
	Session SessionID
	Cookie  Cookie
	// Endpoint is the Tunnel Egress Endpoint; the zero Addr means that the
	// TLV names the BGP next hop (address family 0, RFC 9012 section 3.1).
	Endpoint netip.Addr
	// UDPPort is the port of Longwire's experimental sub-TLV 126; 0 when
	// absent, which means IP protocol 115.
	UDPPort uint16
}

// Key identifies one route of one BGP peer (RFC 7432 section 7.1: the label
// and the attributes are no part of it).
type Key struct {
	Peer netip.Addr
	RD   RD
	ESI  ESI
	Tag  ServiceID
}

// Endpoint is one received Ethernet A-D per-EVI route: the far end of a
// pseudowire as a peer describes it.
type Endpoint struct {
	Key
	RouteTargets []RouteTarget
	NextHop      netip.Addr // zero when absent or unusable
	Label        uint32     // the raw 24 bits
	Tunnels      []Tunnel   // usable TLVs in the order of the attribute
	L2           L2Attributes
	HasL2        bool
	Originator   netip.Addr // ORIGINATOR_ID (RFC 4456), zero when absent
	// Problem is set when the route cannot be used whatever the policy; the
	// endpoint is then shown and never programmed.
	Problem *Problem
}

// Advertisement is one local attachment circuit as it is announced.
type Advertisement struct {
	RD           RD
	ESI          ESI
	Service      ServiceID // the local service id
	RouteTargets []RouteTarget
	NextHop      netip.Addr
	Session      SessionID
	Cookie       Cookie
	Endpoint     netip.Addr // tunnel egress, our outer address
	UDPPort      uint16     // 0 = IP protocol 115 only
	L2           L2Attributes
}

package dataplane

import "net/netip"

// Family is the IP version of the outer header.
type Family uint8

// The families of RFC 3931 section 4.1.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an outer address; an IPv4-mapped IPv6 address
// is IPv4, as that is what goes on the wire.
func FamilyOf(addr netip.Addr) Family {
	if addr.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// Lengths in bytes of what comes before the customer's payload.
const (
	ipv4HeaderLen     = 20 // RFC 791, no options
	ipv6HeaderLen     = 40 // RFC 8200, no extension headers
	udpHeaderLen      = 8  // RFC 768
	l2tpUDPPrefixLen  = 4  // flags, version and reserved, RFC 3931 section 4.1.2.1
	sessionIDLen      = 4  // RFC 3931 section 4.1.1.1
	ethernetHeaderLen = 14 // the customer's, untagged and without FCS, RFC 4719 section 3.1
)

// tagLen is the length of one VLAN tag in bytes (IEEE 802.1Q).
const tagLen = 4

// Header is what precedes the payload of a customer's frame on the underlay.
type Header struct {
	Family        Family
	Encapsulation Encapsulation
	CookieLen     int // bytes: 0, 4 or 8
	Sublayer      Sublayer
	Tags          int // VLAN tags that the frame has while it crosses
}

// Len returns the header's length in bytes:
//
//	| IP (20, 40) | UDP (0, 8) | flags (0, 4) | session (4) | cookie | sublayer | Ethernet (14) | tags |
func (h Header) Len() int {
	n := sessionIDLen + h.CookieLen + h.Sublayer.Len() + ethernetHeaderLen + tagLen*h.Tags
	if h.Family == IPv6 {
		n += ipv6HeaderLen
	} else {
		n += ipv4HeaderLen
	}
	if h.Encapsulation == EncapsulationUDP {
		n += udpHeaderLen + l2tpUDPPrefixLen
	}
	return n
}

// MaxPayload returns the largest payload that crosses an underlay of an IP MTU
// in one packet, both in bytes.
func (h Header) MaxPayload(mtu int) int { return max(0, mtu-h.Len()) }

// NeedMTU returns the least IP MTU of the underlay that carries a payload in one
// packet, both in bytes.
func (h Header) NeedMTU(payload int) int { return payload + h.Len() }

package interop

import (
	"fmt"
	"net/netip"
	"strings"
)

// The functions below word the value of a Tunnel Encapsulation attribute from
// RFC 9012 alone, in hexadecimal.

// tlv is one tunnel: type (2), length (2), sub-TLVs.
func tlv(kind int, subTLVs ...string) string {
	value := strings.Join(subTLVs, "")
	return fmt.Sprintf("%04x%04x%s", kind, len(value)/2, value)
}

// sub is a sub-TLV of a type below 128: type (1), length (1), value.
func sub(kind int, value string) string { return fmt.Sprintf("%02x%02x%s", kind, len(value)/2, value) }

// longSub is a sub-TLV of a type from 128 on, whose length has two bytes.
func longSub(kind int, value string) string {
	return fmt.Sprintf("%02x%04x%s", kind, len(value)/2, value)
}

// encapsulation is the sub-TLV of a session (RFC 9012 section 3.2.1).
func encapsulation(session uint32, cookie string) string {
	return sub(1, fmt.Sprintf("%08x%s", session, cookie))
}

// egress is the Tunnel Egress Endpoint sub-TLV (RFC 9012 section 3.1).
func egress(address string) string {
	a := netip.MustParseAddr(address)
	family := 1
	if a.Is6() {
		family = 2
	}
	return sub(6, fmt.Sprintf("00000000%04x%x", family, a.AsSlice()))
}

// byNextHop is an egress endpoint that is the BGP next hop.
const byNextHop = "0606000000000000"

// l2tpv3 is a tunnel of type 1.
func l2tpv3(session uint32, cookie, endpoint string) string {
	return tlv(1, encapsulation(session, cookie), egress(endpoint))
}

// layer2 is the Layer 2 Attributes extended community (RFC 8214 section 3.1).
func layer2(flags, mtu uint16) string { return fmt.Sprintf("0x0604%04x%04x0000", flags, mtu) }

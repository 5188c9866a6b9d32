// Package wire turns BGP bytes into evpn types and back: UPDATE messages with
// EVPN Ethernet A-D routes (RFC 7432, RFC 8214), the Tunnel Encapsulation
// attribute (RFC 9012), and the BMP messages that carry them (RFC 7854).
//
// It reads bytes itself and trusts none of them. GoBGP's own decoder drops a
// malformed attribute in silence and can panic, so that what it would say of a
// route is not what RFC 9012 section 13 asks; the tests hold both decoders
// against each other where they must agree.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about received bytes.
var ErrMalformed = errors.New("malformed message")

// Address families (RFC 7432 section 7, IANA).
const (
	afiIPv4  = 1
	afiIPv6  = 2
	afiL2VPN = 25
	safiEVPN = 70
)

// BGP message header (RFC 4271 section 4.1).
const (
	headerLength  = 19
	messageUpdate = 2
)

// Path attribute types and flags (RFC 4271 section 4.3, IANA).
const (
	attrOrigin              = 1
	attrOriginatorID        = 9
	attrMPReach             = 14
	attrMPUnreach           = 15
	attrExtendedCommunities = 16
	attrTunnelEncapsulation = 23

	flagExtendedLength = 0x10
	flagTransitive     = 0x40
	flagOptional       = 0x80
)

// The A-D route (RFC 7432 section 7.1): RD 8, ESI 10, Ethernet Tag 4, label 3.
const (
	routeTypeAD = 1
	adLength    = 25
)

// Extended communities (RFC 8214 section 3.1).
const (
	communityEVPN         = 0x06
	subtypeL2Attributes   = 0x04
	communityLength       = 8
	tunnelTypeL2TPv3      = 1   // RFC 9012 section 3.2.1
	subTLVEncapsulation   = 1   // RFC 9012 section 3.2
	subTLVEgressEndpoint  = 6   // RFC 9012 section 3.1
	subTLVLongwireUDPPort = 126 // experimental range, PROTOCOL: 2-byte UDP port
	firstLongSubTLV       = 128 // types from here on have a 2-byte length
)

// malformed makes an error that wraps ErrMalformed.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// cursor takes bytes off the front of a slice and remembers a shortage, so that
// the readers below stay straight lines.
type cursor struct {
	rest  []byte
	short bool
}

// take returns the next n bytes; when there are fewer it returns n zero bytes
// and marks the cursor short. n is bounded by 65535 or 16 wherever it is used.
func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.rest, c.short = nil, true
		return make([]byte, n)
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uint8() int  { return int(c.take(1)[0]) }
func (c *cursor) uint16() int { return int(binary.BigEndian.Uint16(c.take(2))) }
func (c *cursor) uint32() uint32 {
	return binary.BigEndian.Uint32(c.take(4))
}
func (c *cursor) empty() bool { return len(c.rest) == 0 }

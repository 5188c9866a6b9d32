package wire

import "encoding/binary"

// The OPEN message (RFC 4271 section 4.2) and its capabilities
// (RFC 5492 section 4, RFC 4760 section 8, RFC 9072 section 2).
const (
	messageOpen = 1

	peerUpHead            = 20 // bytes of local address and ports (RFC 7854 section 4.10)
	openFixed             = 9  // version 1, AS 2, hold time 2, identifier 4
	parameterCapabilities = 2
	parameterExtended     = 255
	capabilityFamilies    = 1
)

// readPeerUp reads the body of a peer up message (RFC 7854 section 4.10), local
// address (16), local port (2), remote port (2), sent OPEN, received OPEN, and
// reports whether the latter offers EVPN.
func readPeerUp(b []byte) bool {
	c := cursor{rest: b}
	c.take(peerUpHead)
	takeMessage(&c)
	kind, received := takeMessage(&c)
	return !c.short && kind == messageOpen && offersEVPN(received)
}

// takeMessage takes a BGP message off the front and returns its type and body.
func takeMessage(c *cursor) (kind int, body []byte) {
	header := c.take(headerLength)
	length := int(binary.BigEndian.Uint16(header[16:]))
	if length < headerLength {
		c.short = true
		return 0, nil
	}
	return int(header[18]), c.take(length - headerLength)
}

// offersEVPN looks for the EVPN family among the multiprotocol capabilities of
// the body of an OPEN.
func offersEVPN(open []byte) bool {
	c := cursor{rest: open}
	c.take(openFixed)
	length, wide := c.uint8(), false
	if len(c.rest) > 0 && length != 0 && c.rest[0] == parameterExtended {
		c.take(1)
		length, wide = c.uint16(), true
	}
	c = cursor{rest: c.take(length), short: c.short}
	for !c.empty() && !c.short {
		kind := c.uint8()
		size := c.uint8
		if wide {
			size = c.uint16
		}
		if value := c.take(size()); kind == parameterCapabilities && capabilitiesOfferEVPN(value) {
			return !c.short
		}
	}
	return false
}

// capabilitiesOfferEVPN looks through capabilities of code 1, length 1, value.
func capabilitiesOfferEVPN(b []byte) bool {
	c := cursor{rest: b}
	for !c.empty() {
		code := c.uint8()
		v := cursor{rest: c.take(c.uint8())}
		afi := v.uint16()
		v.take(1) // reserved
		if safi := v.uint8(); code == capabilityFamilies && afi == afiL2VPN && safi == safiEVPN && !v.short && !c.short {
			return true
		}
	}
	return false
}

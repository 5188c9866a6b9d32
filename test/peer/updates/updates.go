// Package updates reads BGP UPDATEs for EVPN routes out of captured packets, each
// attribute with all its bytes: what a route reflector does to them is seen by
// comparing what went in with what came out. It knows nothing of the product's
// decoder.
package updates

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Path attribute types (RFC 4271, RFC 4456, RFC 4760, RFC 4360, RFC 9012).
const (
	Origin              = 1
	ASPath              = 2
	MED                 = 4
	LocalPref           = 5
	OriginatorID        = 9
	ClusterList         = 10
	MPReach             = 14
	MPUnreach           = 15
	ExtendedCommunities = 16
	TunnelEncapsulation = 23
)

// Lengths in bytes (RFC 4271 section 4.1, RFC 7432 section 7.1).
const (
	headerLength = 19
	routeLength  = 25
	typeUpdate   = 2
	typeAD       = 1
)

var errShort = errors.New("it ends too early")

// Attribute is one path attribute, with its header.
type Attribute struct {
	Type  byte
	Bytes []byte // flags, type, length, value
	Value []byte
}

// Route is one Ethernet A-D route of an UPDATE.
type Route struct {
	// Key is the NLRI without its label.
	Key string
	// Tag is the Ethernet tag, and Label the 24 bits of the label field.
	Tag, Label uint32
	// NextHop is zero when the route is withdrawn.
	NextHop netip.Addr
	// Withdrawn says that the UPDATE takes the route back.
	Withdrawn bool
	// Attributes are those of its UPDATE, without the two that hold routes.
	Attributes map[byte]Attribute
}

// Sent returns the routes that one address sent to another over BGP
// connections whose beginning is in the packets, which begin with the Ethernet
// header. A message that is not yet complete is left out.
func Sent(packets [][]byte, from, to netip.Addr) ([]Route, error) {
	whole, err := streams(packets, from, to)
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, stream := range whole {
		for len(stream) >= headerLength {
			length := int(binary.BigEndian.Uint16(stream[16:]))
			if length < headerLength {
				return nil, fmt.Errorf("a message of %d bytes", length)
			}
			if length > len(stream) {
				break
			}
			if stream[18] == typeUpdate {
				found, err := Parse(stream[headerLength:length])
				if err != nil {
					return nil, fmt.Errorf("UPDATE %x: %w", stream[:length], err)
				}
				routes = append(routes, found...)
			}
			stream = stream[length:]
		}
	}
	return routes, nil
}

// Parse reads the routes of one UPDATE, which has no header.
func Parse(b []byte) ([]Route, error) {
	attributes, err := readAttributes(b)
	if err != nil {
		return nil, err
	}
	reach, unreach := attributes[MPReach].Value, attributes[MPUnreach].Value
	delete(attributes, MPReach)
	delete(attributes, MPUnreach)
	var routes []Route
	if len(unreach) > 3 { // more than family, which alone is an End-of-RIB
		if routes, err = readRoutes(unreach[3:]); err != nil {
			return nil, err
		}
		for i := range routes {
			routes[i].Withdrawn = true
		}
	}
	if reach == nil {
		return routes, nil
	}
	if len(reach) < 4 || len(reach) < 5+int(reach[3]) {
		return nil, errShort
	}
	nextHop, _ := netip.AddrFromSlice(reach[4 : 4+int(reach[3])])
	announced, err := readRoutes(reach[5+int(reach[3]):])
	for i := range announced {
		announced[i].NextHop, announced[i].Attributes = nextHop, attributes
	}
	return append(routes, announced...), err
}

// readAttributes reads the path attributes of an UPDATE.
func readAttributes(b []byte) (map[byte]Attribute, error) {
	_, b, err := readBlock(b) // withdrawn IPv4 routes
	if err != nil {
		return nil, err
	}
	if b, _, err = readBlock(b); err != nil {
		return nil, err
	}
	attributes := map[byte]Attribute{}
	for len(b) > 0 {
		a, rest, err := readAttribute(b)
		if err != nil {
			return nil, err
		}
		attributes[a.Type], b = a, rest
	}
	return attributes, nil
}

// readBlock reads two bytes of length, and so many bytes.
func readBlock(b []byte) (block, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errShort
	}
	end := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < end {
		return nil, nil, errShort
	}
	return b[2:end], b[end:], nil
}

func readAttribute(b []byte) (a Attribute, rest []byte, err error) {
	const extended = 0x10 // two bytes of length
	if len(b) < 3 || b[0]&extended != 0 && len(b) < 4 {
		return a, nil, errShort
	}
	header, length := 3, int(b[2])
	if b[0]&extended != 0 {
		header, length = 4, int(binary.BigEndian.Uint16(b[2:]))
	}
	end := header + length
	if end > len(b) {
		return a, nil, errShort
	}
	return Attribute{Type: b[1], Bytes: b[:end], Value: b[header:end]}, b[end:], nil
}

// readRoutes reads EVPN routes; those of other types are left out.
func readRoutes(b []byte) ([]Route, error) {
	var routes []Route
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return nil, errShort
		}
		route, end := b[2:2+int(b[1])], 2+int(b[1])
		if b[0] == typeAD && len(route) == routeLength {
			routes = append(routes, Route{
				Key: string(route[:22]), Tag: binary.BigEndian.Uint32(route[18:]),
				Label: binary.BigEndian.Uint32(route[21:]) & 0xffffff,
			})
		}
		b = b[end:]
	}
	return routes, nil
}

package slowpath_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// These build outer packets as a far end and the routers on the way would, byte
// by byte: nothing of it comes from the code under test.

const (
	farPort  = 40001
	nearPort = 1701
)

// carrier is a family and an encapsulation.
type carrier struct{ v6, udp bool }

var carriers = []carrier{{false, false}, {false, true}, {true, false}, {true, true}}

func (c carrier) String() string {
	return fmt.Sprintf("ipv%d-%s", map[bool]int{false: 4, true: 6}[c.v6], map[bool]string{false: "ip", true: "udp"}[c.udp])
}

// near is our outer address, far that of the far end, beyond a router.
func (c carrier) near() netip.Addr {
	if c.v6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

func (c carrier) far() netip.Addr {
	if c.v6 {
		return netip.MustParseAddr("2001:db8::9")
	}
	return netip.MustParseAddr("192.0.2.9")
}

// session is the id that the far end sends to us.
func (c carrier) session() uint32 { return 1000 + uint32(slices.Index(carriers, c)) }

func (c carrier) protocol() byte {
	if c.udp {
		return 17
	}
	return 115
}

// cookie is what the sessions of the tests expect.
var cookie = []byte{0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xf0, 0x0d}

// body is what the IP header carries: L2TPv3 (RFC 3931 section 4.1), in UDP if
// that is the carrier, with a right checksum.
func (c carrier) body(session uint32, cookie, inner []byte) []byte {
	var b []byte
	if c.udp {
		b = append(b, 0, 3, 0, 0)
	}
	b = binary.BigEndian.AppendUint32(b, session)
	b = append(append(b, cookie...), inner...)
	if !c.udp {
		return b
	}
	datagram := binary.BigEndian.AppendUint16(nil, farPort)
	datagram = binary.BigEndian.AppendUint16(datagram, nearPort)
	datagram = binary.BigEndian.AppendUint16(datagram, uint16(8+len(b)))
	datagram = append(append(datagram, 0, 0), b...)
	c.fix(datagram)
	return datagram
}

// fix makes the checksum of a datagram right (RFC 768, RFC 8200 section 8.1).
func (c carrier) fix(datagram []byte) {
	datagram[6], datagram[7] = 0, 0
	pseudo := append(c.far().AsSlice(), c.near().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(datagram)))
	pseudo = append(pseudo, 0, 0, 0, 17)
	sum := internetSum(append(pseudo, datagram...))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(datagram[6:], sum)
}

// internetSum is the checksum of RFC 1071.
func internetSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// shape is how an IP header differs from the plain one.
type shape struct {
	class      byte
	options    []byte // IPv4
	extensions []byte // IPv6, from the first extension header on, but for the last next-header field
	first      byte   // type of the first extension header
	lastNext   int    // offset of the next-header field in extensions that names the protocol
	id         uint32
	offset     int // of the fragment, in bytes
	more       bool
	fragment   bool
	ttl        byte   // 0 = 61, as after some hops
	flow       uint32 // IPv6 flow label
}

func (s shape) hops() byte {
	if s.ttl == 0 {
		return 61
	}
	return s.ttl
}

// packet puts an IP header in front of a body.
func (c carrier) packet(s shape, body []byte) []byte {
	if c.v6 {
		return c.packet6(s, body)
	}
	header := make([]byte, 20, 60)
	header = append(header, s.options...)
	header[0], header[1] = 4<<4|byte(len(header)/4), s.class
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(body)))
	binary.BigEndian.PutUint16(header[4:], uint16(s.id))
	flags := uint16(s.offset / 8)
	if s.more {
		flags |= 0x2000
	}
	binary.BigEndian.PutUint16(header[6:], flags)
	header[8], header[9] = s.hops(), c.protocol()
	copy(header[12:], c.far().AsSlice())
	copy(header[16:], c.near().AsSlice())
	binary.BigEndian.PutUint16(header[10:], internetSum(header))
	return append(header, body...)
}

func (c carrier) packet6(s shape, body []byte) []byte {
	var between []byte
	next := c.protocol()
	if s.fragment {
		flags := uint16(s.offset)
		if s.more {
			flags |= 1
		}
		between = append(between, next, 0)
		between = binary.BigEndian.AppendUint16(between, flags)
		between = binary.BigEndian.AppendUint32(between, s.id)
		next = 44
	}
	if len(s.extensions) > 0 {
		extensions := slices.Clone(s.extensions)
		extensions[s.lastNext] = next
		between = append(extensions, between...)
		next = s.first
	}
	header := binary.BigEndian.AppendUint32(nil, 6<<28|uint32(s.class)<<20|s.flow)
	header = binary.BigEndian.AppendUint16(header, uint16(len(between)+len(body)))
	header = append(header, next, s.hops())
	header = append(append(header, c.far().AsSlice()...), c.near().AsSlice()...)
	return append(append(header, between...), body...)
}

// fragments cuts a body into fragments of at most size bytes, a multiple of 8.
func (c carrier) fragments(s shape, body []byte, size int) [][]byte {
	s.fragment = true
	var packets [][]byte
	for at := 0; at < len(body); at += size {
		end := min(at+size, len(body))
		s.offset, s.more = at, end < len(body)
		packets = append(packets, c.packet(s, body[at:end]))
	}
	return packets
}

// plain is the frame that decapsulation should see: the same body behind headers
// without anything special, and no UDP checksum.
func (c carrier) plain(class byte, body []byte) []byte {
	frame := append(make([]byte, 12), 8, 0)
	if c.v6 {
		frame[12], frame[13] = 0x86, 0xdd
	}
	body = slices.Clone(body)
	if c.udp {
		body[6], body[7] = 0, 0
	}
	return append(frame, c.packet(shape{class: class, ttl: 64}, body)...)
}

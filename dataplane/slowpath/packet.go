package slowpath

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Lengths and numbers of the headers (IEEE 802.3, RFC 791, RFC 8200, RFC 768,
// RFC 3931 section 4.1).
const (
	ethernetLen = 14
	ipv4Len     = 20 // without options
	ipv6Len     = 40
	udpLen      = 8

	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd

	protocolUDP  = 17
	protocolL2TP = 115

	// maxPacket is the longest packet that an IP header can tell, in bytes.
	maxPacket = 65535

	// timeToLive of rebuilt packets; nobody looks at it.
	timeToLive = 64
)

// errMalformed says that what a socket delivered is no packet.
var errMalformed = errors.New("malformed packet")

// outer is what is kept of the outer headers of a packet: all that
// decapsulation looks at, and no options, extension headers or fragment fields.
type outer struct {
	source, destination netip.AddrPort // without ports over protocol 115
	udp                 bool
	class               uint8 // type of service or traffic class, with the ECN field
}

// size is the number of bytes of Ethernet, IP and UDP header.
func (o outer) size() int {
	n := ethernetLen + ipv4Len
	if o.destination.Addr().Is6() {
		n = ethernetLen + ipv6Len
	}
	if o.udp {
		n += udpLen
	}
	return n
}

// put writes the headers in front of the payload, which begins at size() of the
// frame. The Ethernet addresses are zero: the frame only goes through the helper
// pair, whose program does not look at them.
func (o outer) put(frame []byte) {
	clear(frame[:ethernetLen-2])
	etherType, protocol := frame[ethernetLen-2:], uint8(protocolL2TP)
	if o.udp {
		protocol = protocolUDP
	}
	packet := frame[ethernetLen:]
	if o.destination.Addr().Is6() {
		binary.BigEndian.PutUint16(etherType, etherTypeIPv6)
		o.putIPv6(packet, protocol)
		packet = packet[ipv6Len:]
	} else {
		binary.BigEndian.PutUint16(etherType, etherTypeIPv4)
		o.putIPv4(packet, protocol)
		packet = packet[ipv4Len:]
	}
	if o.udp {
		o.putUDP(packet)
	}
}

// putIPv4 writes the 20 bytes of RFC 791 section 3.1. Identification, flags and
// fragment offset are zero: this packet is whole.
func (o outer) putIPv4(packet []byte, protocol uint8) {
	header := packet[:ipv4Len]
	clear(header)
	header[0] = 4<<4 | ipv4Len/4
	header[1] = o.class
	binary.BigEndian.PutUint16(header[2:], uint16(len(packet)))
	header[8], header[9] = timeToLive, protocol
	source, destination := o.source.Addr().As4(), o.destination.Addr().As4()
	copy(header[12:], source[:])
	copy(header[16:], destination[:])
	binary.BigEndian.PutUint16(header[10:], checksum(header))
}

// putIPv6 writes the 40 bytes of RFC 8200 section 3, flow label zero.
func (o outer) putIPv6(packet []byte, protocol uint8) {
	binary.BigEndian.PutUint32(packet, 6<<28|uint32(o.class)<<20)
	binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-ipv6Len))
	packet[6], packet[7] = protocol, timeToLive
	source, destination := o.source.Addr().As16(), o.destination.Addr().As16()
	copy(packet[8:], source[:])
	copy(packet[24:], destination[:])
}

// putUDP writes the 8 bytes of RFC 768. The stack has checked the checksum of
// the datagram, which is why decapsulation does not ask for one any more.
func (o outer) putUDP(datagram []byte) {
	binary.BigEndian.PutUint16(datagram, o.source.Port())
	binary.BigEndian.PutUint16(datagram[2:], o.destination.Port())
	binary.BigEndian.PutUint16(datagram[4:], uint16(len(datagram)))
	binary.BigEndian.PutUint16(datagram[6:], 0)
}

// parseIPv4 reads the header of a packet of protocol 115 as a raw socket
// delivers it, options included, and returns where its payload begins and ends.
func parseIPv4(packet []byte) (o outer, begin, end int, err error) {
	if len(packet) < ipv4Len || packet[0]>>4 != 4 || packet[9] != protocolL2TP {
		return outer{}, 0, 0, errMalformed
	}
	begin, end = int(packet[0]&0xf)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if begin < ipv4Len || end < begin || end > len(packet) {
		return outer{}, 0, 0, errMalformed
	}
	o.class = packet[1]
	o.source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[12:16])), 0)
	o.destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[16:20])), 0)
	return o, begin, end, nil
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

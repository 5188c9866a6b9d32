package main

import (
	"encoding/binary"
	"net/netip"
)

// Lengths of headers in bytes, and offsets that programs look at.
const (
	ethernetLen = 14
	ipv4Len     = 20
	ipv6Len     = 40
	udpLen      = 8
)

// discardPort is where the frames of the generator are addressed to (RFC 863).
const discardPort = 9

// mac is a hardware address.
type mac [6]byte

// template describes an Ethernet frame that carries UDP over IPv4 or IPv6.
type template struct {
	destination, source mac
	to, from            netip.Addr
	port                uint16 // of UDP, at the destination
}

// frame makes a frame of n bytes, at least as long as its headers. Its UDP
// checksum is none over IPv4 and right over IPv6 (RFC 8200 section 8.1).
func (t template) frame(n int) []byte {
	b := make([]byte, n)
	copy(b, t.destination[:])
	copy(b[6:], t.source[:])
	ip := b[ethernetLen:]
	l4 := ipv4Len
	if t.to.Is4() {
		binary.BigEndian.PutUint16(b[12:], 0x0800)
		ip[0], ip[8], ip[9] = 0x45, 64, 17
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		copy(ip[12:], t.from.AsSlice())
		copy(ip[16:], t.to.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:ipv4Len]))
	} else {
		l4 = ipv6Len
		binary.BigEndian.PutUint16(b[12:], 0x86dd)
		ip[0], ip[6], ip[7] = 0x60, 17, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
		copy(ip[8:], t.from.AsSlice())
		copy(ip[24:], t.to.AsSlice())
	}
	udp := ip[l4:]
	binary.BigEndian.PutUint16(udp, 49152)
	binary.BigEndian.PutUint16(udp[2:], t.port)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	for i := udpLen; i < len(udp); i++ {
		udp[i] = byte(i)
	}
	if t.to.Is6() {
		pseudo := append(append(t.from.AsSlice(), t.to.AsSlice()...), 0, 17)
		pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(udp)))
		binary.BigEndian.PutUint16(udp[6:], checksum(append(pseudo, udp...)))
	}
	return b
}

// echoRequest makes an ICMP echo request (RFC 792) with n bytes of payload.
func echoRequest(id, sequence uint16, n int) []byte {
	const header, typeEcho = 8, 8
	b := make([]byte, header+n)
	b[0] = typeEcho
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], sequence)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// isEchoReply says whether an IPv4 packet is the reply to a request.
func isEchoReply(packet []byte, id, sequence uint16) bool {
	const typeEchoReply = 0
	if len(packet) < ipv4Len {
		return false
	}
	at := int(packet[0]&15) * 4
	if len(packet) < at+8 {
		return false
	}
	icmp := packet[at:]
	return icmp[0] == typeEchoReply && binary.BigEndian.Uint16(icmp[4:]) == id && binary.BigEndian.Uint16(icmp[6:]) == sequence
}

// checksum is the Internet checksum of b (RFC 1071), whose own field is zero or
// makes the result zero when it is right.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

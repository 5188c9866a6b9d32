package selftest

import (
	"encoding/binary"
	"slices"
)

// Lengths in bytes.
const (
	macsLen     = 12
	ethernetLen = 14
	ipv4Len     = 20
	ipv6Len     = 40
	udpLen      = 8
	tcpLen      = 20
)

// EtherTypes and IP protocols.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
	typeQinQ = 0x88a8
	typeOld  = 0x9100 // QinQ before 802.1ad
	typeTest = 0x88b5 // IEEE 802, for experiments

	protocolTCP  = 6
	protocolUDP  = 17
	protocolL2TP = 115
)

// The customers' addresses. Frames between them are the self-test's own.
var (
	customerA = []byte{0x02, 0x4c, 0x57, 0, 0, 0xa}
	customerB = []byte{0x02, 0x4c, 0x57, 0, 0, 0xb}
)

// isOurs tells the self-test's frames from the kernel's own chatter.
func isOurs(frame []byte) bool {
	return len(frame) >= macsLen && slices.Equal(frame[:6], customerB) && slices.Equal(frame[6:macsLen], customerA)
}

// vlan is a tag: its EtherType, and priority and VLAN id.
type vlan struct{ kind, tci uint16 }

// onto returns the frame with the tag in front of its others.
func (v vlan) onto(frame []byte) []byte {
	out := slices.Clone(frame[:macsLen])
	out = binary.BigEndian.AppendUint16(out, v.kind)
	out = binary.BigEndian.AppendUint16(out, v.tci)
	return append(out, frame[macsLen:]...)
}

// plainFrame is a frame of size bytes, all different from its neighbours, so that a
// byte out of its place is seen.
func plainFrame(size int, etherType uint16, tags ...vlan) []byte {
	f := append(slices.Clone(customerB), customerA...)
	f = binary.BigEndian.AppendUint16(f, etherType)
	for i := len(f); i < size; i++ {
		f = append(f, byte(i*7+i>>8))
	}
	for _, tag := range slices.Backward(tags) {
		f = tag.onto(f)
	}
	return f
}

// sendable is a frame as a customer's stack hands it to its device.
type sendable struct {
	bytes []byte
	// The rest is zero for a frame that is complete: where the checksum begins
	// that is still open and where it goes from there, and into how large pieces
	// TCP's payload is to be cut.
	checksumStart, checksumOffset, headers, size int
	v6                                           bool
}

// virtio returns struct virtio_net_hdr (VIRTIO 1.2 section 5.1.6).
//
//	| flags (1) | gso type (1) | header length (2) | gso size (2) | checksum start (2) | offset (2) |
func (s sendable) virtio() []byte {
	h := make([]byte, 10, 10+len(s.bytes))
	if s.checksumStart == 0 {
		return h
	}
	h[0] = 1 // needs a checksum
	if s.size > 0 {
		h[1] = 1 // TCP over IPv4
		if s.v6 {
			h[1] = 4
		}
	}
	for i, v := range []int{s.headers, s.size, s.checksumStart, s.checksumOffset} {
		binary.NativeEndian.PutUint16(h[2+2*i:], uint16(v))
	}
	return h
}

// packet is an IP packet of TCP or UDP between the customers.
type packet struct {
	v6, udp bool
	payload []byte
	id      uint16
	seq     uint32
	push    bool
	tags    []vlan
}

// pattern is a payload of n bytes.
func pattern(n int) []byte { return plainFrame(ethernetLen+n, 0)[ethernetLen:] }

func (p packet) l3() int { return ethernetLen + 4*len(p.tags) }
func (p packet) l4() int {
	if p.v6 {
		return p.l3() + ipv6Len
	}
	return p.l3() + ipv4Len
}

func (p packet) l4Len() int {
	if p.udp {
		return udpLen
	}
	return tcpLen
}

// checksumAt is the checksum's place from the transport header on.
func (p packet) checksumAt() int {
	if p.udp {
		return 6
	}
	return 16
}

// headers writes everything but the transport checksum. It returns the frame and
// the sum of the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1).
func (p packet) headers() (frame []byte, pseudo uint32) {
	etherType, protocol, length := uint16(typeIPv4), byte(protocolTCP), p.l4Len()+len(p.payload)
	if p.v6 {
		etherType = typeIPv6
	}
	if p.udp {
		protocol = protocolUDP
	}
	f := plainFrame(ethernetLen, etherType, p.tags...)
	if p.v6 {
		f = append(f, 0x60, 0, 0, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(length))
		f = append(f, protocol, 64)
		f = append(f, 0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
		f = append(f, 0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)
		pseudo = add(0, f[p.l3()+8:])
	} else {
		f = append(f, 0x45, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(ipv4Len+length))
		f = binary.BigEndian.AppendUint16(f, p.id)
		f = append(f, 0, 0, 64, protocol, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2)
		binary.BigEndian.PutUint16(f[p.l3()+10:], ^fold(add(0, f[p.l3():])))
		pseudo = add(0, f[p.l3()+12:])
	}
	pseudo += uint32(protocol) + uint32(length)
	f = append(f, 0x30, 0x39, 0xd4, 0x31) // ports
	if p.udp {
		f = binary.BigEndian.AppendUint16(f, uint16(length))
		return append(append(f, 0, 0), p.payload...), pseudo
	}
	f = binary.BigEndian.AppendUint32(f, p.seq)
	flags := byte(0x10) // ACK
	if p.push {
		flags |= 0x08
	}
	f = append(f, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0)
	return append(f, p.payload...), pseudo
}

// whole returns the packet as it is on a wire.
func (p packet) whole() []byte {
	f, pseudo := p.headers()
	sum := ^fold(add(pseudo, f[p.l4():]))
	binary.BigEndian.PutUint16(f[p.l4()+p.checksumAt():], sum)
	return f
}

// partial returns the packet with its checksum left to the device. With a size
// the device cuts TCP's payload as well.
func (p packet) partial(size int) sendable {
	f, pseudo := p.headers()
	binary.BigEndian.PutUint16(f[p.l4()+p.checksumAt():], fold(pseudo))
	return sendable{
		bytes: f, checksumStart: p.l4(), checksumOffset: p.checksumAt(), headers: p.l4() + p.l4Len(), size: size, v6: p.v6,
	}
}

// pieces returns the packets that a super-frame is to be cut into.
func (p packet) pieces(size int) [][]byte {
	var all [][]byte
	for at := 0; at < len(p.payload); at += size {
		piece := p
		piece.payload = p.payload[at:min(at+size, len(p.payload))]
		piece.seq, piece.id = p.seq+uint32(at), p.id+uint16(len(all))
		piece.push = p.push && at+size >= len(p.payload)
		all = append(all, piece.whole())
	}
	return all
}

// add adds bytes to a ones' complement sum.
func add(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
		sum = sum&0xffff + sum>>16
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fold folds a ones' complement sum to 16 bits (RFC 1071).
func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

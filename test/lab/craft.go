package lab

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// portL2TP is the UDP port of L2TP (RFC 3931 section 4.1.2).
const portL2TP = 1701

// Header returns the L2TPv3 header that packets of the tunnel carry behind IP or
// UDP: flags, version and a reserved word over UDP, then session id, cookie
// and sublayer (RFC 3931 section 4.1).
func (t Tunnel) Header() []byte {
	var b []byte
	if t.UDP {
		b = append(b, 0, 3, 0, 0)
	}
	b = binary.BigEndian.AppendUint32(b, t.Session)
	// A tunnel whose cookie is no hexadecimal number fails where it is read.
	cookie, _ := hex.DecodeString(t.Cookie)
	b = append(b, cookie...)
	if t.Sublayer {
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

// Packet wraps a frame as the tunnel's sender would, from an Ethernet header with
// zero addresses on. It is built by gopacket, so that nothing that is checked
// here is held against itself.
func (t Tunnel) Packet(frame []byte) ([]byte, error) {
	return t.Wrap(append(t.Header(), frame...))
}

// Wrap is Packet for any bytes in the place of L2TPv3 header and frame. All
// lengths and checksums around them are right.
func (t Tunnel) Wrap(payload []byte) ([]byte, error) {
	ethernet := &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6)}
	stack := []gopacket.SerializableLayer{ethernet}
	udp := &layers.UDP{SrcPort: portL2TP, DstPort: portL2TP}
	var err error
	if t.Source.Is4() {
		ethernet.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: t.protocol(), Flags: layers.IPv4DontFragment,
			SrcIP: t.Source.AsSlice(), DstIP: t.Destination.AsSlice()}
		stack, err = append(stack, ip), udp.SetNetworkLayerForChecksum(ip)
	} else {
		ethernet.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: t.protocol(),
			SrcIP: t.Source.AsSlice(), DstIP: t.Destination.AsSlice()}
		stack, err = append(stack, ip), udp.SetNetworkLayerForChecksum(ip)
	}
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	if t.UDP {
		stack = append(stack, udp)
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, append(stack, gopacket.Payload(payload))...); err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	// gopacket pads an Ethernet frame to the least length of a wire.
	return buffer.Bytes()[:t.payloadAt()+len(payload)], nil
}

// payloadAt is the offset of what follows IP or UDP in a packet.
func (t Tunnel) payloadAt() int {
	at := t.TransportAt()
	if t.UDP {
		at += 8
	}
	return at
}

// TransportAt is the offset of what follows the IP header in a packet, from its
// Ethernet header on.
func (t Tunnel) TransportAt() int {
	if t.Source.Is4() {
		return 14 + 20
	}
	return 14 + 40
}

// SetIPLength writes what the IP header says of the length: bytes of the whole
// packet from the IP header on. The IPv4 header checksum is made right again.
func (t Tunnel) SetIPLength(packet []byte, length int) {
	if t.Source.Is4() {
		binary.BigEndian.PutUint16(packet[14+2:], uint16(length))
		SumIPv4(packet)
		return
	}
	binary.BigEndian.PutUint16(packet[14+4:], uint16(length-40))
}

// SumIPv4 makes the header checksum of an IPv4 packet, from its Ethernet header
// on, right for the header that it has now.
func SumIPv4(packet []byte) {
	header := packet[14 : 14+4*int(packet[14]&15)]
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], checksum(0, header))
}

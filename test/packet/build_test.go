package packet

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"longwire/dataplane"
)

// outer builds the packet that the far end would send, with gopacket: nothing
// of it comes from the code under test.
func (f format) outer(t testing.TB, session uint32, inner []byte) []byte {
	t.Helper()
	near, far := f.addresses()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 1, 0}, DstMAC: make(net.HardwareAddr, 6)}
	payload := f.l2tp(session, inner)
	stack := []gopacket.SerializableLayer{eth}
	protocol := layers.IPProtocol(115)
	if f.udp {
		protocol = layers.IPProtocolUDP
	}
	udp := &layers.UDP{SrcPort: farPort, DstPort: nearPort}
	if f.v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: far.AsSlice(), DstIP: near.AsSlice()}
		stack = append(stack, ip)
		must(t, udp.SetNetworkLayerForChecksum(ip))
	} else {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: protocol, Flags: layers.IPv4DontFragment, SrcIP: far.AsSlice(), DstIP: near.AsSlice()}
		stack = append(stack, ip)
		must(t, udp.SetNetworkLayerForChecksum(ip))
	}
	if f.udp {
		stack = append(stack, udp)
	}
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	must(t, gopacket.SerializeLayers(buf, options, append(stack, gopacket.Payload(payload))...))
	// gopacket pads an Ethernet frame to the least length of a wire.
	return buf.Bytes()[:f.header()+len(inner)]
}

// l2tp is the L2TPv3 header and the frame (RFC 3931 section 4.1).
func (f format) l2tp(session uint32, inner []byte) []byte {
	var b []byte
	if f.udp {
		b = append(b, 0, 3, 0, 0)
	}
	b = append(b, byte(session>>24), byte(session>>16), byte(session>>8), byte(session))
	b = append(b, f.cookie...)
	if f.sublayer == dataplane.SublayerDefault {
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, inner...)
}

// l4 is the offset of what follows the IP header.
func (f format) l4() int {
	if f.v6 {
		return 14 + 40
	}
	return 14 + 20
}

// l2tpAt is the offset of the session id.
func (f format) l2tpAt() int {
	if f.udp {
		return f.l4() + 8 + 4
	}
	return f.l4()
}

// header is the length of everything before the inner frame.
func (f format) header() int {
	return f.l2tpAt() + 4 + len(f.cookie) + f.sublayer.Len()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

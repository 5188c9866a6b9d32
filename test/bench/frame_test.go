package main

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var exampleTemplate = template{
	destination: mac{2, 0, 0, 0, 0, 1}, source: mac{2, 0, 0, 0, 0, 2},
	from: netip.MustParseAddr("198.18.0.1"), to: netip.MustParseAddr("198.18.0.2"), port: discardPort,
}

// TestFrame makes gopacket read what we wrote, and write the same.
func TestFrame(t *testing.T) {
	for _, size := range append([]int{42, 43}, frameSizes...) {
		b := exampleTemplate.frame(size)
		packet := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
		if failure := packet.ErrorLayer(); failure != nil || len(b) != size {
			t.Fatalf("%d bytes of %d: %v", len(b), size, failure)
		}
		eth := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
		ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		udp := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if udp.DstPort != discardPort || !ip.DstIP.Equal(exampleTemplate.to.AsSlice()) || !ip.SrcIP.Equal(exampleTemplate.from.AsSlice()) {
			t.Errorf("%d bytes: %s to %s, port %d", size, ip.SrcIP, ip.DstIP, udp.DstPort)
		}
		buf := gopacket.NewSerializeBuffer()
		payload := gopacket.Payload(udp.Payload)
		if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, udp, payload); err != nil {
			t.Fatal(err)
		}
		datagram := gopacket.Payload(append([]byte(nil), buf.Bytes()...))
		o := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, o, eth, ip, datagram); err != nil {
			t.Fatal(err)
		}
		// gopacket pads to the least length of a wire.
		if diff := cmp.Diff(buf.Bytes()[:size], b); diff != "" {
			t.Errorf("%d bytes (-gopacket +ours):\n%s", size, diff)
		}
	}
}

func TestEchoRequest(t *testing.T) {
	for _, n := range []int{0, 1, 56} {
		b := echoRequest(0x1234, 7, n)
		var icmp layers.ICMPv4
		if err := icmp.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
			t.Fatal(err)
		}
		if icmp.TypeCode.Type() != layers.ICMPv4TypeEchoRequest || icmp.Id != 0x1234 || icmp.Seq != 7 || len(icmp.Payload) != n {
			t.Errorf("payload of %d bytes: %+v", n, icmp)
		}
		if checksum(b) != 0 {
			t.Errorf("payload of %d bytes: checksum %#04x is wrong", n, icmp.Checksum)
		}
	}
}

func TestIsEchoReply(t *testing.T) {
	reply := func(headerLen int, change func(icmp []byte)) []byte {
		b := make([]byte, headerLen)
		b[0] = 0x40 | byte(headerLen/4)
		icmp := echoRequest(5, 6, 8)
		icmp[0] = 0
		change(icmp)
		return append(b, icmp...)
	}
	same := func([]byte) {}
	for _, row := range []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"ours", reply(20, same), true},
		{"behind IP options", reply(24, same), true},
		{"a request", reply(20, func(b []byte) { b[0] = 8 }), false},
		{"of another process", reply(20, func(b []byte) { b[5]++ }), false},
		{"of another request", reply(20, func(b []byte) { b[7]++ }), false},
		{"cut in the IP header", reply(20, same)[:19], false},
		{"cut in the ICMP header", reply(20, same)[:27], false},
		{"empty", nil, false},
	} {
		if got := isEchoReply(row.packet, 5, 6); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// TestChecksum has the example of RFC 1071 section 3, and an odd length.
func TestChecksum(t *testing.T) {
	for _, row := range []struct {
		bytes []byte
		sum   uint16
	}{
		{[]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2},
		{[]byte{0x01, 0x02, 0x03}, 0x0402},
		{nil, 0},
	} {
		if got := ^checksum(row.bytes); got != row.sum {
			t.Errorf("% x: %#04x, want %#04x", row.bytes, got, row.sum)
		}
	}
}

// TestDiscardPortFits holds the sink and the frames together: it compares the
// port byte by byte.
func TestDiscardPortFits(t *testing.T) {
	b := exampleTemplate.frame(smallFrame)
	if got := binary.BigEndian.Uint16(b[36:]); got != discardPort || b[23] != 17 {
		t.Errorf("protocol %d, port %d", b[23], got)
	}
}

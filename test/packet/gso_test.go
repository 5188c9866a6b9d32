package packet

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// tcpFrame is a TCP super-frame with n bytes of payload.
func tcpFrame(t *testing.T, v6 bool, n int) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, ACK: true, Window: 100}
	stack := []gopacket.SerializableLayer{eth}
	if v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("fd00:c::1"), DstIP: net.ParseIP("fd00:c::2")}
		must(t, tcp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, ip)
	} else {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
		must(t, tcp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, ip)
	}
	stack = append(stack, tcp, gopacket.Payload(frame(n+14, 0)[14:]))
	buf := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...))
	return buf.Bytes()
}

// TestSuperFrames sends what the kernel cannot cut behind our header through
// the helper pair, untouched and marked with its circuit, and encapsulates the
// rest whole.
func TestSuperFrames(t *testing.T) {
	const payload, segment = 3000, 1000
	for _, f := range carriers() {
		for _, innerV6 := range []bool{false, true} {
			t.Run(f.name+"/"+map[bool]string{false: "inner4", true: "inner6"}[innerV6], func(t *testing.T) {
				nh := lease(1500)
				m := withTransmit(t, f.transmit(t), &nh)
				inner := tcpFrame(t, innerV6, payload)
				got := run(t, m.Programs().Encap, append([]byte(nil), inner...), skb{GSOSize: segment, GSOSegs: 3})
				whole := f.udp && !f.v6
				want, mark := inner, uint32(circuit)
				if whole {
					want, mark = f.sent(t, nh, inner), 0
				}
				if diff := cmp.Diff(want, got.packet); got.verdict != redirect || got.mark != mark || diff != "" {
					t.Errorf("verdict %d, mark %d, drops %v (-want +got):\n%s", got.verdict, got.mark, dropsOf(t, m), diff)
				}
				all, err := m.Counters()
				must(t, err)
				packets, octets := uint64(0), uint64(0)
				if whole { // the others are counted piece by piece
					headers := len(inner) - payload
					packets, octets = 3, uint64(payload+3*headers)
				}
				if c := all[pseudowire]; c.EncapPackets != packets || c.EncapBytes != octets {
					t.Errorf("counted %d packets, %d bytes; want %d, %d", c.EncapPackets, c.EncapBytes, packets, octets)
				}
			})
		}
	}
}

// TestSuperFrameTooBig looks at the segment's size, not the super-frame's.
func TestSuperFrameTooBig(t *testing.T) {
	f := format{name: "ipv4/udp", udp: true}
	nh := lease(1500)
	m := withTransmit(t, f.transmit(t), &nh)
	inner := tcpFrame(t, false, 3000)
	largest := uint32(1500 + 14 - f.header() - (len(inner) - 3000))
	if got := run(t, m.Programs().Encap, append([]byte(nil), inner...), skb{GSOSize: largest}); got.verdict != redirect {
		t.Errorf("segments of %d bytes: verdict %d, drops %v", largest, got.verdict, dropsOf(t, m))
	}
	if got := run(t, m.Programs().Encap, inner, skb{GSOSize: largest + 1}); got.verdict != shot {
		t.Errorf("segments of %d bytes: verdict %d", largest+1, got.verdict)
	}
}

package packet

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"longwire/dataplane"
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

// TestSuperFrames sends super-frames through the helper pair, untouched and
// marked with their circuit. A test run cannot say what kind of super-frame it
// has made, so the kernel refuses to encapsulate it whole over IPv4 and UDP as
// well; the end-to-end transfers see that path.
func TestSuperFrames(t *testing.T) {
	m := open(t, 64)
	for _, f := range carriers() {
		for _, inner := range []string{"tcp4", "tcp6", "other"} {
			t.Run(f.name+"/"+inner, func(t *testing.T) {
				tx := f.transmit(t)
				must(t, m.PutTransmit(tx))
				must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, lease(1500)))
				sent := frame(3000, 0x88b5)
				if inner != "other" {
					sent = tcpFrame(t, inner == "tcp6", 3000)
				}
				got := run(t, m.Programs().Encap, append([]byte(nil), sent...), skb{GSOSize: 1000, GSOSegs: 3})
				if diff := diffOf(sent, got.packet); got.verdict != redirect || got.mark != circuit || diff != "" {
					t.Errorf("verdict %d, mark %d, drops %v (-want +got):\n%s", got.verdict, got.mark, dropsOf(t, m), diff)
				}
				all, err := m.Counters()
				must(t, err)
				if c := all[pseudowire]; c.EncapPackets != 0 { // its pieces are counted
					t.Errorf("counted %d packets", c.EncapPackets)
				}
			})
		}
	}
}

// TestSuperFrameTooBig looks at the segment's size, not the super-frame's: one
// that is cut into pieces too big is cut first, so that they meet the policy.
func TestSuperFrameTooBig(t *testing.T) {
	f := format{name: "ipv4/udp", udp: true}
	nh := lease(1500)
	m := withTransmit(t, f.transmit(t), &nh)
	inner := tcpFrame(t, false, 3000)
	largest := uint32(1500 + 14 - f.header() - (len(inner) - 3000))
	if got := run(t, m.Programs().Encap, append([]byte(nil), inner...), skb{GSOSize: largest}); got.verdict != redirect {
		t.Errorf("segments of %d bytes: verdict %d, drops %v", largest, got.verdict, dropsOf(t, m))
	}
	if got := run(t, m.Programs().Encap, inner, skb{GSOSize: largest + 1}); got.verdict != redirect || got.mark != circuit {
		t.Errorf("segments of %d bytes: verdict %d, mark %d", largest+1, got.verdict, got.mark)
	}
}

// TestUncutSuperFrame drops a super-frame that has come through the helper pair
// as it was: sent through it again it would go round for ever.
func TestUncutSuperFrame(t *testing.T) {
	m := open(t, 64)
	for i, f := range carriers() {
		tx := f.transmit(t)
		must(t, m.PutTransmit(tx))
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, lease(1500)))
		got := run(t, m.Programs().Segment, tcpFrame(t, false, 3000), skb{Mark: circuit, GSOSize: 1000, GSOSegs: 3})
		if got.verdict != shot || dropsOf(t, m)[dataplane.DropNoHelper] != uint64(i+1) {
			t.Errorf("%s: verdict %d, drops %v", f.name, got.verdict, dropsOf(t, m))
		}
	}
}

package packet

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// What customers' hosts are called.
var (
	customer4 = [2]net.IP{{10, 1, 0, 1}, {10, 1, 0, 2}}
	customer6 = [2]net.IP{net.ParseIP("2001:db8:c::1"), net.ParseIP("2001:db8:c::2")}
)

// customerFrame is a frame with a UDP packet of one customer's host to another.
func customerFrame(t testing.TB, v6 bool, n int) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	udp := &layers.UDP{SrcPort: 5000, DstPort: 6000}
	stack := []gopacket.SerializableLayer{eth}
	if v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, TrafficClass: 0x2a, FlowLabel: 99, HopLimit: 63, NextHeader: layers.IPProtocolUDP, SrcIP: customer6[0], DstIP: customer6[1]}
		must(t, udp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, ip)
	} else {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TOS: 0x2a, Id: 4711, Flags: layers.IPv4DontFragment, TTL: 63, Protocol: layers.IPProtocolUDP, SrcIP: customer4[0], DstIP: customer4[1]}
		must(t, udp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, ip)
	}
	headers := 14 + 20 + 8
	if v6 {
		headers += 20
	}
	stack = append(stack, udp, gopacket.Payload(frame(n-headers+14, 0)[14:]))
	buf := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...))
	return buf.Bytes()
}

// tooBig is the answer to a frame without tags, by gopacket: from its
// destination to its source, with the beginning of the packet behind it.
func tooBig(t testing.TB, inner []byte, mtu int) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: inner[:6], DstMAC: inner[6:12]}
	var stack []gopacket.SerializableLayer
	if inner[12] == 0x86 {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: inner[38:54], DstIP: inner[22:38]}
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypePacketTooBig, 0)}
		must(t, icmp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, eth, ip, icmp, gopacket.Payload(append(binary.BigEndian.AppendUint32(nil, uint32(mtu)), inner[14:14+104]...)))
	} else {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TOS: 0xc0, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: inner[30:34], DstIP: inner[26:30]}
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: uint16(mtu)} // RFC 1191 section 4
		stack = append(stack, eth, ip, icmp, gopacket.Payload(inner[14:14+64]))
	}
	buf := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...))
	return buf.Bytes()
}

// clock returns the tick of the programs' clock.
func clock(t testing.TB, m *maps.Maps) uint64 {
	t.Helper()
	return binary.NativeEndian.Uint64(run(t, m.Programs().ReadClock, make([]byte, 14), skb{}).packet)
}

// nextTick waits for the clock, since there is one answer in a tick.
func nextTick(t testing.TB, m *maps.Maps) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for now := clock(t, m); clock(t, m) == now; {
		if time.Now().After(deadline) {
			t.Fatal("the clock of the programs stands still")
		}
	}
}

// withAnswers lets a format's circuit answer, on maps that exist.
func withAnswers(t *testing.T, m *maps.Maps, f format, mtu int, tags dataplane.Imposition) {
	t.Helper()
	tx := f.transmit(t)
	tx.TooBig, tx.Tags = dataplane.TooBigAnswer, tags
	must(t, m.PutTransmit(tx))
	must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, lease(mtu)))
}

// overhead is what a format adds to the payload of a frame.
func (f format) overhead() int {
	h := dataplane.Header{Family: dataplane.IPv4, CookieLen: len(f.cookie), Sublayer: f.sublayer}
	if f.v6 {
		h.Family = dataplane.IPv6
	}
	if f.udp {
		h.Encapsulation = dataplane.EncapsulationUDP
	}
	return h.Len()
}

// wantAnswers compares what the pseudowire has answered and dropped.
func wantAnswers(t *testing.T, m *maps.Maps, answered, dropped uint64) {
	t.Helper()
	all, err := m.Counters()
	must(t, err)
	if c := all[pseudowire]; c.Answered != answered || c.Drops[dataplane.DropTooBig] != dropped || len(c.Drops) != 1 {
		t.Errorf("%d answered, drops %v; want %d and %d too_big", c.Answered, c.Drops, answered, dropped)
	}
}

// TestAnswer tells the customer's host, in all 24 formats, the largest IP packet
// that crosses: with it a frame does cross, and with one byte more it does not.
func TestAnswer(t *testing.T) {
	m := open(t, 64)
	n := uint64(0)
	for _, f := range formats() {
		for _, v6 := range []bool{false, true} {
			for _, mtu := range []int{1500, 1400} {
				t.Run(fmt.Sprintf("%s/inner-ipv6-%t/%d", f.name, v6, mtu), func(t *testing.T) {
					withAnswers(t, m, f, mtu, dataplane.Imposition{})
					largest := mtu - f.overhead()
					if got := encap(t, m, customerFrame(t, v6, 14+largest), skb{}); got.verdict != redirect || len(got.packet) != 14+mtu {
						t.Errorf("%d bytes of IP: verdict %d, %d bytes out", largest, got.verdict, len(got.packet))
					}
					nextTick(t, m)
					inner := customerFrame(t, v6, 14+largest+1)
					got := encap(t, m, append([]byte(nil), inner...), skb{Mark: 7})
					if diff := diffOf(tooBig(t, inner, largest), got.packet); got.verdict != redirect || got.mark != 0 || diff != "" {
						t.Errorf("verdict %d, mark %d (-want +got):\n%s", got.verdict, got.mark, diff)
					}
					n++
					wantAnswers(t, m, n, n)
				})
			}
		}
	}
}

// TestAnswerLeastMTU never tells an IPv6 host less than it must bear (RFC 8201
// section 4), nor an IPv4 host what no host can do (RFC 791 section 3.2).
func TestAnswerLeastMTU(t *testing.T) {
	m := open(t, 64)
	f := carriers()[0]
	answered, dropped := uint64(0), uint64(0)
	for _, row := range []struct {
		v6        bool
		mtu, want int // of the underlay, and what is told; 0 is nothing
	}{
		{true, 1280 + f.overhead() + 1, 1281}, {true, 1280 + f.overhead(), 1280}, {true, 1280 + f.overhead() - 1, 1280}, {true, 100, 1280},
		{false, 68 + f.overhead(), 68}, {false, 67 + f.overhead(), 0}, {false, f.overhead() - 1, 0}, {true, f.overhead() - 1, 0},
	} {
		withAnswers(t, m, f, row.mtu, dataplane.Imposition{})
		nextTick(t, m)
		inner := customerFrame(t, row.v6, 1514)
		got := encap(t, m, append([]byte(nil), inner...), skb{})
		dropped++
		if row.want == 0 {
			if got.verdict != shot {
				t.Errorf("%+v: verdict %d", row, got.verdict)
			}
			continue
		}
		answered++
		if diff := diffOf(tooBig(t, inner, row.want), got.packet); got.verdict != redirect || diff != "" {
			t.Errorf("%+v: verdict %d (-want +got):\n%s", row, got.verdict, diff)
		}
	}
	wantAnswers(t, m, answered, dropped)
}

// TestAnswerTagged gives the answer the tags of the frame, and counts those that
// cross in the MTU; on a port and behind the helper pair.
func TestAnswerTagged(t *testing.T) {
	m, p := open(t, 64), newPort(t)
	n := uint64(0)
	for _, f := range carriers() {
		for _, to := range []dataplane.Imposition{{}, {Pop: 1}, {Pop: 2}, {Push: dataplane.Tag{Type: 0x88a8, VID: 9}}, {Pop: 1, Push: dataplane.Tag{Type: 0x9100, VID: 9}}} {
			withAnswers(t, m, f, 1500, to)
			leased := f.keep(t, m, lease(1500))
			for _, name := range []string{"untagged", "priority", "802.1Q", "802.1ad", "QinQ", "three"} {
				t.Run(fmt.Sprintf("%s/%+v/%s", f.name, to, name), func(t *testing.T) {
					tags := stacks[name]
					mtu := 1500 - f.overhead() - 4*len(impose(tags, to))
					for _, v6 := range []bool{false, true} {
						leased.renew(t)
						inner := customerFrame(t, v6, 14+mtu)
						if got := p.encap(t, m, tagged(inner, tags...)); got.verdict != redirect || len(got.packet) != 1514 {
							t.Errorf("%d bytes of IP: verdict %d, %d bytes out", mtu, got.verdict, len(got.packet))
						}
						inner = customerFrame(t, v6, 14+mtu+1)
						want := tagged(tooBig(t, inner, mtu), tags...)
						nextTick(t, m)
						got := p.encap(t, m, tagged(inner, tags...))
						if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
							t.Errorf("on a port: verdict %d (-want +got):\n%s", got.verdict, diff)
						}
						nextTick(t, m)
						got = p.run(t, m.Programs().Segment, tagged(inner, tags...), skb{Mark: circuit})
						if diff := diffOf(want, got.packet); got.verdict != redirect || got.mark != 0 || diff != "" {
							t.Errorf("behind the helper pair: verdict %d, mark %d (-want +got):\n%s", got.verdict, got.mark, diff)
						}
						n += 2
					}
				})
			}
		}
	}
	wantAnswers(t, m, n, n)
}

// change returns a function that puts bytes into a frame and makes the IPv4
// header right again.
func change(at int, value ...byte) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b[at:], value)
		if b[12] == 0x08 && b[13] == 0 && b[14] == 0x45 {
			return fixIPv4(b)
		}
		return b
	}
}

// answerRows are frames that get an answer and those that must not (RFC 1122
// section 3.2.2, RFC 4443 section 2.4).
var answerRows = []struct {
	name   string
	v6     bool
	change func([]byte) []byte
	answer bool
}{
	{"IPv4", false, change(0), true},
	{"IPv4 without DF", false, change(20, 0), true},
	{"IPv4 first fragment", false, change(20, 0x20), true},
	{"IPv4 later fragment", false, change(20, 0, 1), false},
	{"IPv4 last fragment", false, change(20, 0x1f, 0xff), false},
	{"IPv4 fragment in the middle", false, change(20, 0x10, 0), false},
	{"IPv4 options", false, change(14, 0x46), false},
	{"IPv4 from 0.0.0.0", false, change(26, 0, 0, 0, 0), false},
	{"IPv4 from loopback", false, change(26, 127, 0, 0, 1), false},
	{"IPv4 from a group", false, change(26, 224, 0, 0, 5), false},
	{"IPv4 from broadcast", false, change(26, 255, 255, 255, 255), false},
	{"IPv4 to a group", false, change(30, 239, 1, 1, 1), false},
	{"IPv4 to broadcast", false, change(30, 255, 255, 255, 255), false},
	{"IPv4 to an Ethernet group", false, change(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), false},
	{"IPv4 from an Ethernet group", false, change(6, 3), false},
	{"IPv4 echo", false, icmp(23, 1, 34, 8), true},
	{"IPv4 echo reply", false, icmp(23, 1, 34, 0), true},
	{"IPv4 unreachable", false, icmp(23, 1, 34, 3), false},
	{"IPv4 source quench", false, icmp(23, 1, 34, 4), false},
	{"IPv4 redirect", false, icmp(23, 1, 34, 5), false},
	{"IPv4 time exceeded", false, icmp(23, 1, 34, 11), false},
	{"IPv4 parameter problem", false, icmp(23, 1, 34, 12), false},
	{"IPv6", true, change(0), true},
	{"IPv6 fragment", true, change(20, 44), true},
	{"IPv6 from nowhere", true, change(22, make([]byte, 16)...), false},
	{"IPv6 from a group", true, change(22, 0xff, 2), false},
	{"IPv6 from an Ethernet group", true, change(6, 3), false},
	{"IPv6 to a group", true, change(38, 0xff, 0x0e), false},
	{"IPv6 to an Ethernet group", true, change(0, 0x33, 0x33), false},
	{"IPv6 echo request", true, icmp(20, 58, 54, 128), true},
	{"IPv6 neighbour solicitation", true, icmp(20, 58, 54, 135), true},
	{"IPv6 unreachable", true, icmp(20, 58, 54, 1), false},
	{"IPv6 too big", true, icmp(20, 58, 54, 2), false},
	{"IPv6 time exceeded", true, icmp(20, 58, 54, 3), false},
	{"IPv6 last error", true, icmp(20, 58, 54, 127), false},
	{"ARP", false, change(12, 0x08, 0x06), false},
	{"MPLS", false, change(12, 0x88, 0x47), false},
	{"length for a type", false, change(12, 0x05, 0xdc), false},
	{"IPv4 in a tag of type 0x9100", false, func(b []byte) []byte { return tagged(b, tag{0x9100, 5}) }, false},
}

// icmp makes the packet of a protocol, and its first byte a type.
func icmp(protocolAt int, protocol byte, typeAt int, kind byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[typeAt] = kind
		return change(protocolAt, protocol)(b)
	}
}

// TestAnswerOnly answers nothing that must not be answered, and drops and counts
// all of it.
func TestAnswerOnly(t *testing.T) {
	m := open(t, 64)
	answered, dropped := uint64(0), uint64(0)
	for _, f := range carriers() {
		withAnswers(t, m, f, 1500, dataplane.Imposition{})
		leased := f.keep(t, m, lease(1500))
		for _, row := range answerRows {
			t.Run(f.name+"/"+row.name, func(t *testing.T) {
				leased.renew(t)
				nextTick(t, m)
				inner := row.change(customerFrame(t, row.v6, 1514))
				got := encap(t, m, append([]byte(nil), inner...), skb{})
				dropped++
				if !row.answer {
					if got.verdict != shot {
						t.Errorf("answered with verdict %d: %x", got.verdict, got.packet[:min(len(got.packet), 62)])
					}
				} else {
					answered++
					if diff := diffOf(tooBig(t, inner, 1500-f.overhead()), got.packet); got.verdict != redirect || diff != "" {
						t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
					}
				}
				wantAnswers(t, m, answered, dropped)
			})
		}
	}
}

// TestAnswerRate answers once in a tick of the clock, for each pseudowire; what
// is not answered is counted all the same.
func TestAnswerRate(t *testing.T) {
	m := open(t, 64)
	f := carriers()[1]
	withAnswers(t, m, f, 1500, dataplane.Imposition{})
	other := f.transmit(t)
	other.Circuit, other.Pseudowire, other.TooBig = dataplane.Port(4711), "other", dataplane.TooBigAnswer
	must(t, m.PutTransmit(other))
	inner := customerFrame(t, true, 1514)
	answered, dropped := uint64(0), uint64(0)
	for range 100 { // until three frames come in one tick
		nextTick(t, m)
		began := clock(t, m)
		first := encap(t, m, append([]byte(nil), inner...), skb{})
		second := encap(t, m, append([]byte(nil), inner...), skb{})
		others := run(t, m.Programs().Segment, append([]byte(nil), inner...), skb{Mark: 4711})
		dropped += 2
		sameTick := clock(t, m) == began
		for _, got := range []result{first, second} {
			if got.verdict == redirect {
				answered++
			}
		}
		if !sameTick {
			continue
		}
		if first.verdict != redirect || second.verdict != shot || others.verdict != redirect {
			t.Errorf("in one tick: verdicts %d, %d, and %d of another pseudowire", first.verdict, second.verdict, others.verdict)
		}
		wantAnswers(t, m, answered, dropped)
		return
	}
	t.Fatal("no three frames within one tick in 100 attempts")
}

// TestKeepWhole marks a packet without a lease so that the kernel's routing does
// not fragment it either, if that is the policy.
func TestKeepWhole(t *testing.T) {
	m := open(t, 64)
	for _, f := range carriers() {
		for policy, mark := range map[dataplane.TooBig]uint32{
			dataplane.TooBigFragment: 1, dataplane.TooBigDrop: 1 | 0x800000, dataplane.TooBigAnswer: 1 | 0x800000,
		} {
			tx := f.transmit(t)
			tx.TooBig = policy
			must(t, m.PutTransmit(tx))
			inner := frame(3000, 0x88b5)
			got := encap(t, m, append([]byte(nil), inner...), skb{})
			if diff := diffOf(f.sent(t, dataplane.NextHop{}, inner), got.packet); got.verdict != redirect || got.mark != mark || diff != "" {
				t.Errorf("%s, %v: verdict %d, mark %#x, want %#x (-want +got):\n%s", f.name, policy, got.verdict, got.mark, mark, diff)
			}
		}
	}
	wantDrops(t, m, map[dataplane.Drop]uint64{})
}

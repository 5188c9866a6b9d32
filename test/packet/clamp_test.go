package packet

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"longwire/dataplane"
)

// segment is a frame with a TCP segment of a customer's.
type segment struct {
	v6              bool
	syn, ack        bool
	options         []byte
	broken          bool // the checksum, by one, so that it shows if it is computed anew
	fragment        uint16
	protocol        layers.IPProtocol // 0: TCP
	headerTooShort  bool              // TCP data offset 5 whatever the options
	ipOptionsLength int               // bytes of IPv4 options
	payload         int
}

// mss is the option with a value.
func mss(n int) []byte { return []byte{2, 4, byte(n >> 8), byte(n)} }

// pad makes TCP options a whole number of words.
func pad(options []byte) []byte {
	options = append([]byte(nil), options...)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	return options
}

// frame builds the segment with gopacket, its options as they are written.
func (s segment) frame(t testing.TB) []byte {
	t.Helper()
	options := pad(s.options)
	tcp := make([]byte, 20, 60+s.payload)
	copy(tcp, []byte{0x30, 0x39, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8})
	tcp[12] = byte(20+len(options)) / 4 << 4
	if s.headerTooShort {
		tcp[12] = 5 << 4
	}
	if s.syn {
		tcp[13] |= 2
	}
	if s.ack {
		tcp[13] |= 16
	}
	tcp[14], tcp[15] = 0xff, 0xfe
	tcp = append(append(tcp, options...), frame(14+s.payload, 0)[14:]...)
	protocol := s.protocol
	if protocol == 0 {
		protocol = layers.IPProtocolTCP
	}
	addresses := append(append([]byte(nil), customer4[0]...), customer4[1]...)
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, EthernetType: layers.EthernetTypeIPv4}
	var ip gopacket.SerializableLayer
	if s.v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
		addresses = append(append([]byte(nil), customer6[0]...), customer6[1]...)
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: customer6[0], DstIP: customer6[1]}
	} else {
		four := &layers.IPv4{Version: 4, TTL: 64, Id: 5, Protocol: protocol, FragOffset: s.fragment, SrcIP: customer4[0], DstIP: customer4[1]}
		for range s.ipOptionsLength {
			four.Options = append(four.Options, layers.IPv4Option{OptionType: 1})
		}
		ip = four
	}
	binary.BigEndian.PutUint16(tcp[16:], tcpChecksum(addresses, tcp))
	if s.broken {
		tcp[17]++
	}
	buf := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, gopacket.Payload(tcp)))
	headers := 14 + 20 + s.ipOptionsLength
	if s.v6 {
		headers = 14 + 40
	}
	return buf.Bytes()[:headers+len(tcp)]
}

// tcpChecksum is that of RFC 9293 section 3.1, the checksum field being zero.
func tcpChecksum(addresses, tcp []byte) uint16 {
	b := append(append([]byte(nil), addresses...), 0, 6, byte(len(tcp)>>8), byte(len(tcp)))
	b = append(b, tcp...)
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

const clampMTU = 1400

// clampRow is a segment and the options that it must have afterwards; nil is no
// change at all.
type clampRow struct {
	name string
	segment
	want4, want6 []byte
}

// clampRows returns the table.
func clampRows() []clampRow {
	const four, six = clampMTU - 40, clampMTU - 60
	join := func(parts ...[]byte) (b []byte) {
		for _, part := range parts {
			b = append(b, part...)
		}
		return b
	}
	nop, scale := []byte{1}, []byte{3, 3, 7}
	sack, stamp := []byte{4, 2}, []byte{8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
	syn := func(options ...[]byte) segment { return segment{syn: true, options: join(options...)} }
	both := func(name string, s segment, want func(int) []byte) clampRow {
		return clampRow{name, s, want(four), want(six)}
	}
	at := func(before []byte, after ...[]byte) func(int) []byte {
		return func(n int) []byte { return join(append([][]byte{before, mss(n)}, after...)...) }
	}
	rows := []clampRow{
		both("SYN", syn(mss(1460)), at(nil)),
		both("SYN of a jumbo host", syn(mss(0xffff)), at(nil)),
		both("usual options", syn(mss(1460), sack, stamp, nop, scale), at(nil, sack, stamp, nop, scale)),
		both("options before", syn(sack, stamp, mss(1460)), at(join(sack, stamp))),
		both("NOP before", syn(nop, mss(1460), sack), at(nop, sack)),
		both("two NOPs before", syn(nop, nop, mss(1460)), at(join(nop, nop))),
		both("three bytes before", syn(scale, mss(8960)), at(scale)),
		both("seven before", syn(join(nop, nop, nop, nop, nop, nop, nop), mss(1460)), at(join(nop, nop, nop, nop, nop, nop, nop))),
		both("the first of two", syn(mss(1460), mss(1461)), at(nil, mss(1461))),
		both("data with the SYN", segment{syn: true, options: mss(1460), payload: 101}, at(nil)),
		both("wrong checksum", segment{syn: true, options: mss(1460), broken: true}, at(nil)),
		{"one more than fits", syn(mss(four + 1)), mss(four), mss(six)},
		{"just fits over IPv4", syn(mss(four)), nil, mss(six)},
		{"one more over IPv6", syn(mss(six + 1)), nil, mss(six)},
		{name: "fits", segment: syn(mss(six))},
		{name: "smaller", segment: syn(mss(536))},
		{name: "zero", segment: syn(mss(0))},
		{name: "no options", segment: syn()},
		{name: "no MSS", segment: syn(sack, stamp, nop, scale)},
		{name: "MSS behind the end", segment: syn([]byte{0}, mss(1460))},
		{name: "MSS of three bytes", segment: syn([]byte{2, 3, 0xff, 1, 1, 1, 1, 1})},
		{name: "MSS of six bytes", segment: syn([]byte{2, 6, 0xff, 0xff, 1, 1, 1, 1})},
		{name: "length 0 before", segment: syn([]byte{9, 0}, mss(1460))},
		{name: "length 1 before", segment: syn([]byte{9, 1}, mss(1460))},
		{name: "length beyond the header", segment: syn([]byte{9, 200}, mss(1460))},
		{name: "MSS cut off", segment: syn([]byte{1, 1, 2, 4})},
		{name: "options beyond the header", segment: segment{syn: true, options: mss(1460), headerTooShort: true}},
		{name: "no SYN", segment: segment{ack: true, options: mss(1460), payload: 10}},
		{name: "UDP", segment: segment{syn: true, options: mss(1460), protocol: layers.IPProtocolUDP}},
	}
	ack := syn(mss(1460), nop, scale)
	ack.ack = true
	return append(rows, both("SYN with ACK", ack, at(nil, nop, scale)))
}

// clamped is the frame that must come out.
func (r clampRow) clamped(t testing.TB, v6 bool) []byte {
	t.Helper()
	s := r.segment
	s.v6 = v6
	want := r.want4
	if v6 {
		want = r.want6
	}
	if want != nil {
		s.options = want
	}
	return s.frame(t)
}

// sent is the frame that goes in.
func (r clampRow) sent(t testing.TB, v6 bool) []byte {
	t.Helper()
	s := r.segment
	s.v6 = v6
	return s.frame(t)
}

// TestClampSent bounds the MSS of what a circuit sends, in every carrier and
// behind tags, and leaves the rest as it is.
func TestClampSent(t *testing.T) {
	m, p, nh := open(t, 64), newPort(t), lease(1500)
	for _, f := range carriers() {
		tx := f.transmit(t)
		tx.ClampMTU = clampMTU
		must(t, m.PutTransmit(tx))
		for _, row := range clampRows() {
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
			for _, v6 := range []bool{false, true} {
				for _, name := range []string{"untagged", "802.1Q", "0x9100", "three"} {
					t.Run(fmt.Sprintf("%s/%s/ipv6-%t/%s", f.name, row.name, v6, name), func(t *testing.T) {
						got := p.encap(t, m, tagged(row.sent(t, v6), stacks[name]...))
						want := f.sent(t, nh, tagged(row.clamped(t, v6), stacks[name]...))
						if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
							t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
						}
					})
				}
			}
		}
	}
}

// TestClampReceived does the same with what the far end sends.
func TestClampReceived(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		r := f.receive(t)
		r.ClampMTU = clampMTU
		must(t, m.PutReceive(r))
		for _, row := range clampRows() {
			for _, v6 := range []bool{false, true} {
				for _, name := range []string{"untagged", "802.1Q", "0x9100", "three"} {
					t.Run(fmt.Sprintf("%s/%s/ipv6-%t/%s", f.name, row.name, v6, name), func(t *testing.T) {
						packet := f.outer(t, nearSession, tagged(row.sent(t, v6), stacks[name]...))
						got := run(t, m.Programs().Decap, packet, skb{})
						want := tagged(row.clamped(t, v6), stacks[name]...)
						if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
							t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
						}
					})
				}
			}
		}
	}
}

// TestClampRare looks at what only one family has: IPv4 options move the TCP
// header, and a later fragment has none.
func TestClampRare(t *testing.T) {
	m, nh := open(t, 64), lease(1500)
	f := carriers()[0]
	tx := f.transmit(t)
	tx.ClampMTU = clampMTU
	must(t, m.PutTransmit(tx))
	must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
	moved := segment{syn: true, options: mss(1460), ipOptionsLength: 8}
	clamped := moved
	clamped.options = mss(clampMTU - 40)
	later := segment{syn: true, options: mss(1460), fragment: 1}
	for name, row := range map[string][2]segment{"IPv4 options": {moved, clamped}, "later fragment": {later, later}} {
		got := encap(t, m, row[0].frame(t), skb{})
		if diff := diffOf(f.sent(t, nh, row[1].frame(t)), got.packet); got.verdict != redirect || diff != "" {
			t.Errorf("%s: verdict %d (-want +got):\n%s", name, got.verdict, diff)
		}
	}
}

// TestClampOff leaves the MSS alone unless a bound is set, or when the bound is
// less than the headers.
func TestClampOff(t *testing.T) {
	m, nh := open(t, 64), lease(1500)
	f := carriers()[0]
	for _, mtu := range []uint16{0, 1, 40} {
		tx := f.transmit(t)
		tx.ClampMTU = mtu
		must(t, m.PutTransmit(tx))
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
		for _, v6 := range []bool{false, true} {
			inner := segment{v6: v6, syn: true, options: mss(1460)}.frame(t)
			if diff := diffOf(f.sent(t, nh, inner), encap(t, m, inner, skb{}).packet); diff != "" {
				t.Errorf("bound %d, IPv6 %t (-want +got):\n%s", mtu, v6, diff)
			}
		}
	}
}

package selftest

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// decode lets another implementation read a frame, and compute its checksums again.
func decode(t *testing.T, frame []byte) []byte {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("%x: %v", frame, e.Error())
	}
	var stack []gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			network = l
		case *layers.IPv6:
			network = l
		case *layers.TCP:
			l.SetNetworkLayerForChecksum(network)
		case *layers.UDP:
			l.SetNetworkLayerForChecksum(network)
		}
		stack = append(stack, l.(gopacket.SerializableLayer))
	}
	out := gopacket.NewSerializeBuffer()
	o := gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true}
	if err := gopacket.SerializeLayers(out, o, stack...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPackets holds the packets of the self-test against another implementation.
func TestPackets(t *testing.T) {
	for _, p := range []packet{
		{payload: pattern(1)}, {udp: true, payload: pattern(2)}, {v6: true, payload: pattern(63)},
		{v6: true, udp: true, payload: pattern(1400)},
		{payload: pattern(100), tags: []vlan{{typeVLAN, 7}}, id: 99, seq: 1 << 31, push: true},
	} {
		whole := p.whole()
		// It pads short frames.
		if d := cmp.Diff(decode(t, whole)[:len(whole)], whole); d != "" {
			t.Errorf("%+v (-want +got):\n%s", p, d)
		}
		if !isOurs(whole) {
			t.Errorf("%x is not ours", whole)
		}
		// What a device does: sum from the start on and write where it is told.
		open := p.partial(0)
		sum := ^fold(add(0, open.bytes[open.checksumStart:]))
		binary.BigEndian.PutUint16(open.bytes[open.checksumStart+open.checksumOffset:], sum)
		if d := cmp.Diff(whole, open.bytes); d != "" {
			t.Errorf("%+v, completed (-want +got):\n%s", p, d)
		}
	}
}

func TestPieces(t *testing.T) {
	p := packet{payload: pattern(2500), id: 65535, seq: 5, push: true}
	var payload []byte
	for i, piece := range p.pieces(1000) {
		d := gopacket.NewPacket(piece, layers.LayerTypeEthernet, gopacket.Default)
		ip, tcp := d.Layer(layers.LayerTypeIPv4).(*layers.IPv4), d.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if ip.Id != uint16(65535+i) || tcp.Seq != uint32(5+1000*i) || tcp.PSH != (i == 2) || !tcp.ACK {
			t.Errorf("piece %d: id %d, sequence %d, push %v", i, ip.Id, tcp.Seq, tcp.PSH)
		}
		payload = append(payload, tcp.Payload...)
	}
	if !bytes.Equal(payload, p.payload) {
		t.Error("the pieces are not the payload")
	}
}

// outer wraps a frame as a far end would, by another implementation.
func outer(t *testing.T, c carrier, frame []byte) []byte {
	t.Helper()
	near, far := c.addresses()
	eth := &layers.Ethernet{SrcMAC: customerA, DstMAC: customerB, EthernetType: layers.EthernetTypeIPv4}
	protocol := layers.IPProtocol(protocolL2TP)
	if c.udp {
		protocol = layers.IPProtocolUDP
	}
	var ip gopacket.SerializableLayer = &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: near.AsSlice(), DstIP: far.AsSlice()}
	if c.v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: near.AsSlice(), DstIP: far.AsSlice()}
	}
	stack := []gopacket.SerializableLayer{eth, ip}
	l2tp := append(binary.BigEndian.AppendUint32(nil, session), cookie...)
	if c.udp {
		udp := &layers.UDP{SrcPort: tunnelPort, DstPort: tunnelPort}
		if err := udp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)); err != nil {
			t.Fatal(err)
		}
		stack = append(stack, udp)
		l2tp = append(append([]byte{0, 3, 0, 0}, l2tp...), 0, 0, 0, 0)
	}
	out := gopacket.NewSerializeBuffer()
	o := gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true}
	if err := gopacket.SerializeLayers(out, o, append(stack, gopacket.Payload(append(l2tp, frame...)))...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUnwrap refuses a packet with any byte of its outer header changed, but for
// those that a router may change, or that are not looked at.
func TestUnwrap(t *testing.T) {
	for _, c := range []carrier{{}, {udp: true}, {v6: true}, {v6: true, udp: true}} {
		frame := plainFrame(100, typeTest)
		good := outer(t, c, frame)
		inner, err := c.unwrap(good)
		if err != nil || !bytes.Equal(inner, frame) {
			t.Errorf("%s: %v", c, err)
		}
		free := map[int]bool{}
		if c.v6 {
			for _, i := range []int{0, 1, 2, 3, 7} { // class, label, hop limit
				free[ethernetLen+i] = true
			}
		}
		for i := ethernetLen; i < len(good)-len(frame); i++ {
			bad := bytes.Clone(good)
			bad[i] ^= 0x55
			if _, err := c.unwrap(bad); (err == nil) != free[i] {
				t.Errorf("%s with byte %d changed: %v", c, i, err)
			}
		}
		if _, err := c.unwrap(append(bytes.Clone(good), 0)); err == nil {
			t.Errorf("%s with a byte too many is taken", c)
		}
		if _, err := c.unwrap(good[:40]); err == nil {
			t.Errorf("%s of 40 bytes is taken", c)
		}
	}
}

// TestZeroChecksum is legal over IPv4 alone.
func TestZeroChecksum(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		c := carrier{v6: v6, udp: true}
		p := outer(t, c, plainFrame(100, typeTest))
		at := ethernetLen + ipv4Len + 6
		if v6 {
			at = ethernetLen + ipv6Len + 6
		}
		copy(p[at:], []byte{0, 0})
		if _, err := c.unwrap(p); (err != nil) != v6 {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestCompare(t *testing.T) {
	frame := func(n int) []byte { return plainFrame(n, typeTest) }
	changed := frame(100)
	changed[50] ^= 1
	first := packet{payload: pattern(10), id: 1}.whole()
	second := packet{payload: pattern(10), id: 2}.whole()
	broken := packet{payload: pattern(10), id: 2}.whole()
	broken[ethernetLen+11] ^= 1 // its header's checksum
	for _, tt := range []struct {
		got, want [][]byte
		problem   string
	}{
		{got: [][]byte{frame(100)}, want: [][]byte{frame(100)}},
		{got: [][]byte{append(frame(20), make([]byte, 40)...)}, want: [][]byte{frame(20)}},
		{got: [][]byte{second}, want: [][]byte{first}},
		{got: [][]byte{broken}, want: [][]byte{first}, problem: "frame 1 of 1: byte 19"},
		{got: [][]byte{append(frame(20), 0, 0, 1)}, want: [][]byte{frame(20)}, problem: "20 bytes became 23"},
		{got: [][]byte{append(frame(100), 0)}, want: [][]byte{frame(100)}, problem: "100 bytes became 101"},
		{got: [][]byte{frame(100), changed}, want: [][]byte{frame(100), frame(100)}, problem: "frame 2 of 2: byte 50 of 100"},
		{got: [][]byte{frame(100)}, want: [][]byte{frame(100), frame(100)}, problem: "1 frames instead of 2"},
		{got: [][]byte{frame(100), frame(100)}, want: [][]byte{frame(100)}, problem: "2 frames instead of 1"},
	} {
		err := compare(tt.got, tt.want)
		if (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("want %q: %v", tt.problem, err)
		}
	}
}

// cut cuts a packet of IPv4 or IPv6 in two, as RFC 791 and RFC 8200 say.
func cut(c carrier, p []byte, at int) []received {
	header := ethernetLen + ipv4Len
	if c.v6 {
		header = ethernetLen + ipv6Len
	}
	var parts []received
	for offset, payload := range map[int][]byte{0: p[header:][:at], at: p[header+at:]} {
		f := bytes.Clone(p[:header])
		more := uint16(1)
		if offset > 0 {
			more = 0
		}
		if c.v6 {
			f = append(f, f[ethernetLen+6], 0)
			f = binary.BigEndian.AppendUint16(f, uint16(offset)|more)
			f = binary.BigEndian.AppendUint32(f, 77)
			f[ethernetLen+6] = protocolFragment
			binary.BigEndian.PutUint16(f[ethernetLen+4:], uint16(fragmentLen+len(payload)))
		} else {
			binary.BigEndian.PutUint16(f[ethernetLen+2:], uint16(ipv4Len+len(payload)))
			binary.BigEndian.PutUint16(f[ethernetLen+6:], uint16(offset/8)|more<<13)
			copy(f[ethernetLen+10:], []byte{0, 0})
			binary.BigEndian.PutUint16(f[ethernetLen+10:], ^fold(add(0, f[ethernetLen:])))
		}
		parts = append(parts, received{frame: append(f, payload...)})
	}
	if len(parts[0].frame) > len(parts[1].frame) { // the first one is the longer here
		return parts
	}
	return []received{parts[1], parts[0]}
}

// TestReassemble puts together what another implementation has wrapped, and refuses
// fragments with a byte of their headers changed, too long, missing or out of order.
func TestReassemble(t *testing.T) {
	for _, c := range []carrier{{}, {udp: true}, {v6: true}, {v6: true, udp: true}} {
		frame := plainFrame(1000, typeTest)
		whole := outer(t, c, frame)
		parts := cut(c, whole, 800)
		packet, err := c.reassemble(parts)
		if err != nil || !bytes.Equal(packet, whole) {
			t.Errorf("%s: %v", c, err)
			continue
		}
		headers := ipv4Len
		free := map[int]bool{}
		if c.v6 {
			headers = ipv6Len + fragmentLen
			// Class, label, hop limit and addresses, and two bits and a byte that are
			// reserved, are no business of the one who puts together.
			for i := range ipv6Len {
				free[i] = i != 4 && i != 5 && i != 6
			}
			free[ipv6Len], free[ipv6Len+1] = true, true
		}
		for i := range headers {
			bad := []received{{frame: parts[0].frame}, {frame: bytes.Clone(parts[1].frame)}}
			bad[1].frame[ethernetLen+i] ^= 0x55
			if _, err := c.reassemble(bad); (err == nil) != free[i] {
				t.Errorf("%s with byte %d changed: %v", c, i, err)
			}
		}
		for name, bad := range map[string][]received{
			"out of order": {parts[1], parts[0]}, "the first alone": parts[:1], "the second alone": parts[1:],
			"the first twice": {parts[0], parts[0]}, "too long": cut(c, outer(t, c, plainFrame(2000, typeTest)), 1600),
		} {
			if _, err := c.reassemble(bad); err == nil {
				t.Errorf("%s: %s is taken", c, name)
			}
		}
	}
}

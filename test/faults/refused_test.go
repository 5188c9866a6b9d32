package faults

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"longwire/dataplane"
	"longwire/test/lab"
)

// refusal is a packet that must not reach any circuit.
type refusal struct {
	name string
	only func(pseudowire) bool // nil: every encapsulation
	// tunnel, header and packet change what is right otherwise: addresses and
	// session, the bytes from behind IP or UDP on, and those of the whole packet.
	tunnel func(*lab.Tunnel)
	header func([]byte)
	packet func(lab.Tunnel, []byte) []byte
	drop   dataplane.Drop // "" when nothing is counted
	nobody bool           // counted under no pseudowire
	passed bool           // to the stack, which accepts it
}

func overUDP(p pseudowire) bool  { return p.udp }
func overIPv4(p pseudowire) bool { return !p.v6 }
func overUDP6(p pseudowire) bool { return p.v6 && p.udp }

// strangers are hosts that are no far end.
var strangers = map[bool]netip.Addr{false: netip.MustParseAddr("192.0.2.99"), true: netip.MustParseAddr("2001:db8::99")}

// sessionAt and cookieAt are offsets from behind IP or UDP on.
func sessionAt(header []byte) []byte { return header[len(header)-16:] }
func cookieAt(header []byte) []byte  { return header[len(header)-12:] }
func layerAt(header []byte) []byte   { return header[len(header)-4:] }

func setUint16(at func(lab.Tunnel) int, change func(uint16) uint16) func(lab.Tunnel, []byte) []byte {
	return func(t lab.Tunnel, b []byte) []byte {
		field := b[at(t):]
		binary.BigEndian.PutUint16(field, change(binary.BigEndian.Uint16(field)))
		return b
	}
}

func udpLength(t lab.Tunnel) int { return t.TransportAt() + 4 }
func udpSum(t lab.Tunnel) int    { return t.TransportAt() + 6 }

// ipLength makes the IP length say bytes more than there are.
func ipLength(more int) func(lab.Tunnel, []byte) []byte {
	return func(t lab.Tunnel, b []byte) []byte {
		t.SetIPLength(b, len(b)-14+more)
		return b
	}
}

var refusals = []refusal{
	{name: "unknown session", tunnel: func(t *lab.Tunnel) { t.Session += 1000 }, drop: dataplane.DropUnknownSession, nobody: true, passed: true},
	{name: "session id 0", header: func(h []byte) { copy(sessionAt(h), []byte{0, 0, 0, 0}) }, drop: dataplane.DropControl, nobody: true, passed: true},
	{name: "first cookie byte", header: func(h []byte) { cookieAt(h)[0] ^= 0x80 }, drop: dataplane.DropWrongCookie},
	{name: "last cookie byte", header: func(h []byte) { cookieAt(h)[7] ^= 1 }, drop: dataplane.DropWrongCookie},
	{name: "cookie absent", tunnel: func(t *lab.Tunnel) { t.Cookie = "" }, drop: dataplane.DropWrongCookie},
	{name: "cookie short", tunnel: func(t *lab.Tunnel) { t.Cookie = t.Cookie[:8] }, drop: dataplane.DropWrongCookie},
	{name: "another pseudowire's cookie", tunnel: func(t *lab.Tunnel) { t.Cookie = pseudowire{number: 9}.cookie(1) }, drop: dataplane.DropWrongCookie},
	{name: "the other direction's cookie", tunnel: func(t *lab.Tunnel) { t.Cookie = "02" + t.Cookie[2:] }, drop: dataplane.DropWrongCookie},
	{name: "source address", tunnel: func(t *lab.Tunnel) { t.Source = strangers[t.Source.Is6()] }, drop: dataplane.DropWrongSource},
	{name: "source port", only: overUDP, packet: setUint16(lab.Tunnel.TransportAt, func(uint16) uint16 { return 1702 }), drop: dataplane.DropWrongSource},
	{name: "encapsulation", tunnel: func(t *lab.Tunnel) { t.UDP = !t.UDP }, drop: dataplane.DropWrongEncapsulation},
	{name: "address family", tunnel: otherFamily, drop: dataplane.DropUnknownSession, nobody: true, passed: true},
	{name: "T bit", only: overUDP, header: func(h []byte) { h[0] |= 0x80 }, drop: dataplane.DropControl, nobody: true, passed: true},
	{name: "version 2", only: overUDP, header: func(h []byte) { h[1] = 2 }, drop: dataplane.DropWrongVersion, nobody: true, passed: true},
	{name: "version 0", only: overUDP, header: func(h []byte) { h[1] = 0 }, drop: dataplane.DropWrongVersion, nobody: true, passed: true},
	{name: "V bit", header: func(h []byte) { layerAt(h)[0] |= 0x80 }, drop: dataplane.DropVCCV},
	{name: "IP length of one byte more", packet: ipLength(1), drop: dataplane.DropMalformed},
	{name: "IP length of the largest packet", packet: func(t lab.Tunnel, b []byte) []byte { t.SetIPLength(b, 65535); return b }, drop: dataplane.DropMalformed},
	{name: "IP length of no frame", packet: func(t lab.Tunnel, b []byte) []byte {
		t.SetIPLength(b, t.TransportAt()-14+24)
		return b
	}, drop: dataplane.DropMalformed},
	{name: "IP length of no header", packet: func(t lab.Tunnel, b []byte) []byte { t.SetIPLength(b, 40); return b }, drop: dataplane.DropMalformed},
	{name: "UDP length of one byte more", only: overUDP, packet: setUint16(udpLength, func(n uint16) uint16 { return n + 1 }), drop: dataplane.DropMalformed},
	{name: "UDP length 0", only: overUDP, packet: setUint16(udpLength, func(uint16) uint16 { return 0 }), drop: dataplane.DropMalformed},
	{name: "UDP length of its header", only: overUDP, packet: setUint16(udpLength, func(uint16) uint16 { return 8 }), drop: dataplane.DropMalformed},
	{name: "IPv4 checksum", only: overIPv4, packet: setUint16(func(lab.Tunnel) int { return 24 }, func(n uint16) uint16 { return n ^ 0x0100 }), drop: dataplane.DropBadChecksum},
	{name: "UDP checksum", only: overUDP, packet: setUint16(udpSum, func(n uint16) uint16 { return n ^ 1 }), drop: dataplane.DropBadChecksum},
	{name: "byte of the frame under a UDP checksum", only: overUDP, packet: func(_ lab.Tunnel, b []byte) []byte { b[len(b)-1] ^= 1; return b }, drop: dataplane.DropBadChecksum},
	{name: "UDP checksum 0 over IPv6", only: overUDP6, packet: setUint16(udpSum, func(uint16) uint16 { return 0 }), drop: dataplane.DropBadChecksum},
	{name: "destination address", tunnel: func(t *lab.Tunnel) { t.Destination = t.Source }},
}

// otherFamily sends a session's packet by the other family: to an address of PE
// 1 as well, from one of PE 2.
func otherFamily(t *lab.Tunnel) {
	other := pseudowire{v6: !t.Source.Is6()}
	t.Source, t.Destination = other.source(2), other.source(1)
}

// innerFrame is a frame of a customer's that differs from test to test.
func innerFrame(seed, payload int) []byte {
	return lab.Frame{Destination: lab.Broadcast, Source: [6]byte{2, 1, byte(seed >> 16), byte(seed >> 8), byte(seed)},
		EtherType: lab.EtherTypeTest, Payload: lab.Pattern(uint32(seed), payload)}.Bytes()
}

// packet builds what the refusal is about, and what a stack would be given of it.
func (r refusal) build(t *testing.T, p pseudowire, frame []byte) (packet, payload []byte) {
	t.Helper()
	tunnel := p.tunnel(2)
	if r.tunnel != nil {
		r.tunnel(&tunnel)
	}
	header := tunnel.Header()
	if r.header != nil {
		r.header(header)
	}
	payload = append(header, frame...)
	packet, err := tunnel.Wrap(payload)
	if err != nil {
		t.Fatal(err)
	}
	if r.packet != nil {
		packet = r.packet(tunnel, packet)
	}
	return packet, payload
}

// refused sends one wrong packet and one right one behind it, and wants nothing
// but the right one at the customer's, one drop for the right reason, and no
// answer.
func refused(t *testing.T, w *world) {
	seen := w.watch(t)
	back := w.P.Sniff("pe1")
	defer back.Close()
	others := w.listen(t)
	for number, r := range refusals {
		for _, p := range pseudowires {
			if r.only != nil && !r.only(p) {
				continue
			}
			t.Run(r.name+"/"+p.String(), func(t *testing.T) {
				packet, payload := r.build(t, p, innerFrame(2*number, 60))
				before := w.count(t, 1)
				seen.reset()
				back.Reset()
				w.inject(t, packet)
				right := innerFrame(2*number+1, 60)
				w.deliver(t, p, right)
				seen.wants(t, 1, p, right)
				want := totals{}
				want.delivered(p.String(), right)
				if r.nobody {
					want.drop("", r.drop, 1)
				} else {
					want.drop(p.String(), r.drop, 1)
				}
				w.wantCounted(t, 1, before, want)
				if !r.passed {
					payload = nil
				}
				others.wants(t, payload)
				for _, packet := range spoken(back.Frames()) {
					t.Errorf("PE1 answered: %.128x", packet)
				}
			})
		}
	}
}

// deliver puts a right packet with a frame on the wire to PE 1.
func (w *world) deliver(t *testing.T, p pseudowire, frame []byte) {
	t.Helper()
	packet, err := p.tunnel(2).Packet(frame)
	if err != nil {
		t.Fatal(err)
	}
	w.inject(t, packet)
}

// accepted sends packets that are right, if odd: what is delivered is the frame
// and nothing else.
func accepted(t *testing.T, w *world) {
	seen := w.watch(t)
	odd := []struct {
		name   string
		only   func(pseudowire) bool
		header func([]byte)
		packet func(lab.Tunnel, []byte) []byte
		size   int // of the frame's payload, in bytes
	}{
		{name: "one byte of padding", size: 60, packet: padding(1)},
		{name: "padding of a short packet", size: 4, packet: padding(46)},
		{name: "more padding than packet", size: 20, packet: padding(400)},
		{name: "UDP shorter than IP", only: overUDP, size: 60, packet: func(t lab.Tunnel, b []byte) []byte {
			b = append(b, "behind the datagram"...)
			t.SetIPLength(b, len(b)-14)
			return b
		}},
		{name: "no UDP checksum over IPv4", only: func(p pseudowire) bool { return p.udp && !p.v6 }, size: 60,
			packet: setUint16(udpSum, func(uint16) uint16 { return 0 })},
		{name: "sequence number", header: func(h []byte) { copy(layerAt(h), []byte{0x40, 1, 2, 3}) }, size: 60},
		{name: "reserved bits", only: overUDP, header: func(h []byte) { copy(h, []byte{0x7f, 0xf3, 0xff, 0xff}) }, size: 60},
		{name: "no payload", size: 0},
		{name: "one byte", size: 1},
		{name: "largest", size: 1512},
	}
	for number, o := range odd {
		for _, p := range pseudowires {
			if o.only != nil && !o.only(p) {
				continue
			}
			t.Run(o.name+"/"+p.String(), func(t *testing.T) {
				frame := innerFrame(1000+number, o.size)
				packet, _ := refusal{header: o.header, packet: o.packet}.build(t, p, frame)
				before := w.count(t, 1)
				seen.reset()
				w.inject(t, packet)
				seen.wants(t, 1, p, frame)
				want := totals{}
				want.delivered(p.String(), frame)
				w.wantCounted(t, 1, before, want)
			})
		}
	}
}

// padding is what Ethernet puts behind a packet, here of bytes that show.
func padding(n int) func(lab.Tunnel, []byte) []byte {
	return func(_ lab.Tunnel, b []byte) []byte { return append(b, bytes.Repeat([]byte{0xee}, n)...) }
}

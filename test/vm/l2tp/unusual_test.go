package l2tp

import (
	"encoding/binary"
	"testing"

	"longwire/test/lab"
	"longwire/test/matrix"
)

// unusual is a packet that Longwire would not send as it is configured, and what
// the kernel does with it.
type unusual struct {
	name string // of the table's row
	// of are the pseudowires that it is tried on.
	of func(combination) bool
	// tunnel and packet change what is right otherwise; either may be nil.
	tunnel func(*lab.Tunnel)
	packet func(lab.Tunnel, []byte)
	taken  bool
}

// Positions of what is changed, from the Ethernet header on.
const (
	udpSource   = 0 // from the UDP header on
	udpChecksum = 6
	l2tpFlags   = 8
	sublayerAt  = 8 + 4 + 4 + 8 // behind UDP, flags, session id and cookie
)

// setUDP changes a 16-bit field from the UDP header on, and what it is part of,
// the checksum, by as much (RFC 1624).
func setUDP(offset int, change func(uint16) uint16) func(lab.Tunnel, []byte) {
	return func(t lab.Tunnel, packet []byte) {
		udp := packet[t.TransportAt():]
		before := binary.BigEndian.Uint16(udp[offset:])
		after := change(before)
		binary.BigEndian.PutUint16(udp[offset:], after)
		sum := uint32(^binary.BigEndian.Uint16(udp[udpChecksum:])) + uint32(^before) + uint32(after)
		sum = sum&0xffff + sum>>16
		sum = sum&0xffff + sum>>16
		binary.BigEndian.PutUint16(udp[udpChecksum:], ^uint16(sum))
	}
}

// setChecksum writes a UDP checksum as it is.
func setChecksum(change func(uint16) uint16) func(lab.Tunnel, []byte) {
	return func(t lab.Tunnel, packet []byte) {
		field := packet[t.TransportAt()+udpChecksum:]
		binary.BigEndian.PutUint16(field, change(binary.BigEndian.Uint16(field)))
	}
}

func zero(uint16) uint16 { return 0 }

func udp4(c combination) bool { return c.udp && !c.v6 && c.cookie == 8 && c.kind == ordinary }
func udp6(c combination) bool { return c.udp && c.v6 && c.cookie == 8 && c.kind == ordinary }

func overUDP(c combination) bool { return udp4(c) || udp6(c) }

func cookied(c combination) bool { return c.cookie == 8 && c.kind == ordinary }

var unusuals = []unusual{
	{name: "drops another UDP source port (source_port: entropy)", of: overUDP,
		packet: setUDP(udpSource, func(p uint16) uint16 { return p + 1 })},
	{name: "takes UDP over IPv4 without checksum", of: udp4, packet: setChecksum(zero), taken: true},
	{name: "drops UDP over IPv6 without checksum (udp_checksum: zero)", of: udp6, packet: setChecksum(zero)},
	{name: "drops a wrong UDP checksum", of: overUDP, packet: setChecksum(func(s uint16) uint16 { return s ^ 0x0100 })},
	{name: "takes reserved bits that are set", of: overUDP, taken: true,
		packet: setUDP(l2tpFlags, func(f uint16) uint16 { return f | 0x0070 })},
	{name: "takes a reserved word that is set", of: overUDP, taken: true,
		packet: setUDP(l2tpFlags+2, func(uint16) uint16 { return 0x1234 })},
	{name: "drops control messages (T bit)", of: overUDP, packet: setUDP(l2tpFlags, func(f uint16) uint16 { return f | 0x8000 })},
	{name: "drops version 2", of: overUDP, packet: setUDP(l2tpFlags, func(f uint16) uint16 { return f&^0xf | 2 })},
	{name: "garbles or drops frames when the sublayer differs", of: cookied, tunnel: func(t *lab.Tunnel) { t.Sublayer = !t.Sublayer }},
	{name: "drops a packet without its cookie", of: cookied, tunnel: func(t *lab.Tunnel) { t.Cookie = "" }},
	{name: "takes numbers that it did not ask for", of: func(c combination) bool { return overUDP(c) && c.sublayer }, taken: true,
		packet: setUDP(sublayerAt, func(uint16) uint16 { return 0x4000 })},
	{name: "drops frames without number when it has seq both", of: func(c combination) bool { return c.kind == sequenced }},
}

// doesWithUnusual sends the kernel every kind of unusual packet.
func (w *world) doesWithUnusual(t *testing.T) {
	for _, u := range unusuals {
		t.Run(u.name, func(t *testing.T) {
			matrix.Record(t, table+": unusual packets", u.name, w.guest.Kernel.String())
			tried := 0
			for _, c := range w.all {
				if u.of(c) {
					tried++
					w.try(t, c, u)
				}
			}
			if tried == 0 {
				t.Error("tried on no pseudowire")
			}
		})
	}
}

func (w *world) try(t *testing.T, c combination, u unusual) {
	t.Helper()
	tunnel := c.tunnel(ours)
	if u.tunnel != nil {
		u.tunnel(&tunnel)
	}
	var change []func([]byte)
	if u.packet != nil {
		change = append(change, func(packet []byte) { u.packet(tunnel, packet) })
	}
	if seen := w.inject(t, c, tunnel, change...); (seen == c.device()) != u.taken || !u.taken && seen != "" {
		t.Errorf("%v: came in by %q, taken should be %v", c, seen, u.taken)
	}
}

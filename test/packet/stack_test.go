package packet

import (
	"encoding/binary"
	"fmt"
	"testing"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// markDecap is MARK_DECAP of the C source: the slow path's mark on packets that
// it has had from the stack.
const markDecap = 1 << 31

// fromStack runs a packet as the slow path gives it to the helper pair.
func fromStack(t testing.TB, m *maps.Maps, packet []byte) result {
	t.Helper()
	return run(t, m.Programs().ResolveNextHop, append([]byte(nil), packet...), skb{Mark: markDecap})
}

// TestStackFormats delivers what the stack had first in all 24 formats, like
// what comes from the wire, with tags, marks and padding treated the same.
func TestStackFormats(t *testing.T) {
	m := openDecap(t, 64)
	packets, octets := uint64(0), uint64(0)
	for _, f := range formats() {
		for what, to := range deliveries {
			r := f.receive(t)
			r.Tags = to
			must(t, m.PutReceive(r))
			t.Run(f.name+"/"+what, func(t *testing.T) {
				for _, n := range []int{60, 61, 1514, 3000} {
					tags := []tag{{0x8100, 0xa00a}}
					packet := f.withTOS(f.outer(t, nearSession, tagged(ipFrame(true, ect0, n), tags...)), ce)
					want := tagged(ipFrame(true, ce, n), deliver(tags, to)...)
					got := fromStack(t, m, append(packet, 0, 0, 0))
					if diff := diffOf(want, got.packet); got.verdict != redirect || got.mark != 0 || diff != "" {
						t.Errorf("frame of %d bytes: verdict %d, mark %d, drops %v (-want +got):\n%s", n, got.verdict, got.mark, dropsOf(t, m), diff)
					}
					packets++
					octets += uint64(len(want))
				}
			})
		}
	}
	wantCounters(t, m, dataplane.Counters{DecapPackets: packets, DecapBytes: octets})
}

// stackRows are packets of the stack that differ from what a wire may bring.
// All have a verdict: none goes back to the stack.
var stackRows = []struct {
	name    string
	only    func(format) bool // nil: every carrier
	packet  func(format, []byte) []byte
	verdict uint32
	drop    dataplane.Drop // "" when nothing is counted
}{
	{"no UDP checksum", onlyUDP, set(func(f format) int { return f.l4() + 6 }, 0, 0), redirect, ""},
	{"wrong UDP checksum", onlyUDP, set(func(f format) int { return f.l4() + 6 }, 0xba, 0xad), redirect, ""},
	{"to another host's address of Ethernet", nil, set(at(0), 2, 9, 9, 9, 9, 9), redirect, ""},
	{"unknown session", nil, set(format.l2tpAt, 9, 9, 9, 9), shot, dataplane.DropUnknownSession},
	{"unknown session to nobody", nil, func(f format, b []byte) []byte {
		return set(format.l2tpAt, 9, 9, 9, 9)(f, set(func(f format) int { return f.l4() - 1 }, 99)(f, b))
	}, shot, ""},
	{"to nobody", nil, set(func(f format) int { return f.l4() - 1 }, 99), shot, ""},
	{"session 0", nil, set(format.l2tpAt, 0, 0, 0, 0), shot, dataplane.DropControl},
	{"control message", onlyUDP, control(0xc8, 3), shot, dataplane.DropControl},
	{"version 2", onlyUDP, control(0x02, 2), shot, dataplane.DropWrongVersion},
	{"wrong cookie", nil, set(func(f format) int { return f.l2tpAt() + 4 }, 0xff), shot, dataplane.DropWrongCookie},
	{"VCCV", nil, set(func(f format) int { return f.l2tpAt() + 12 }, 0x80), shot, dataplane.DropVCCV},
	{"wrong source port", onlyUDP, set(format.l4, 0, 99), shot, dataplane.DropWrongSource},
	{"wrong header checksum", onlyIPv4, set(at(24), 0xba, 0xad), shot, dataplane.DropBadChecksum},
	{"no Ethernet frame inside", nil, shorten(13), shot, dataplane.DropMalformed},
	{"length beyond the packet", nil, func(f format, b []byte) []byte { return setIPLength(f, b, 400) }, shot, dataplane.DropMalformed},
	{"later fragment", onlyIPv4IP, func(_ format, b []byte) []byte { b[20], b[21] = 0, 64; return fixIPv4(b) }, shot, dataplane.DropFragment},
	{"IP options", onlyIPv4IP, set(at(14), 0x46), shot, dataplane.DropIPOptions},
	{"another protocol", onlyIPv4, set(at(23), 6), shot, ""},
	{"ARP", nil, set(at(12), 0x08, 0x06), shot, ""},
	{"header cut off", nil, func(f format, b []byte) []byte { return b[:f.l2tpAt()+3] }, shot, dataplane.DropMalformed},
}

// TestStackVerdicts lets nothing that the stack had go back to it, which would
// be a loop, and counts what it drops.
func TestStackVerdicts(t *testing.T) {
	m := openDecap(t, 64)
	must(t, m.SetAdmission(admission(false)))
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		for _, row := range stackRows {
			if row.only != nil && !row.only(f) {
				continue
			}
			t.Run(f.name+"/"+row.name, func(t *testing.T) {
				before := dropsOf(t, m)
				inner := frame(100, 0x88b5)
				got := fromStack(t, m, row.packet(f, f.outer(t, nearSession, inner)))
				if got.verdict != row.verdict || row.verdict == redirect && string(got.packet) != string(inner) {
					t.Errorf("verdict %d, want %d; packet %x", int32(got.verdict), row.verdict, got.packet)
				}
				if row.drop != "" {
					before[row.drop]++
				}
				wantDrops(t, m, before)
			})
		}
	}
}

// TestStackMark takes no mark but its own for that of the slow path: others are
// packets to be routed, of the pseudowire in the mark.
func TestStackMark(t *testing.T) {
	m := openDecap(t, 64)
	f := carriers()[0]
	must(t, m.PutReceive(f.receive(t)))
	for _, mark := range []uint32{0, 1, markDecap >> 1} {
		got := run(t, m.Programs().ResolveNextHop, f.outer(t, nearSession, frame(100, 0x88b5)), skb{Mark: mark})
		if got.verdict == redirect && len(got.packet) == 100 {
			t.Errorf("mark %#x: delivered", mark)
		}
	}
	if all, err := m.Counters(); err != nil || all[pseudowire].DecapPackets != 0 {
		t.Errorf("delivered %d packets, error %v", all[pseudowire].DecapPackets, err)
	}
}

// insert puts bytes behind the fixed IP header, and makes the lengths right.
// With IPv6 the bytes are a header whose number goes before them.
func (f format) insert(b []byte, header byte, added ...byte) []byte {
	if !f.v6 {
		b = append(b[:34:34], append(added, b[34:]...)...)
		b[14] = 0x45 + byte(len(added)/4)
		binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
		return b
	}
	added[0] = b[20]
	b = append(b[:54:54], append(added, b[54:]...)...)
	b[20] = header
	binary.BigEndian.PutUint16(b[18:], uint16(len(b)-54))
	return b
}

// TestLeftToTheStack passes unchanged what the programs do not take apart
// themselves, and counts it where it is known to be L2TP.
func TestLeftToTheStack(t *testing.T) {
	m := openDecap(t, 64)
	must(t, m.SetAdmission(admission(true)))
	eight := func() []byte { return []byte{0, 0, 1, 4, 0, 0, 0, 0} } // PadN
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		outer := func() []byte { return f.outer(t, nearSession, frame(100, 0x88b5)) }
		rows := map[string]struct {
			packet []byte
			ip     dataplane.Drop // over protocol 115
			udp    dataplane.Drop
		}{
			"one option":         {f.insert(outer(), 0, 1, 1, 1, 0), dataplane.DropIPOptions, ""},
			"many options":       {f.insert(outer(), 0, make([]byte, 40)...), dataplane.DropIPOptions, ""},
			"first fragment":     {fixIPv4(append(outer()[:20:20], append([]byte{0x20, 0}, outer()[22:]...)...)), dataplane.DropFragment, dataplane.DropFragment},
			"later fragment":     {fixIPv4(append(outer()[:20:20], append([]byte{0x20, 5}, outer()[22:]...)...)), dataplane.DropFragment, ""},
			"last fragment":      {fixIPv4(append(outer()[:20:20], append([]byte{0x1f, 0xff}, outer()[22:]...)...)), dataplane.DropFragment, ""},
			"short first header": {set(at(14), 0x44)(f, outer()), dataplane.DropIPOptions, ""},
		}
		if f.v6 {
			clear(rows)
			for name, row := range map[string]struct {
				header byte
				drop   dataplane.Drop
			}{
				"hop-by-hop options": {0, dataplane.DropIPOptions}, "destination options": {60, dataplane.DropIPOptions},
				"routing header": {43, ""}, "fragment": {44, dataplane.DropFragment}, "authentication": {51, ""},
			} {
				rows[name] = struct {
					packet []byte
					ip     dataplane.Drop
					udp    dataplane.Drop
				}{f.insert(outer(), row.header, eight()...), row.drop, ""}
			}
		}
		for name, row := range rows {
			t.Run(fmt.Sprintf("%s/%s", f.name, name), func(t *testing.T) {
				before := dropsOf(t, m)
				got := run(t, m.Programs().Decap, append([]byte(nil), row.packet...), skb{})
				if diff := diffOf(row.packet, got.packet); got.verdict != pass || diff != "" {
					t.Errorf("verdict %d (-want +got):\n%s", int32(got.verdict), diff)
				}
				drop := row.ip
				if f.udp {
					drop = row.udp
				}
				if drop != "" {
					before[drop]++
				}
				wantDrops(t, m, before)
			})
		}
	}
}

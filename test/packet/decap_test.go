package packet

import (
	"encoding/binary"
	"testing"

	"longwire/dataplane"
	"longwire/test/lab"
)

// TestDecapFormats delivers frames of every size and type in all 24 formats.
func TestDecapFormats(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			forgetAfter(t, m)
			must(t, m.PutReceive(f.receive(t)))
			var packets, bytes uint64
			for _, inner := range [][]byte{
				frame(34, 0x0806), frame(42, 0x0806), frame(60, 0x0800), frame(61, 0x86dd), frame(64, 0x8100),
				frame(98, 0x88a8), frame(255, 0x88cc), frame(512, 0x0800), frame(1499, 0x0800), frame(1514, 0x86dd),
			} {
				got := run(t, m.Programs().Decap, f.outer(t, nearSession, inner), skb{})
				if got.verdict != redirect {
					t.Fatalf("frame of %d bytes: verdict %d, drops %v", len(inner), got.verdict, dropsOf(t, m))
				}
				if diff := diffOf(delivered(t, m, inner), got.packet); diff != "" {
					t.Errorf("frame of %d bytes changed (-sent +delivered):\n%s", len(inner), diff)
				}
				packets++
				bytes += uint64(len(inner))
			}
			wantCounters(t, m, dataplane.Counters{DecapPackets: packets, DecapBytes: bytes})
		})
	}
}

// TestDecapShort pads what the kernel could not deliver, to the least length of
// a wire, and nothing else.
func TestDecapShort(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			must(t, m.PutReceive(f.receive(t)))
			for _, n := range []int{15, 20, 33} {
				inner := frame(n, 0x88b5)
				got := run(t, m.Programs().Decap, f.outer(t, nearSession, inner), skb{})
				want := append(inner, make([]byte, 60-n)...)
				if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
					t.Errorf("frame of %d bytes: verdict %d (-want +got):\n%s", n, got.verdict, diff)
				}
			}
		})
	}
}

// verdictRow is one packet that must not be delivered.
type verdictRow struct {
	name    string
	only    func(format) bool // nil: every carrier
	session func(*dataplane.Receive)
	packet  func(format, []byte) []byte
	verdict uint32
	drop    dataplane.Drop // "" when nothing is counted
	summed  bool           // seen only where programs can read the skb
}

func onlyUDP(f format) bool    { return f.udp }
func onlyIP(f format) bool     { return !f.udp }
func onlyIPv4(f format) bool   { return !f.v6 }
func onlyUDP6(f format) bool   { return f.udp && f.v6 }
func onlyIPv4IP(f format) bool { return !f.udp && !f.v6 }

// fixIPv4 makes the header checksum right again after a change.
func fixIPv4(b []byte) []byte {
	binary.BigEndian.PutUint16(b[24:], 0)
	var sum uint32
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[24:], ^uint16(sum))
	return b
}

func set(at func(format) int, value ...byte) func(format, []byte) []byte {
	return func(f format, b []byte) []byte {
		copy(b[at(f):], value)
		return b
	}
}

func at(n int) func(format) int { return func(format) int { return n } }

func verdictRows() []verdictRow {
	l4 := format.l4
	return []verdictRow{
		{name: "unknown session over IP", only: onlyIP, packet: set(format.l2tpAt, 9, 9, 9, 9), verdict: pass, drop: dataplane.DropUnknownSession},
		{name: "unknown session over UDP", only: onlyUDP, packet: set(format.l2tpAt, 9, 9, 9, 9), verdict: pass, drop: dataplane.DropUnknownSession},
		{name: "unknown session to another address", packet: func(f format, b []byte) []byte {
			return set(format.l2tpAt, 9, 9, 9, 9)(f, set(func(f format) int { return f.l4() - 1 }, 99)(f, b))
		}, verdict: pass},
		{name: "unknown session to another port", only: onlyUDP, packet: func(f format, b []byte) []byte {
			return set(format.l2tpAt, 9, 9, 9, 9)(f, set(func(f format) int { return f.l4() + 2 }, 0, 53)(f, b))
		}, verdict: pass},
		{name: "session id 0", packet: set(format.l2tpAt, 0, 0, 0, 0), verdict: pass, drop: dataplane.DropControl},
		{name: "control bit", only: onlyUDP, packet: set(func(f format) int { return f.l4() + 8 }, 0x80), verdict: pass, drop: dataplane.DropControl},
		{name: "control bit to another port", only: onlyUDP, packet: func(f format, b []byte) []byte {
			return set(func(f format) int { return f.l4() + 8 }, 0x80)(f, set(func(f format) int { return f.l4() + 2 }, 0, 53)(f, b))
		}, verdict: pass},
		{name: "version 2", only: onlyUDP, packet: set(func(f format) int { return f.l4() + 9 }, 2), verdict: pass, drop: dataplane.DropWrongVersion},
		{name: "other destination port", only: onlyUDP, packet: set(func(f format) int { return f.l4() + 2 }, 0, 53), verdict: pass},
		{name: "other destination address", packet: set(func(f format) int { return f.l4() - 1 }, 99), verdict: pass},
		{name: "other destination MAC", packet: set(at(0), 2, 2, 2, 2, 2, 2), verdict: pass},
		{name: "another protocol", only: onlyIPv4, packet: set(at(23), 6), verdict: pass},
		{name: "wrong source address over IPv4", only: onlyIPv4, packet: func(_ format, b []byte) []byte { b[29] = 99; return fixIPv4(b) }, verdict: shot, drop: dataplane.DropWrongSource},
		{name: "wrong source address over IPv6", only: func(f format) bool { return f.v6 }, packet: set(at(30), 99), verdict: shot, drop: dataplane.DropWrongSource},
		{name: "wrong source port", only: onlyUDP, packet: set(l4, 0, 99), verdict: shot, drop: dataplane.DropWrongSource},
		{name: "any source port", only: onlyUDP, session: func(r *dataplane.Receive) { r.RemotePort = 0 }, packet: keep, verdict: redirect},
		{name: "no remote yet", session: func(r *dataplane.Receive) { r.Remote = dataplane.Receive{}.Remote }, packet: keep, verdict: shot, drop: dataplane.DropNoRemote},
		{name: "wrong encapsulation", session: func(r *dataplane.Receive) { r.AcceptIP, r.AcceptUDP = !r.AcceptIP, !r.AcceptUDP }, packet: keep, verdict: shot, drop: dataplane.DropWrongEncapsulation},
		{name: "both encapsulations", session: func(r *dataplane.Receive) { r.AcceptIP, r.AcceptUDP = true, true }, packet: keep, verdict: redirect},
		{name: "first cookie byte wrong", only: onlyIP, packet: set(func(f format) int { return f.l2tpAt() + 4 }, 0xff), verdict: shot, drop: dataplane.DropWrongCookie},
		{name: "last cookie byte wrong", only: onlyIP, packet: set(func(f format) int { return f.l2tpAt() + 11 }, 0xff), verdict: shot, drop: dataplane.DropWrongCookie},
		{name: "VCCV", only: onlyIP, packet: set(func(f format) int { return f.l2tpAt() + 12 }, 0x80), verdict: shot, drop: dataplane.DropVCCV},
		{name: "sequence number ignored", only: onlyIP, packet: set(func(f format) int { return f.l2tpAt() + 12 }, 0x40, 0, 0, 7), verdict: redirect},
		{name: "no Ethernet frame inside", packet: shorten(13), verdict: shot, drop: dataplane.DropMalformed},
		{name: "nothing behind the session id", packet: shorten(-12), verdict: shot, drop: dataplane.DropMalformed},
		{name: "IP length beyond the frame", packet: func(f format, b []byte) []byte { return setIPLength(f, b, 400) }, verdict: shot, drop: dataplane.DropMalformed},
		{name: "UDP length beyond the IP length", only: onlyUDP, packet: set(func(f format) int { return f.l4() + 4 }, 1, 0), verdict: shot, drop: dataplane.DropMalformed},
		{name: "UDP length of less than its header", only: onlyUDP, packet: set(func(f format) int { return f.l4() + 4 }, 0, 3), verdict: shot, drop: dataplane.DropMalformed},
		{name: "bad IPv4 checksum", only: onlyIPv4, packet: set(at(24), 0xba, 0xad), verdict: shot, drop: dataplane.DropBadChecksum},
		{name: "bad UDP checksum", only: onlyUDP, packet: func(f format, b []byte) []byte { b[f.l4()+6] ^= 1; return b }, verdict: shot, drop: dataplane.DropBadChecksum, summed: true},
		{name: "damaged payload under a UDP checksum", only: onlyUDP, packet: func(_ format, b []byte) []byte { b[len(b)-1] ^= 1; return b }, verdict: shot, drop: dataplane.DropBadChecksum, summed: true},
		{name: "zero UDP checksum over IPv6", only: onlyUDP6, packet: set(func(f format) int { return f.l4() + 6 }, 0, 0), verdict: shot, drop: dataplane.DropBadChecksum},
		{name: "zero UDP checksum over IPv4", only: func(f format) bool { return f.udp && !f.v6 }, packet: set(func(f format) int { return f.l4() + 6 }, 0, 0), verdict: redirect},
		{name: "first fragment", only: onlyIPv4, packet: func(_ format, b []byte) []byte { b[20] = 0x20; return fixIPv4(b) }, verdict: pass, drop: dataplane.DropFragment},
		{name: "later fragment", only: onlyIPv4IP, packet: func(_ format, b []byte) []byte { b[20], b[21] = 0, 64; return fixIPv4(b) }, verdict: pass, drop: dataplane.DropFragment},
		{name: "IP options", only: onlyIPv4IP, packet: set(at(14), 0x46), verdict: pass, drop: dataplane.DropIPOptions},
	}
}

func keep(_ format, b []byte) []byte { return b }

// shorten leaves n bytes of inner frame; less than none cuts into the header.
// All lengths and checksums are those of the shorter packet.
func shorten(n int) func(format, []byte) []byte {
	return func(f format, b []byte) []byte {
		b = setIPLength(f, b[:f.header()+n], f.header()+n-14)
		if f.udp {
			binary.BigEndian.PutUint16(b[f.l4()+4:], uint16(len(b)-f.l4()))
			fixUDP(f, b)
		}
		return b
	}
}

func setIPLength(f format, b []byte, n int) []byte {
	if f.v6 {
		binary.BigEndian.PutUint16(b[18:], uint16(n-40))
		return b
	}
	binary.BigEndian.PutUint16(b[16:], uint16(n))
	return fixIPv4(b)
}

// fixUDP makes the UDP checksum right again, the slow way.
func fixUDP(f format, b []byte) {
	from := f.l4() - 8
	if f.v6 {
		from = f.l4() - 32
	}
	binary.BigEndian.PutUint16(b[f.l4()+6:], 0)
	sum := uint64(17 + len(b) - f.l4())
	for i := from; i < len(b); i += 2 {
		word := uint64(b[i]) << 8
		if i+1 < len(b) {
			word |= uint64(b[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	if sum = 0xffff &^ sum; sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[f.l4()+6:], uint16(sum))
}

// TestDecapVerdicts asserts what happens to packets that are not ours, or are
// ours and wrong, and under which reason they are counted.
func TestDecapVerdicts(t *testing.T) {
	m := openDecap(t, 64)
	must(t, m.SetAdmission(admission(false)))
	for _, row := range verdictRows() {
		for _, f := range carriers() {
			if row.only != nil && !row.only(f) {
				continue
			}
			t.Run(row.name+"/"+f.name, func(t *testing.T) {
				r := f.receive(t)
				if row.session != nil {
					row.session(&r)
				}
				if row.summed && !m.KernelContext() {
					lab.Absent(t, kernelContext)
					row.verdict, row.drop = redirect, ""
				}
				must(t, m.PutReceive(r))
				before := dropsOf(t, m)
				sent := row.packet(f, f.outer(t, nearSession, frame(100, 0x0800)))
				got := run(t, m.Programs().Decap, append([]byte(nil), sent...), skb{})
				if got.verdict != row.verdict {
					t.Errorf("verdict %d, want %d", got.verdict, row.verdict)
				}
				if row.verdict == pass {
					if diff := diffOf(sent, got.packet); diff != "" {
						t.Errorf("passed on, but changed:\n%s", diff)
					}
				}
				want := before
				if row.drop != "" {
					want[row.drop]++
				}
				wantDrops(t, m, want)
			})
		}
	}
}

// admission is that of the endpoints of every format.
func admission(drop bool) dataplane.Admission {
	a := dataplane.Admission{DropUnknown: drop}
	for _, f := range carriers() {
		near, _ := f.addresses()
		e := dataplane.Endpoint{Address: near}
		if f.udp {
			e.Port = nearPort
		}
		a.Endpoints = append(a.Endpoints, e)
	}
	return a
}

// TestDecapPadding cuts off what a short outer packet was padded with.
func TestDecapPadding(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			must(t, m.PutReceive(f.receive(t)))
			inner := frame(42, 0x0806)
			padded := append(f.outer(t, nearSession, inner), []byte("padding that is nobody's data")...)
			got := run(t, m.Programs().Decap, padded, skb{})
			if diff := diffOf(delivered(t, m, inner), got.packet); got.verdict != redirect || diff != "" {
				t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
			}
		})
	}
}

// TestDecapTruncated cuts a packet at every length: none is delivered but the
// whole one, and each that is not is counted.
func TestDecapTruncated(t *testing.T) {
	m, want := openDecap(t, 64), map[dataplane.Drop]uint64{}
	must(t, m.SetAdmission(admission(false)))
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			must(t, m.PutReceive(f.receive(t)))
			whole := f.outer(t, nearSession, frame(60, 0x0800))
			for n := f.l4(); n < len(whole); n++ { // a test run takes no less
				want[dataplane.DropMalformed]++
				if got := run(t, m.Programs().Decap, append([]byte(nil), whole[:n]...), skb{}); got.verdict == redirect {
					t.Errorf("delivered after %d of %d bytes", n, len(whole))
				}
			}
			if got := run(t, m.Programs().Decap, whole, skb{}); got.verdict != redirect {
				t.Errorf("whole packet: verdict %d", got.verdict)
			}
			wantDrops(t, m, want)
		})
	}
}

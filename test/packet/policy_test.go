package packet

import (
	"encoding/binary"
	"fmt"
	"testing"

	"longwire/bpf"
	"longwire/dataplane"
	"longwire/test/lab"
)

// TestTwoCookies accepts the present and the previous cookie, counts the
// previous one, and nothing else.
func TestTwoCookies(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range formats() {
		n := len(f.cookie)
		if n == 0 {
			continue
		}
		previous := []byte{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8}[:n]
		mixed := append(append([]byte(nil), f.cookie[:n/2]...), previous[n/2:]...)
		lastByte := append([]byte(nil), previous...)
		lastByte[n-1]++
		for _, row := range []struct {
			name                string
			cookie              []byte
			accept              bool
			delivered, previous uint64
		}{
			{"present", f.cookie, true, 1, 0},
			{"previous", previous, true, 1, 1},
			{"previous is retired", previous, false, 0, 0},
			{"neither", make([]byte, n), true, 0, 0},
			{"half of each", mixed, true, 0, 0},
			{"last byte of the previous", lastByte, true, 0, 0},
		} {
			t.Run(f.name+"/"+row.name, func(t *testing.T) {
				r := f.receive(t)
				r.Pseudowire = f.name[:9] + row.name
				r.Previous, r.AcceptPrevious = mustCookie(t, previous), row.accept
				if !row.accept {
					r.Previous = dataplane.Cookie{}
				}
				must(t, m.PutReceive(r))
				t.Cleanup(func() { must(t, m.Forget(r.Pseudowire)) })
				sent := f
				sent.cookie = row.cookie
				inner := frame(100, 0x88b5)
				got := run(t, m.Programs().Decap, sent.outer(t, nearSession, inner), skb{})
				want := dataplane.Counters{DecapPackets: row.delivered, DecapBytes: 100 * row.delivered, PreviousCookie: row.previous}
				want.Drops = map[dataplane.Drop]uint64{}
				if row.delivered == 0 {
					want.Drops[dataplane.DropWrongCookie] = 1
				}
				diff := diffOf(inner, got.packet)
				if (got.verdict == redirect) != (row.delivered == 1) || (row.delivered == 1 && diff != "") {
					t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
				}
				all, err := m.Counters()
				must(t, err)
				if diff := diffOf(want, all[r.Pseudowire]); diff != "" {
					t.Errorf("counters (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// The codepoints of RFC 3168 section 5.
const (
	notECT = iota
	ect1
	ect0
	ce
)

// onward is the table of RFC 6040 section 4.2: what goes on, by inner and outer
// field; -1 is a drop.
var onward = [4][4]int{
	notECT: {notECT: notECT, ect0: notECT, ect1: notECT, ce: -1},
	ect0:   {notECT: ect0, ect0: ect0, ect1: ect1, ce: ce},
	ect1:   {notECT: ect1, ect0: ect1, ect1: ect1, ce: ce},
	ce:     {notECT: ce, ect0: ce, ect1: ce, ce: ce},
}

// ipFrame is a frame with an IPv4 or IPv6 header that is right, and a TOS or
// traffic class.
func ipFrame(v6 bool, tos byte, n int) []byte {
	if v6 {
		b := frame(n, 0x86dd)
		b[14], b[15] = 0x60|tos>>4, tos<<4|7
		return b
	}
	b := frame(n, 0x0800)
	b[14], b[15] = 0x45, tos
	return fixIPv4(b)
}

// withTOS gives an outer packet a TOS or traffic class.
func (f format) withTOS(b []byte, tos byte) []byte {
	if f.v6 {
		b[14], b[15] = 0x60|tos>>4, b[15]&15|tos<<4
		return b
	}
	b[15] = tos
	return fixIPv4(b)
}

// TestECNReceived hands the mark of the underlay on to the inner packet by the
// table of RFC 6040, behind up to three tags, and drops what is marked and
// cannot be; frames that are no IP carry on as they are.
func TestECNReceived(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		for outer := range 4 {
			for inner := range 4 {
				for _, family := range []string{"ipv4", "ipv6", "other"} {
					t.Run(fmt.Sprintf("%s/outer%d/inner%d/%s", f.name, outer, inner, family), func(t *testing.T) {
						for n := range 4 {
							tags := []tag{{0x88a8, 1}, {0x8100, 2}, {0x9100, 3}}[:n]
							before := dropsOf(t, m)
							sent, want := frame(99, 0x88b5), frame(99, 0x88b5)
							field := 0
							if family != "other" {
								field = onward[inner][outer]
								sent = ipFrame(family == "ipv6", 0xa4|byte(inner), 99)
								want = ipFrame(family == "ipv6", 0xa4|byte(field&3), 99)
							}
							packet := f.withTOS(f.outer(t, nearSession, tagged(sent, tags...)), 0x48|byte(outer))
							got := run(t, m.Programs().Decap, packet, skb{})
							if field < 0 {
								if got.verdict != shot {
									t.Errorf("%d tags: verdict %d, want a drop", n, got.verdict)
								}
								before[dataplane.DropCongestion]++
							} else if diff := diffOf(tagged(want, tags...), got.packet); got.verdict != redirect || diff != "" {
								t.Errorf("%d tags: verdict %d (-want +got):\n%s", n, got.verdict, diff)
							}
							wantDrops(t, m, before)
						}
					})
				}
			}
		}
	}
}

// TestTOSSent copies DSCP and ECN field from the inner IP header, each if told
// to, and uses what is configured else.
func TestTOSSent(t *testing.T) {
	m, p, nh := open(t, 64), newPort(t), lease(1500)
	const inner, configured = 0xb6, 0x2c // DSCP 45 and ECT(0); DSCP 11
	for _, f := range carriers() {
		for _, dscp := range []bool{false, true} {
			for _, ecn := range []bool{false, true} {
				tx := f.transmit(t)
				tx.DSCP, tx.CopyDSCP, tx.CopyECN = configured>>2, dscp, ecn
				must(t, m.PutTransmit(tx))
				for _, family := range []string{"ipv4", "ipv6", "other"} {
					t.Run(fmt.Sprintf("%s/dscp-%t/ecn-%t/%s", f.name, dscp, ecn, family), func(t *testing.T) {
						must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
						sent, has := frame(99, 0x88b5), byte(0)
						if family != "other" {
							sent, has = ipFrame(family == "ipv6", inner, 99), inner
						}
						tos := byte(configured)
						if dscp {
							tos = has & 0xfc
						}
						if ecn {
							tos |= has & 3
						}
						for _, tags := range [][]tag{nil, {{0x8100, 5}}, {{0x88a8, 5}, {0x8100, 6}}, {{0x9100, 5}, {0x8100, 6}}} {
							want := f.withTOS(f.sent(t, nh, tagged(sent, tags...)), tos)
							got := p.encap(t, m, tagged(sent, tags...))
							if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
								t.Errorf("%d tags: verdict %d (-want +got):\n%s", len(tags), got.verdict, diff)
							}
						}
					})
				}
			}
		}
	}
}

// TestTOSSentEvery copies all values there are, and the header checksum is right
// for each.
func TestTOSSentEvery(t *testing.T) {
	m, nh := open(t, 64), lease(1500)
	for _, f := range carriers() {
		tx := f.transmit(t)
		tx.CopyDSCP, tx.CopyECN, tx.DSCP = true, true, 63
		must(t, m.PutTransmit(tx))
		for tos := range 256 {
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
			for _, v6 := range []bool{false, true} {
				inner := ipFrame(v6, byte(tos), 80)
				want := f.withTOS(f.sent(t, nh, inner), byte(tos))
				if diff := diffOf(want, encap(t, m, inner, skb{}).packet); diff != "" {
					t.Fatalf("%s, inner IPv6 %t, TOS %#x (-want +got):\n%s", f.name, v6, tos, diff)
				}
			}
		}
	}
}

// flowFrame is a UDP packet of one of many flows.
func flowFrame(v6 bool, flow uint16, n int) []byte {
	b := ipFrame(v6, 0, n)
	l4 := 34
	if v6 {
		clear(b[15:18]) // a flow label would be the flow
		b[20], l4 = 17, 54
	} else {
		b[20], b[21], b[23] = 0, 0, 17
	}
	binary.BigEndian.PutUint16(b[l4:], flow)
	if !v6 {
		return fixIPv4(b)
	}
	return b
}

// TestEntropy draws the source port from the flow: within the range, the same
// for every packet of a flow, and spread over the flows.
func TestEntropy(t *testing.T) {
	m, p, nh := open(t, 64), newPort(t), lease(1500)
	for _, f := range carriers() {
		if !f.udp {
			continue
		}
		tx := f.transmit(t)
		tx.Entropy = true
		must(t, m.PutTransmit(tx))
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/inner-ipv6-%t", f.name, v6), func(t *testing.T) {
				ports := map[uint16]bool{}
				for flow := range uint16(64) {
					must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
					var first uint16
					for i, n := range []int{100, 101, 1000} {
						for _, tags := range [][]tag{nil, {{0x8100, 5}}} {
							inner := tagged(flowFrame(v6, 1000+flow, n), tags...)
							got := p.encap(t, m, inner)
							port := binary.BigEndian.Uint16(got.packet[f.l4():])
							want := f.sent(t, nh, inner)
							binary.BigEndian.PutUint16(want[f.l4():], port)
							if f.v6 {
								fixUDP(f, want)
							}
							if diff := diffOf(want, got.packet); got.verdict != redirect || port < 49152 || diff != "" {
								t.Fatalf("flow %d: verdict %d, port %d (-want +got):\n%s", flow, got.verdict, port, diff)
							}
							if len(tags) > 0 {
								continue
							}
							if i == 0 {
								first = port
							}
							if port != first {
								t.Errorf("flow %d: port %d, then %d", flow, first, port)
							}
						}
					}
					ports[first] = true
				}
				if len(ports) < 48 {
					t.Errorf("%d ports for 64 flows", len(ports))
				}
			})
		}
	}
}

// TestZeroChecksum sends UDP over IPv6 without a checksum where that is agreed
// on, with every other policy that touches the checksum.
func TestZeroChecksum(t *testing.T) {
	m, dir := openAt(t, 64)
	p, nh := newPort(t), lease(1500)
	for _, f := range formats() {
		if !f.udp || f.sublayer == dataplane.SublayerNone {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			tx := f.transmit(t)
			tx.ZeroChecksum, tx.Sequencing = true, true
			must(t, m.PutTransmit(tx))
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
			for i, tags := range [][]tag{nil, {{0x8100, 5}}, {{0x9100, 5}}} {
				setSequence(t, dir, bpf.LongwireSequence{Send: uint32(i)})
				inner := tagged(frame(100, 0x88b5), tags...)
				want := f.numbered(f.sent(t, nh, inner), 0x40000000|uint32(i))
				want[f.l4()+6], want[f.l4()+7] = 0, 0
				if diff := diffOf(want, p.encap(t, m, inner).packet); diff != "" {
					t.Errorf("%d tags (-want +got):\n%s", len(tags), diff)
				}
			}
		})
	}
}

// TestZeroChecksumReceived takes a packet without checksum over IPv6 only if
// that is agreed on; one that has a checksum must have the right one all the same.
func TestZeroChecksumReceived(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		if !f.udp {
			continue
		}
		for _, agreed := range []bool{false, true} {
			r := f.receive(t)
			r.ZeroChecksum = agreed
			must(t, m.PutReceive(r))
			for name, change := range map[string]func([]byte){
				"right": func([]byte) {},
				"zero":  func(b []byte) { b[f.l4()+6], b[f.l4()+7] = 0, 0 },
				"wrong": func(b []byte) { b[f.l4()+6] ^= 0x10 },
			} {
				t.Run(fmt.Sprintf("%s/agreed-%t/%s", f.name, agreed, name), func(t *testing.T) {
					before := dropsOf(t, m)
					packet := f.outer(t, nearSession, frame(100, 0x88b5))
					change(packet)
					delivered := name == "right" || name == "zero" && (agreed || !f.v6)
					if name == "wrong" && !m.KernelContext() {
						lab.Absent(t, kernelContext)
						delivered = true
					}
					got := run(t, m.Programs().Decap, packet, skb{})
					if delivered != (got.verdict == redirect) {
						t.Errorf("verdict %d, delivered should be %t", got.verdict, delivered)
					}
					if !delivered {
						before[dataplane.DropBadChecksum]++
					}
					wantDrops(t, m, before)
				})
			}
		}
	}
}

// TestChecksumOfZero sends a UDP checksum that comes out as zero as its
// complement, since zero means none (RFC 768), and takes such a packet.
func TestChecksumOfZero(t *testing.T) {
	m, p, nh := open(t, 64), newPort(t), lease(1500)
	for _, f := range carriers() {
		if !f.udp || !f.v6 {
			continue
		}
		tx := f.transmit(t)
		must(t, m.PutTransmit(tx))
		must(t, m.PutReceive(f.receive(t)))
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
		for _, tags := range [][]tag{nil, {{0x8100, 5}}, {{0x9100, 5}}} {
			inner := tagged(frame(101, 0x88b5), tags...)
			// With the checksum of the rest in place of a zero word the sum is
			// that of nothing.
			word := inner[40:42]
			clear(word)
			copy(word, f.sent(t, nh, inner)[f.l4()+6:])
			want := f.sent(t, nh, inner)
			if want[f.l4()+6] != 0xff || want[f.l4()+7] != 0xff {
				t.Fatalf("%d tags: the checksum is %x, not that of zero", len(tags), want[f.l4()+6:f.l4()+8])
			}
			if diff := diffOf(want, p.encap(t, m, inner).packet); diff != "" {
				t.Errorf("%d tags (-want +got):\n%s", len(tags), diff)
			}
			clear(word)
			copy(word, f.outer(t, nearSession, inner)[f.l4()+6:])
			got := run(t, m.Programs().Decap, f.outer(t, nearSession, inner), skb{})
			if diff := diffOf(inner, got.packet); got.verdict != redirect || diff != "" {
				t.Errorf("%d tags received: verdict %d (-want +got):\n%s", len(tags), got.verdict, diff)
			}
		}
	}
}

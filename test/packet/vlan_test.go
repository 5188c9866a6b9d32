package packet

import (
	"encoding/binary"
	"fmt"
	"maps"
	"testing"

	"longwire/dataplane"
	pinned "longwire/dataplane/maps"
)

// sentTo is the packet that must leave for a session other than farSession.
func (f format) sentTo(t *testing.T, session uint32, nh dataplane.NextHop, inner []byte) []byte {
	b := f.sent(t, nh, inner)
	binary.BigEndian.PutUint32(b[f.l2tpAt():], session)
	if f.udp && f.v6 {
		fixUDP(f, b)
	}
	return b
}

// vlanCircuits are the circuits of a port that many share, by pseudowire, and
// the session of each; the last one is closed.
var vlanCircuits = []struct {
	pseudowire string
	session    dataplane.SessionID
	vlans      dataplane.VLANs
}{
	{"one", 101, dataplane.VLANs{Outer: "10"}},
	{"list", 102, dataplane.VLANs{Outer: "20,30-32,4094"}},
	{"outer", 103, dataplane.VLANs{Outer: "200"}},
	{"both", 104, dataplane.VLANs{Outer: "200", Inner: 100}},
	{"inner", 105, dataplane.VLANs{Outer: "300", Inner: 1}},
	{"untagged", 106, dataplane.VLANs{Outer: "0"}},
	{"closed", 0, dataplane.VLANs{Outer: "50"}},
}

const portSession = 100

// vlanRows say which of vlanCircuits a frame belongs to; "" is the port itself.
// Tags without type are given each type in turn.
var vlanRows = []struct {
	name string
	tags []tag
	want string
}{
	{"untagged", nil, "untagged"},
	{"priority", []tag{{0, 0xe000}}, "untagged"},
	{"priority before a VLAN", []tag{{0, 0x2000}, {0x8100, 10}}, "untagged"},
	{"single", []tag{{0, 10}}, "one"},
	{"single with priority and DEI", []tag{{0, 0xf00a}}, "one"},
	{"inner does not matter", []tag{{0, 10}, {0x8100, 77}}, "one"},
	{"first of a list", []tag{{0, 20}}, "list"},
	{"begin of a range", []tag{{0, 30}}, "list"},
	{"end of a range", []tag{{0, 32}}, "list"},
	{"last VLAN", []tag{{0, 4094}}, "list"},
	{"before a range", []tag{{0, 29}}, ""},
	{"after a range", []tag{{0, 33}}, ""},
	{"outer alone", []tag{{0, 200}}, "outer"},
	{"outer with another inner", []tag{{0, 200}, {0x8100, 101}}, "outer"},
	{"outer with an inner priority", []tag{{0, 200}, {0x8100, 0xe000}}, "outer"},
	{"outer and inner", []tag{{0, 200}, {0x8100, 100}}, "both"},
	{"inner 0x9100", []tag{{0, 200}, {0x9100, 100}}, "both"},
	{"inner 0x88a8 with priority", []tag{{0, 200}, {0x88a8, 0x6064}}, "both"},
	{"three tags", []tag{{0, 200}, {0x8100, 100}, {0x8100, 5}}, "both"},
	{"wrong way round", []tag{{0, 100}, {0x8100, 200}}, ""},
	{"inner is wanted and absent", []tag{{0, 300}}, ""},
	{"inner is wanted and there", []tag{{0, 300}, {0x8100, 1}}, "inner"},
	{"closed", []tag{{0, 50}}, "closed"},
	{"nobody's", []tag{{0, 999}}, ""},
}

// withVLANs makes the circuits on a port whose own entry is whole.
func withVLANs(t *testing.T, f format, whole dataplane.Transmit, nh dataplane.NextHop) *pinned.Maps {
	t.Helper()
	whole.Shared = true
	m := withTransmit(t, whole, nil)
	tx := f.transmit(t)
	for _, c := range vlanCircuits {
		tx.Pseudowire, tx.Session, tx.Circuit.VLANs = c.pseudowire, c.session, c.vlans
		must(t, m.PutTransmit(tx))
	}
	must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
	return m
}

// sessionOf returns the session of a pseudowire of vlanCircuits.
func sessionOf(pseudowire string) uint32 {
	for _, c := range vlanCircuits {
		if c.pseudowire == pseudowire {
			return uint32(c.session)
		}
	}
	return portSession
}

// TestVLANCircuits gives every frame to the circuit that says most about its
// tags, and the rest to the port's own pseudowire, to the host, or to nobody.
func TestVLANCircuits(t *testing.T) {
	nh, p := lease(1500), newPort(t)
	f := carriers()[3]
	own := f.transmit(t)
	own.Session, own.Pseudowire = portSession, "port"
	for name, whole := range map[string]dataplane.Transmit{
		"port": own, "host": {Circuit: dataplane.Port(circuit), ToHost: true}, "nobody": {Circuit: dataplane.Port(circuit)},
	} {
		m := withVLANs(t, f, whole, nh)
		for _, row := range vlanRows {
			for _, kind := range []uint16{0x8100, 0x88a8, 0x9100} {
				tags := append([]tag(nil), row.tags...)
				if len(tags) > 0 {
					tags[0].kind = kind
				}
				t.Run(fmt.Sprintf("%s/%s/%#x", name, row.name, kind), func(t *testing.T) {
					sent := tagged(frame(97, 0x0800), tags...)
					before := dropsBy(t, m)
					must(t, m.Lease(dataplane.Flow{Local: own.Local, Remote: own.Remote}, nh))
					got := p.encap(t, m, sent)
					wantDropped := ""
					switch {
					case row.want == "closed":
						wantDropped = "closed"
					case row.want == "" && name == "host":
						if diff := diffOf(sent, got.packet); got.verdict != pass || diff != "" {
							t.Errorf("for the host: verdict %d (-want +got):\n%s", int32(got.verdict), diff)
						}
						wantDropped = "-"
					case row.want == "" && name == "nobody":
					default:
						want := f.sentTo(t, sessionOf(row.want), nh, sent)
						if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
							t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
						}
						wantDropped = "-"
					}
					if wantDropped != "-" {
						if got.verdict != shot {
							t.Errorf("verdict %d, want %d", got.verdict, shot)
						}
						before[wantDropped+" no_session"]++
					}
					if diff := diffOf(before, dropsBy(t, m)); diff != "" {
						t.Errorf("drops (-want +got):\n%s", diff)
					}
				})
			}
		}
	}
}

// dropsBy returns what has been counted, by pseudowire and reason.
func dropsBy(t testing.TB, m *pinned.Maps) map[string]uint64 {
	t.Helper()
	all, err := m.Counters()
	must(t, err)
	drops := map[string]uint64{}
	for pseudowire, c := range all {
		for reason, n := range c.Drops {
			drops[pseudowire+" "+string(reason)] = n
		}
	}
	return drops
}

// TestVLANSuperFrame leaves the circuit in the mark of a super-frame that is cut
// first, and finds it there again.
func TestVLANSuperFrame(t *testing.T) {
	nh, p := lease(1500), newPort(t)
	f := carriers()[3]
	m := withVLANs(t, f, dataplane.Transmit{Circuit: dataplane.Port(circuit)}, nh)
	for _, tags := range [][]tag{{{0x8100, 10}}, {{0x88a8, 200}, {0x8100, 100}}} {
		sent := tagged(frame(3000, 0x88b5), tags...)
		got := p.run(t, m.Programs().Encap, sent, skb{GSOSize: 1000, GSOSegs: 3})
		if diff := diffOf(sent, got.packet); got.verdict != redirect || got.mark < 1<<31 || diff != "" {
			t.Errorf("super-frame: verdict %d, mark %#x (-want +got):\n%s", got.verdict, got.mark, diff)
		}
		piece := tagged(frame(1000, 0x88b5), tags...)
		got = p.run(t, m.Programs().Segment, piece, skb{Mark: got.mark})
		session := map[uint16]string{10: "one", 200: "both"}[tags[0].tci]
		if diff := diffOf(f.sentTo(t, sessionOf(session), nh, piece), got.packet); got.verdict != redirect || diff != "" {
			t.Errorf("piece: verdict %d (-want +got):\n%s", got.verdict, diff)
		}
	}
}

// stacks are frames' tags as customers have them.
var stacks = map[string][]tag{
	"untagged":           nil,
	"priority":           {{0x8100, 0xa000}},
	"802.1Q":             {{0x8100, 100}},
	"802.1ad":            {{0x88a8, 0xe064}},
	"0x9100":             {{0x9100, 0x3123}},
	"QinQ":               {{0x88a8, 200}, {0x8100, 100}},
	"0x9100 and 0x8100":  {{0x9100, 200}, {0x8100, 100}},
	"0x8100 and 0x9100":  {{0x8100, 200}, {0x9100, 100}},
	"three":              {{0x88a8, 0x2001}, {0x8100, 0x4002}, {0x8100, 0x6003}},
	"three, two inside":  {{0x88a8, 1}, {0x9100, 2}, {0x8100, 3}},
	"three, all inside":  {{0x9100, 1}, {0x9100, 2}, {0x9100, 3}},
	"four":               {{0x88a8, 1}, {0x8100, 2}, {0x8100, 3}, {0x8100, 4}},
	"four, three inside": {{0x88a8, 1}, {0x9100, 2}, {0x8100, 3}, {0x8100, 4}},
}

// impose is what must become of tags before encapsulation.
func impose(tags []tag, to dataplane.Imposition) []tag {
	tags = tags[min(int(to.Pop), len(tags)):]
	if to.Push.Type != 0 {
		tags = append([]tag{{to.Push.Type, to.Push.VID}}, tags...)
	}
	return tags
}

// TestImposition pops and pushes tags of every kind, in and beside the frame,
// with every checksum right.
func TestImposition(t *testing.T) {
	m, p, nh := open(t, 64), newPort(t), lease(1500)
	for _, f := range carriers() {
		leased := f.keep(t, m, nh)
		want := dataplane.Counters{}
		drops := map[dataplane.Drop]uint64{}
		for name, tags := range stacks {
			for pop := range uint8(3) {
				for _, push := range []dataplane.Tag{{}, {Type: 0x8100, VID: 4094}, {Type: 0x88a8, VID: 1}, {Type: 0x9100, VID: 77}} {
					to := dataplane.Imposition{Pop: pop, Push: push}
					t.Run(fmt.Sprintf("%s/%s/pop%d/push%x", f.name, name, pop, push.Type), func(t *testing.T) {
						tx := f.transmit(t)
						tx.Tags = to
						must(t, m.PutTransmit(tx))
						leased.renew(t)
						for _, n := range []int{20, 61, 1001} {
							got := p.encap(t, m, tagged(frame(n, 0x88b5), tags...))
							if name == "four" {
								if got.verdict != shot {
									t.Errorf("frame of %d bytes: verdict %d, want %d", n, got.verdict, shot)
								}
								drops[dataplane.DropTooManyTags]++
								continue
							}
							crosses := tagged(frame(n, 0x88b5), impose(tags, to)...)
							if diff := diffOf(f.sent(t, nh, crosses), got.packet); got.verdict != redirect || diff != "" {
								t.Errorf("frame of %d bytes: verdict %d, drops %v (-want +got):\n%s", n, got.verdict, dropsOf(t, m), diff)
							}
							want.EncapPackets++
							want.EncapBytes += uint64(len(crosses))
						}
					})
				}
			}
		}
		all, err := m.Counters()
		must(t, err)
		want.Drops = drops
		if diff := diffOf(want, all[pseudowire]); diff != "" || !maps.Equal(drops, dropsOf(t, m)) {
			t.Errorf("%s: counters (-want +got):\n%s", f.name, diff)
		}
		must(t, m.Forget(pseudowire))
	}
}

// TestImpositionTooBig draws the line at the byte with the tags that cross, not
// with those that come in.
func TestImpositionTooBig(t *testing.T) {
	p := newPort(t)
	f, nh := carriers()[0], lease(1500)
	m := withTransmit(t, f.transmit(t), nil)
	for name, tags := range map[string][]tag{"untagged": nil, "QinQ": {{0x88a8, 1}, {0x8100, 2}}, "inside": {{0x9100, 1}, {0x8100, 2}}} {
		for _, to := range []dataplane.Imposition{{}, {Pop: 1}, {Pop: 2}, {Push: dataplane.Tag{Type: 0x8100, VID: 9}}} {
			t.Run(fmt.Sprintf("%s/%+v", name, to), func(t *testing.T) {
				tx := f.transmit(t)
				tx.Tags, tx.TooBig = to, dataplane.TooBigDrop
				must(t, m.PutTransmit(tx))
				must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
				largest := 1500 + 14 - f.header() - 4*len(impose(tags, to))
				if got := p.encap(t, m, tagged(frame(largest, 0x0800), tags...)); got.verdict != redirect || len(got.packet) != 1514 {
					t.Errorf("%d bytes without tags: verdict %d, %d bytes out", largest, got.verdict, len(got.packet))
				}
				before := dropsOf(t, m)
				if got := p.encap(t, m, tagged(frame(largest+1, 0x0800), tags...)); got.verdict != shot {
					t.Errorf("%d bytes without tags: verdict %d", largest+1, got.verdict)
				}
				before[dataplane.DropTooBig]++
				wantDrops(t, m, before)
			})
		}
	}
}

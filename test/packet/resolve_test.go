package packet

import (
	"encoding/binary"
	"fmt"
	"testing"

	"longwire/dataplane"
	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// Marks of packets on their way through the helper pair, besides the slot.
const (
	markKeepWhole  = 0x800000
	markFragment   = 0x40000000
	markIndexShift = 24
	routedSlot     = 1
)

// router is a namespace whose kernel routes the packets of test runs.
type router struct {
	*lab.Namespace
	m *maps.Maps
}

// newRouter makes maps and a namespace with a way to every far end, by the
// interface "out" with an MTU.
func newRouter(t *testing.T, mtu int) router {
	t.Helper()
	l := lab.New(t)
	ns, beyond := l.Namespace("router"), l.Namespace("beyond")
	l.Veth(ns, "out", beyond, "in", mtu)
	l.Veth(ns, "helper", beyond, "helper", 65535)
	ns.Sysctl("net/ipv4/ip_forward", "1")
	ns.Sysctl("net/ipv6/conf/all/forwarding", "1")
	ns.Address("out", "203.0.113.1/24")
	ns.Address("out", "fd00:f::1/64")
	ns.Route("198.51.100.0/24", "203.0.113.2")
	ns.Route("fd00:b::/64", "fd00:f::2")
	r := router{ns, openDecap(t, 64)}
	must(t, r.m.SetHelpers(toSegment, ns.Index("helper")))
	// The first pseudowire has the first slot.
	must(t, r.m.PutReceive(carriers()[0].receive(t)))
	return r
}

// resolve runs a packet as it arrives on the helper pair.
func (r router) resolve(t testing.TB, packet []byte, mark uint32) result {
	t.Helper()
	var got result
	must(t, r.Do(func() (err error) {
		got, err = try(r.m.Programs().ResolveNextHop, append([]byte(nil), packet...), skb{Mark: mark})
		return err
	}))
	return got
}

// unleased is a packet without a next hop, as it comes to be routed.
func (f format) unleased(t *testing.T, df bool, n int) []byte {
	b := f.sent(t, dataplane.NextHop{}, frame(n, 0x88b5))
	if !f.v6 && !df {
		b[20] = 0
		return fixIPv4(b)
	}
	return b
}

// TestResolve routes packets unchanged, or says why it cannot.
func TestResolve(t *testing.T) {
	r := newRouter(t, 1500)
	out := dataplane.Transmit{Circuit: dataplane.Port(r.Index("out"))}
	host := out
	host.Shared, host.ToHost = true, true
	for _, f := range carriers() {
		route := map[bool][]string{false: {"ip", "-4"}, true: {"ip", "-6"}}[f.v6]
		far := map[bool]string{false: "198.51.100.2/32", true: "fd00:b::2/128"}[f.v6]
		small, large := f.unleased(t, false, 100), f.unleased(t, false, 1600)
		for _, row := range []struct {
			name    string
			before  func()
			packet  []byte
			mark    uint32
			verdict uint32
			drop    dataplane.Drop // "" when nothing is counted
		}{
			{"routed", nil, small, routedSlot, redirect, ""},
			{"routed whole", nil, small, routedSlot | markKeepWhole, redirect, ""},
			{"too big by policy", nil, large, routedSlot | markKeepWhole, shot, dataplane.DropTooBig},
			{"of nobody", nil, small, 0, shot, ""},
			{"no IP", nil, frame(100, 0x0806), routedSlot, shot, dataplane.DropUnspecified},
			{"out of a circuit", func() { must(t, r.m.PutTransmit(out)) }, small, routedSlot, shot, dataplane.DropLoop},
			{"out of a port with circuits of VLANs", func() { must(t, r.m.PutTransmit(host)) }, small, routedSlot, redirect, ""},
			{"no route", func() { r.Run(append(route, "route", "add", "unreachable", far)...) }, small, routedSlot, shot, dataplane.DropNoRoute},
			{"the route is back", func() { r.Run(append(route, "route", "del", "unreachable", far)...) }, small, routedSlot, redirect, ""},
		} {
			t.Run(f.name+"/"+row.name, func(t *testing.T) {
				if row.before != nil {
					row.before()
				}
				before := dropsOf(t, r.m)
				got := r.resolve(t, row.packet, row.mark)
				if diff := diffOf(row.packet, got.packet); got.verdict != row.verdict || row.verdict == redirect && (diff != "" || got.mark != 0) {
					t.Errorf("verdict %d, want %d; mark %#x (-want +got):\n%s", int32(got.verdict), row.verdict, got.mark, diff)
				}
				if row.drop != "" {
					before[row.drop]++
				}
				wantDrops(t, r.m, before)
			})
		}
		must(t, r.m.DeleteTransmit(out.Circuit))
	}
}

// TestResolveDontFragment drops what is too big and may not be fragmented: DF
// over IPv4, and what is a fragment over IPv6.
func TestResolveDontFragment(t *testing.T) {
	r := newRouter(t, 1400)
	dropped := uint64(0)
	for _, f := range carriers() {
		packet := f.unleased(t, true, 1500)
		if f.v6 {
			packet = f.insert(packet, 44, make([]byte, 8)...)
		}
		if got := r.resolve(t, packet, routedSlot); got.verdict != shot {
			t.Errorf("%s: verdict %d", f.name, got.verdict)
		}
		dropped++
		wantDrops(t, r.m, map[dataplane.Drop]uint64{dataplane.DropTooBig: dropped})
	}
}

// fragments cuts an IP packet into fragments for an MTU by hand (RFC 791 section
// 3.2, RFC 8200 section 4.5). Each has the Ethernet header of the packet.
func fragments(packet []byte, mtu int, id []byte) [][]byte {
	v6 := packet[12] == 0x86
	header := 34
	room := mtu - 20
	if v6 {
		header, room = 54, mtu-48
	}
	room &^= 7
	var all [][]byte
	for payload, at := packet[header:], 0; at < len(payload); at += room {
		part := payload[at:min(at+room, len(payload))]
		last := at+room >= len(payload)
		b := append([]byte(nil), packet[:header]...)
		if v6 {
			b[20] = 44
			binary.BigEndian.PutUint16(b[18:], uint16(8+len(part)))
			offset := uint16(at)
			if !last {
				offset |= 1
			}
			b = binary.BigEndian.AppendUint16(append(b, packet[20], 0), offset)
			all = append(all, append(append(b, id...), part...))
			continue
		}
		binary.BigEndian.PutUint16(b[16:], uint16(20+len(part)))
		offset := uint16(at / 8)
		if !last {
			offset |= 0x2000
		}
		binary.BigEndian.PutUint16(b[20:], offset)
		all = append(all, fixIPv4(append(b, part...)))
	}
	return all
}

// TestFragment cuts packets into the fragments that hand-made ones are equal to,
// and counts each packet once.
func TestFragment(t *testing.T) {
	const mtu = 1300
	r := newRouter(t, mtu)
	cut := uint64(0)
	for _, f := range carriers() {
		fits := mtu + 14 - f.header()
		room := (mtu - (f.l4() - 14)) &^ 7
		if f.v6 {
			room = (mtu - 48) &^ 7
		}
		// Whole fragments, a byte less and a byte more, and a third one.
		whole := room - (f.header() - f.l4())
		for _, n := range []int{fits + 1, fits + 2, whole + room - 1, whole + room, whole + room + 1, 3299, 3300} {
			if n <= fits {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", f.name, n), func(t *testing.T) {
				packet := f.unleased(t, false, n)
				split := r.resolve(t, packet, routedSlot)
				cut++
				// Between the two passes the addresses of Ethernet hold what the
				// fragments must agree on, and the mark which one it is.
				want := fragments(packet, mtu, split.packet[:4])
				if split.verdict != redirect || split.mark != routedSlot|markFragment|uint32(len(want)-1)<<markIndexShift {
					t.Fatalf("verdict %d, mark %#x for %d fragments; drops %v", split.verdict, split.mark, len(want), dropsOf(t, r.m))
				}
				if split.packet[0]&1 != 0 || string(split.packet[12:]) != string(packet[12:]) {
					t.Errorf("the packet is to a group, or it changed: %x", split.packet[:20])
				}
				for i := range want {
					got := r.resolve(t, split.packet, routedSlot|markFragment|uint32(i)<<markIndexShift)
					if diff := diffOf(want[i][12:], got.packet[12:]); got.verdict != redirect || got.mark != 0 || diff != "" {
						t.Errorf("fragment %d of %d: verdict %d, mark %#x (-want +got):\n%s", i, len(want), got.verdict, got.mark, diff)
					}
				}
				if got := r.resolve(t, split.packet, routedSlot|markFragment|uint32(len(want))<<markIndexShift); got.verdict != shot {
					t.Errorf("fragment behind the last one: verdict %d", got.verdict)
				}
				all, err := r.m.Counters()
				must(t, err)
				if c := all[pseudowire]; c.Fragmented != cut || c.Drops[dataplane.DropNoMemory] != cut || len(c.Drops) != 1 {
					t.Errorf("%d packets fragmented, drops %v; want %d", c.Fragmented, c.Drops, cut)
				}
			})
		}
	}
}

// TestFragmentNumbers gives every packet over IPv6 an identification of its own.
func TestFragmentNumbers(t *testing.T) {
	r := newRouter(t, 1300)
	f := carriers()[2]
	seen := map[string]bool{}
	for range 64 {
		seen[string(r.resolve(t, f.unleased(t, false, 1500), routedSlot).packet[:4])] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d identifications for 64 packets", len(seen))
	}
}

package packet

import (
	"bytes"
	"slices"
	"testing"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// TestXDPDecapFormats delivers in all 24 formats what the tc program delivers,
// without what lies behind the packet.
func TestXDPDecapFormats(t *testing.T) {
	m := openXDP(t, 64)
	var want dataplane.Counters
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			decapByXDP(t, m, f.receive(t))
			for i, inner := range [][]byte{
				frame(60, 0x0800), frame(61, 0x86dd), frame(64, 0x8100), frame(98, 0x88a8), frame(255, 0x88cc),
				frame(512, 0x0800), frame(1499, 0x0800), frame(1514, 0x86dd), frame(3301, 0x0800),
			} {
				sent := append(f.outer(t, nearSession, inner), make([]byte, i%3*7)...)
				got := runXDP(t, m.Programs().XdpDecap, slices.Clone(sent))
				if diff := diffOf(inner, got.packet); got.verdict != xdpRedirect || diff != "" {
					t.Errorf("frame of %d bytes: verdict %d, drops %v (-sent +delivered):\n%s", len(inner), got.verdict, dropsOf(t, m), diff)
				}
				want.DecapPackets++
				want.DecapBytes += uint64(len(inner))
				wantCounters(t, m, want)
				byTC := run(t, m.Programs().Decap, slices.Clone(sent), skb{})
				if diff := diffOf(byTC.packet, got.packet); byTC.verdict != redirect || diff != "" {
					t.Errorf("frame of %d bytes: (-tc +xdp):\n%s", len(inner), diff)
				}
				want.DecapPackets++
				want.DecapBytes += uint64(len(inner))
			}
		})
	}
}

// TestXDPVerdicts lets every packet that is not to be delivered pass unchanged
// and uncounted, so that the tc program sees it as it came; only a wrong
// cookie, which comes in floods, ends here, and is counted as there.
func TestXDPVerdicts(t *testing.T) {
	m := openXDP(t, 64)
	setPorts(t, m, loopback(true), maps.Port{IfIndex: otherPort, Largest: largest})
	for _, row := range verdictRows() {
		for _, f := range carriers() {
			if row.only != nil && !row.only(f) {
				continue
			}
			t.Run(row.name+"/"+f.name, func(t *testing.T) {
				r := f.receive(t)
				r.Circuit = otherPort
				if row.session != nil {
					row.session(&r)
				}
				must(t, m.PutReceive(r))
				want, verdict := dropsOf(t, m), uint32(xdpPass)
				switch {
				case row.verdict == redirect:
					verdict = xdpRedirect
				case row.drop == dataplane.DropWrongCookie:
					verdict = xdpDrop
					want[row.drop]++
				}
				sent := row.packet(f, f.outer(t, nearSession, frame(100, 0x0800)))
				got := runXDP(t, m.Programs().XdpDecap, slices.Clone(sent))
				if got.verdict != verdict {
					t.Errorf("verdict %d, want %d", got.verdict, verdict)
				}
				if diff := diffOf(sent, got.packet); verdict == xdpPass && diff != "" {
					t.Errorf("passed on, but changed:\n%s", diff)
				}
				wantDrops(t, m, want)
			})
		}
	}
}

// TestXDPDecapTruncated cuts a packet at every length: all pass unchanged but
// the whole one.
func TestXDPDecapTruncated(t *testing.T) {
	m := openXDP(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			decapByXDP(t, m, f.receive(t))
			whole := f.outer(t, nearSession, frame(60, 0x0800))
			for n := 14; n < len(whole); n++ { // a test run takes no less
				got := runXDP(t, m.Programs().XdpDecap, slices.Clone(whole[:n]))
				if got.verdict != xdpPass || !bytes.Equal(got.packet, whole[:n]) {
					t.Errorf("verdict %d after %d of %d bytes", got.verdict, n, len(whole))
				}
			}
			if got := runXDP(t, m.Programs().XdpDecap, whole); got.verdict != xdpRedirect {
				t.Errorf("whole packet: verdict %d", got.verdict)
			}
		})
	}
}

// TestXDPDecapByTC passes unchanged what a session wants and XDP cannot do, and
// what it could not deliver.
func TestXDPDecapByTC(t *testing.T) {
	m := openXDP(t, 64)
	tag := dataplane.Tag{Type: 0x8100, VID: 5}
	for name, change := range map[string]func(*dataplane.Receive, *maps.Port, *maps.Port){
		"nothing":                func(*dataplane.Receive, *maps.Port, *maps.Port) {},
		"sequencing":             func(r *dataplane.Receive, _, _ *maps.Port) { r.Sequencing = true },
		"tag pushed":             func(r *dataplane.Receive, _, _ *maps.Port) { r.Tags.Push[0] = tag },
		"tag set":                func(r *dataplane.Receive, _, _ *maps.Port) { r.Tags.Set[0] = tag },
		"tag popped":             func(r *dataplane.Receive, _, _ *maps.Port) { r.Tags.Pop = 1 },
		"MSS clamped":            func(r *dataplane.Receive, _, _ *maps.Port) { r.ClampMTU = 1400 },
		"circuit without XDP":    func(r *dataplane.Receive, _, _ *maps.Port) { r.Circuit = 8 },
		"circuit unable":         func(_ *dataplane.Receive, _, c *maps.Port) { c.Largest = 0 },
		"larger than it carries": func(_ *dataplane.Receive, _, c *maps.Port) { c.Largest = 199 },
		"out by an underlay":     func(_ *dataplane.Receive, _, c *maps.Port) { c.Underlay = true },
		"in by a circuit":        func(_ *dataplane.Receive, u, _ *maps.Port) { u.Underlay = false },
		"in by another port":     func(_ *dataplane.Receive, u, _ *maps.Port) { u.IfIndex = 3 },
		"first MAC byte":         func(_ *dataplane.Receive, u, _ *maps.Port) { u.MAC[0] = 2 },
		"last MAC byte":          func(_ *dataplane.Receive, u, _ *maps.Port) { u.MAC[5] = 1 },
	} {
		for _, f := range carriers() {
			t.Run(name+"/"+f.name, func(t *testing.T) {
				r := f.receive(t)
				r.Circuit = otherPort
				in, out := loopback(true), maps.Port{IfIndex: otherPort, Largest: largest}
				change(&r, &in, &out)
				must(t, m.PutReceive(r))
				setPorts(t, m, in, out)
				sent, verdict := f.outer(t, nearSession, frame(200, 0x0800)), uint32(xdpPass)
				if name == "nothing" {
					verdict = xdpRedirect
				}
				got := runXDP(t, m.Programs().XdpDecap, slices.Clone(sent))
				if got.verdict != verdict || bytes.Equal(got.packet, sent) != (verdict == xdpPass) {
					t.Errorf("verdict %d, want %d; %d bytes of %d", got.verdict, verdict, len(got.packet), len(sent))
				}
				wantDrops(t, m, map[dataplane.Drop]uint64{})
			})
		}
	}
}

// TestXDPDecapCongestion leaves packets with a mark that the inner frame has to
// show, ECT(1) or CE, to the tc program.
func TestXDPDecapCongestion(t *testing.T) {
	m := openXDP(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			decapByXDP(t, m, f.receive(t))
			for mark := range byte(4) {
				sent := f.outer(t, nearSession, frame(100, 0x0800))
				if f.v6 {
					sent[15] |= mark << 4
				} else {
					sent[15] |= mark
					fixIPv4(sent)
				}
				verdict := uint32(xdpRedirect)
				if mark&1 != 0 {
					verdict = xdpPass
				}
				got := runXDP(t, m.Programs().XdpDecap, slices.Clone(sent))
				if got.verdict != verdict || verdict == xdpPass && !bytes.Equal(got.packet, sent) {
					t.Errorf("mark %d: verdict %d, want %d", mark, got.verdict, verdict)
				}
			}
		})
	}
}

// TestXDPDecapChoices does what a flag alone decides.
func TestXDPDecapChoices(t *testing.T) {
	m := openXDP(t, 64)
	t.Run("previous cookie", func(t *testing.T) {
		for _, f := range formats() {
			if len(f.cookie) == 0 {
				continue
			}
			r := f.receive(t)
			decapByXDP(t, m, r)
			old := f.outer(t, nearSession, frame(100, 0x0800))
			r.Previous, r.AcceptPrevious = r.Cookie, true
			r.Cookie = mustCookie(t, bytes.Repeat([]byte{9}, len(f.cookie)))
			decapByXDP(t, m, r)
			before := countersOf(t, m)
			got := runXDP(t, m.Programs().XdpDecap, slices.Clone(old))
			after := countersOf(t, m)
			if got.verdict != xdpRedirect || after.PreviousCookie != before.PreviousCookie+1 || after.DecapPackets != before.DecapPackets+1 {
				t.Errorf("%s: verdict %d, counters %+v", f.name, got.verdict, after)
			}
			f.cookie = r.Cookie.Bytes()
			got = runXDP(t, m.Programs().XdpDecap, f.outer(t, nearSession, frame(100, 0x0800)))
			if n := countersOf(t, m).PreviousCookie; got.verdict != xdpRedirect || n != after.PreviousCookie {
				t.Errorf("%s: the present cookie: verdict %d, %d frames with the previous one", f.name, got.verdict, n)
			}
		}
	})
	t.Run("no UDP checksum over IPv6", func(t *testing.T) {
		f := format{v6: true, udp: true}
		r := f.receive(t)
		for accept, verdict := range map[bool]uint32{false: xdpPass, true: xdpRedirect} {
			r.ZeroChecksum = accept
			decapByXDP(t, m, r)
			sent := f.outer(t, nearSession, frame(100, 0x0800))
			sent[f.l4()+6], sent[f.l4()+7] = 0, 0
			if got := runXDP(t, m.Programs().XdpDecap, sent); got.verdict != verdict {
				t.Errorf("accepted %v: verdict %d, want %d", accept, got.verdict, verdict)
			}
		}
	})
}

// countersOf returns what the pseudowire has counted.
func countersOf(t *testing.T, m *maps.Maps) dataplane.Counters {
	t.Helper()
	all, err := m.Counters()
	must(t, err)
	return all[pseudowire]
}

// TestXDPLarge has the programs for frames of any size do what the others do, and
// leave frames that fit no page to tc.
func TestXDPLarge(t *testing.T) {
	m := openXDP(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			for _, n := range []int{60, 1514, 3301, 5000} {
				inner, verdict := frame(n, 0x0800), uint32(xdpRedirect)
				if n > 4096 {
					verdict = xdpPass
				}
				nh := encapByXDP(t, m, f.transmit(t), 9000)
				outer := f.sent(t, nh, inner)
				got := runXDP(t, m.Programs().XdpEncapLarge, slices.Clone(inner))
				if want := pick(verdict == xdpPass, inner, outer); got.verdict != verdict || !bytes.Equal(got.packet, want) {
					t.Errorf("encap of %d bytes: verdict %d, %d bytes out", n, got.verdict, len(got.packet))
				}
				decapByXDP(t, m, f.receive(t))
				outer = f.outer(t, nearSession, inner)
				got = runXDP(t, m.Programs().XdpDecapLarge, slices.Clone(outer))
				if want := pick(verdict == xdpPass, outer, inner); got.verdict != verdict || !bytes.Equal(got.packet, want) {
					t.Errorf("decap of %d bytes: verdict %d, %d bytes out", n, got.verdict, len(got.packet))
				}
			}
		})
	}
}

func pick(first bool, a, b []byte) []byte {
	if first {
		return a
	}
	return b
}

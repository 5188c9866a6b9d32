package packet

import (
	"fmt"
	"testing"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// one and two are tags that a circuit's frames get.
var (
	one = [2]dataplane.Tag{{Type: 0x8100, VID: 4094}}
	two = [2]dataplane.Tag{{Type: 0x88a8, VID: 0x123}, {Type: 0x8100, VID: 0x456}}
)

// deliveries are what may happen to tags after decapsulation.
var deliveries = map[string]dataplane.Delivery{
	"keep": {}, "pop": {Pop: 1}, "set one": {Set: one}, "set two": {Set: two}, "push one": {Push: one}, "push two": {Push: two},
	"push 0x9100": {Push: [2]dataplane.Tag{{Type: 0x9100, VID: 1}}},
}

// deliver is what must become of tags on delivery: tags that are set keep the
// type and the priority that a tag has, and those that lack are added.
func deliver(tags []tag, to dataplane.Delivery) []tag {
	var outside []tag
	for _, v := range to.Push {
		if v.Type != 0 {
			outside = append(outside, tag{v.Type, v.VID})
		}
	}
	var ids []dataplane.Tag
	for _, v := range to.Set {
		if v.Type != 0 {
			ids = append(ids, v)
		}
	}
	inside := append([]tag(nil), tags[min(int(to.Pop), len(tags)):]...)
	lacking := max(len(ids)-len(inside), 0)
	for i, v := range ids {
		if i < lacking {
			outside = append(outside, tag{v.Type, v.VID})
			continue
		}
		inside[i-lacking].tci = inside[i-lacking].tci&0xf000 | v.VID
	}
	return append(outside, inside...)
}

// TestDelivery takes tags off, sets and pushes them, in all 24 formats.
func TestDelivery(t *testing.T) {
	m := openDecap(t, 64)
	packets, octets := uint64(0), uint64(0)
	for _, f := range formats() {
		for what, to := range deliveries {
			r := f.receive(t)
			r.Tags = to
			must(t, m.PutReceive(r))
			for name, tags := range stacks {
				t.Run(fmt.Sprintf("%s/%s/%s", f.name, what, name), func(t *testing.T) {
					for _, n := range []int{60, 61, 1001} {
						inner := tagged(frame(n, 0x88b5), tags...)
						got := run(t, m.Programs().Decap, f.outer(t, nearSession, inner), skb{})
						want := tagged(frame(n, 0x88b5), deliver(tags, to)...)
						if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
							t.Fatalf("frame of %d bytes: verdict %d, drops %v (-want +got):\n%s", n, got.verdict, dropsOf(t, m), diff)
						}
						packets++
						octets += uint64(len(want))
					}
				})
			}
		}
	}
	wantCounters(t, m, dataplane.Counters{DecapPackets: packets, DecapBytes: octets})
}

// TestDeliveryShort changes the tags of frames too short for a wire, which are
// padded as those are that keep theirs.
func TestDeliveryShort(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		for what, to := range deliveries {
			r := f.receive(t)
			r.Tags = to
			must(t, m.PutReceive(r))
			for name, tags := range map[string][]tag{"untagged": nil, "one": {{0x8100, 0xa007}}, "two": {{0x88a8, 7}, {0x8100, 8}}} {
				for _, n := range []int{14, 15, 21, 22, 33, 34} {
					t.Run(fmt.Sprintf("%s/%s/%s/%d", f.name, what, name, n), func(t *testing.T) {
						inner := tagged(frame(n, 0x88b5), tags...)
						got := run(t, m.Programs().Decap, f.outer(t, nearSession, inner), skb{})
						want := tagged(frame(n, 0x88b5), deliver(tags, to)...)
						if got.verdict != redirect || len(got.packet) < 34 || len(got.packet) > 60+8 {
							t.Fatalf("verdict %d, %d bytes, drops %v", got.verdict, len(got.packet), dropsOf(t, m))
						}
						padding := make([]byte, max(len(got.packet)-len(want), 0))
						if diff := diffOf(append(want, padding...), got.packet); diff != "" {
							t.Errorf("(-want +got):\n%s", diff)
						}
					})
				}
			}
		}
	}
}

// TestDeliveryOldKernel delivers the same where the kernel does not know the
// flags that name what is inside (before 6.3).
func TestDeliveryOldKernel(t *testing.T) {
	m := openOld(t, maps.Safe{NoDecapFlags: true})
	decap := m.Programs().Decap
	for _, f := range carriers() {
		for what, to := range deliveries {
			r := f.receive(t)
			r.Tags = to
			must(t, m.PutReceive(r))
			for name, tags := range stacks {
				for _, n := range []int{20, 40, 54, 100} {
					t.Run(fmt.Sprintf("%s/%s/%s/%d", f.name, what, name, n), func(t *testing.T) {
						got := run(t, decap, f.outer(t, nearSession, tagged(frame(n, 0x88b5), tags...)), skb{})
						want := tagged(frame(n, 0x88b5), deliver(tags, to)...)
						padding := make([]byte, max(len(got.packet)-len(want), 0))
						if diff := diffOf(append(want, padding...), got.packet); got.verdict != redirect || diff != "" || len(padding) > 60 {
							t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
						}
						if len(got.packet) < 54 {
							t.Errorf("%d bytes are delivered, which an old kernel takes for IPv6 without a header", len(got.packet))
						}
					})
				}
			}
		}
	}
}

// TestTaggedUnderlay leaves packets with a tag to the VLAN device that they are
// for, which has a hook of its own.
func TestTaggedUnderlay(t *testing.T) {
	p := newPort(t)
	m := openDecap(t, 64)
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		for _, kind := range []uint16{0x8100, 0x88a8, 0x9100} {
			sent := tagged(f.outer(t, nearSession, frame(100, 0x0800)), tag{kind, 5})
			got := p.run(t, m.Programs().Decap, sent, skb{})
			if diff := diffOf(sent, got.packet); got.verdict != pass || diff != "" {
				t.Errorf("%s, tag %#x: verdict %d (-want +got):\n%s", f.name, kind, int32(got.verdict), diff)
			}
		}
		sent := f.outer(t, nearSession, frame(100, 0x0800))
		if got := p.run(t, m.Programs().Decap, sent, skb{}); got.verdict != redirect {
			t.Errorf("%s, untagged: verdict %d", f.name, int32(got.verdict))
		}
	}
	wantDrops(t, m, map[dataplane.Drop]uint64{})
}

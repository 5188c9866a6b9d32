package packet

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"longwire/bpf"
	"longwire/dataplane"
)

// numbered puts a word into the sublayer of an outer packet.
func (f format) numbered(b []byte, word uint32) []byte {
	binary.BigEndian.PutUint32(b[f.header()-4:], word)
	if f.udp && (f.v6 || binary.BigEndian.Uint16(b[f.l4()+6:]) != 0) {
		fixUDP(f, b)
	}
	return b
}

// sublayers returns the formats that can number frames.
func sublayers() []format {
	var all []format
	for _, f := range formats() {
		if f.sublayer == dataplane.SublayerDefault {
			all = append(all, f)
		}
	}
	return all
}

// setSequence writes what a pseudowire remembers between packets; its slot is
// the first one that was given out.
func setSequence(t *testing.T, dir string, s bpf.LongwireSequence) {
	t.Helper()
	sequences, err := ebpf.LoadPinnedMap(dir+"/"+bpf.LongwireMapSequences, nil)
	must(t, err)
	defer func() { _ = sequences.Close() }()
	must(t, sequences.Put(uint32(1), s))
}

// TestSequenceSent numbers frames from 0 in the sublayer of every format that
// has one, over the end of the numbers, with every checksum right.
func TestSequenceSent(t *testing.T) {
	nh, p := lease(1500), newPort(t)
	m, dir := openAt(t, 64)
	for _, f := range sublayers() {
		t.Run(f.name, func(t *testing.T) {
			tx := f.transmit(t)
			tx.Sequencing = true
			must(t, m.PutTransmit(tx))
			for _, first := range []uint32{0, 1<<24 - 2, 1<<32 - 2} {
				must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
				setSequence(t, dir, bpf.LongwireSequence{Send: first})
				for i := range uint32(5) {
					inner := frame(100+int(i), 0x88b5)
					want := f.numbered(f.sent(t, nh, inner), 0x40000000|(first+i)&0xffffff)
					got := encap(t, m, inner, skb{})
					if diff := diffOf(want, got.packet); got.verdict != redirect || diff != "" {
						t.Errorf("frame %d after %d: verdict %d (-want +got):\n%s", i, first, got.verdict, diff)
					}
				}
			}
			// With tags beside the frame, which take another path to the checksum.
			setSequence(t, dir, bpf.LongwireSequence{Send: 7})
			inner := tagged(frame(99, 0x0800), tag{0x88a8, 5}, tag{0x8100, 6})
			want := f.numbered(f.sent(t, nh, inner), 0x40000007)
			if diff := diffOf(want, p.encap(t, m, inner).packet); diff != "" {
				t.Errorf("with tags (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSequenceKept spends no number on a frame that does not leave: a far end
// would see a gap that is none.
func TestSequenceKept(t *testing.T) {
	m := open(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			nh := lease(1500)
			tx := f.transmit(t)
			tx.Sequencing, tx.TooBig, tx.Pseudowire = true, dataplane.TooBigDrop, f.name
			must(t, m.PutTransmit(tx))
			for _, n := range []int{100, 1600, 1600, 101} {
				must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
				got := encap(t, m, frame(n, 0x88b5), skb{})
				if (got.verdict == redirect) != (n < 1600) {
					t.Fatalf("frame of %d bytes: verdict %d", n, got.verdict)
				}
				if want := uint32(0x40000000 | n - 100); n < 1600 {
					if word := binary.BigEndian.Uint32(got.packet[f.header()-4:]); word != want {
						t.Errorf("frame of %d bytes has %#x, want %#x", n, word, want)
					}
				}
			}
		})
	}
}

// arrival is one numbered frame and what must become of it.
type arrival struct {
	number uint32
	drop   dataplane.Drop // "" when it is delivered
	gap    uint64
	reset  uint64
}

// sequenceRows are courses of events on receipt.
func sequenceRows() map[string][]arrival {
	const late, duplicate, end = dataplane.DropLate, dataplane.DropDuplicate, 1<<24 - 1
	return map[string][]arrival{
		"in order":               {{number: 0}, {number: 1}, {number: 2}},
		"begins anywhere":        {{number: 4711}, {number: 4712}},
		"gap":                    {{number: 0}, {number: 5, gap: 4}, {number: 6}, {number: 8, gap: 1}},
		"duplicate":              {{number: 3}, {number: 3, drop: duplicate}, {number: 4}, {number: 4, drop: duplicate}},
		"late":                   {{number: 3}, {number: 2, drop: late}, {number: 4}, {number: 1, drop: late}, {number: 5}},
		"overtaken":              {{number: 1}, {number: 3, gap: 1}, {number: 2, drop: late}, {number: 4}},
		"wraps":                  {{number: end - 1}, {number: end}, {number: 0}, {number: 1}},
		"gap over the end":       {{number: end - 1}, {number: 2, gap: 3}, {number: 3}},
		"duplicate over the end": {{number: end}, {number: end, drop: duplicate}, {number: 0}, {number: 0, drop: duplicate}, {number: end, drop: late}},
		"half of the space":      {{number: 0}, {number: 1 << 23, gap: 1<<23 - 1}, {number: 1<<23 + 1}},
		"more than half":         {{number: 0}, {number: 1<<23 + 1, drop: late}, {number: 1}},
		"begins anew": {
			{number: 5000}, {number: 0, drop: late}, {number: 1, drop: late}, {number: 2, drop: late}, {number: 3, drop: late},
			{number: 4, reset: 1}, {number: 5}, {number: 7, gap: 1},
		},
		"begins anew, interrupted": {
			{number: 5000}, {number: 0, drop: late}, {number: 1, drop: late}, {number: 2, drop: late}, {number: 3, drop: late},
			{number: 5001}, {number: 4, drop: late}, {number: 5, drop: late}, {number: 6, drop: late}, {number: 7, drop: late}, {number: 8, reset: 1},
		},
		"strays that do not follow": {
			{number: 5000}, {number: 1, drop: late}, {number: 3, drop: late}, {number: 4, drop: late}, {number: 4, drop: late},
			{number: 5, drop: late}, {number: 6, drop: late}, {number: 7, drop: late}, {number: 8, reset: 1},
		},
	}
}

// TestSequenceReceived drops what comes twice or late, and counts what is
// missing, in every format that has a sublayer.
func TestSequenceReceived(t *testing.T) {
	m, dir := openAt(t, 64)
	want := dataplane.Counters{}
	drops := map[dataplane.Drop]uint64{}
	for _, f := range sublayers() {
		r := f.receive(t)
		r.Sequencing = true
		must(t, m.PutReceive(r))
		for name, arrivals := range sequenceRows() {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				setSequence(t, dir, bpf.LongwireSequence{})
				for i, a := range arrivals {
					inner := frame(80+i, 0x88b5)
					got := run(t, m.Programs().Decap, f.numbered(f.outer(t, nearSession, inner), 0x40000000|a.number), skb{})
					if diff := diffOf(inner, got.packet); (a.drop == "") != (got.verdict == redirect) || (a.drop == "" && diff != "") {
						t.Errorf("packet %d, number %d: verdict %d, want drop %q (-want +got):\n%s", i, a.number, got.verdict, a.drop, diff)
					}
					if a.drop != "" {
						drops[a.drop]++
						continue
					}
					want.SequenceGaps += a.gap
					want.SequenceResets += a.reset
					want.DecapPackets++
					want.DecapBytes += uint64(len(inner))
				}
				all, err := m.Counters()
				must(t, err)
				want.Drops = drops
				if diff := diffOf(want, all[pseudowire]); diff != "" {
					t.Fatalf("counters (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestSequenceAbsent takes frames without the S bit as they come, whatever lies
// in the place of the number, and never lets them move it (RFC 3931 section 4.6).
func TestSequenceAbsent(t *testing.T) {
	m := openDecap(t, 64)
	f := carriers()[0]
	r := f.receive(t)
	r.Sequencing = true
	must(t, m.PutReceive(r))
	for i, word := range []uint32{0, 0x00000007, 0x40000003, 0x00000003, 0x3f000001, 0, 0x40000004, 0x7f000005} {
		inner := frame(100+i, 0x88b5)
		got := run(t, m.Programs().Decap, f.numbered(f.outer(t, nearSession, inner), word), skb{})
		if diff := diffOf(inner, got.packet); got.verdict != redirect || diff != "" {
			t.Errorf("packet %d, sublayer %#x: verdict %d, drops %v (-want +got):\n%s", i, word, got.verdict, dropsOf(t, m), diff)
		}
	}
	got := run(t, m.Programs().Decap, f.numbered(f.outer(t, nearSession, frame(100, 0x88b5)), 0x40000005), skb{})
	if got.verdict != shot {
		t.Errorf("duplicate: verdict %d", got.verdict)
	}
	wantDrops(t, m, map[dataplane.Drop]uint64{dataplane.DropDuplicate: 1})
}

// TestSequenceOff ignores numbers unless the session is sequenced.
func TestSequenceOff(t *testing.T) {
	m := openDecap(t, 64)
	f := carriers()[2]
	must(t, m.PutReceive(f.receive(t)))
	for _, number := range []uint32{7, 7, 6, 5, 100} {
		if got := run(t, m.Programs().Decap, f.numbered(f.outer(t, nearSession, frame(100, 0x88b5)), 0x40000000|number), skb{}); got.verdict != redirect {
			t.Errorf("number %d: verdict %d", number, got.verdict)
		}
	}
	all, err := m.Counters()
	must(t, err)
	if c := all[pseudowire]; c.SequenceGaps != 0 || len(c.Drops) != 0 {
		t.Errorf("counted %+v", c)
	}
}

// receiver is what the programs should do, in other words: next is the number
// that follows the last one taken.
type receiver struct {
	begun        bool
	next         int
	run          []int // late numbers in a row, each one more than the one before
	gaps, resets uint64
}

// take says what becomes of a frame.
func (r *receiver) take(number int) dataplane.Drop {
	const space = 1 << 24
	distance := ((number-r.next)%space + space) % space
	switch {
	case !r.begun:
		r.begun, r.next = true, (number+1)%space
		return ""
	case distance < space/2:
		r.gaps += uint64(distance)
		r.next, r.run = (number+1)%space, nil
		return ""
	}
	if n := len(r.run); n > 0 && (r.run[n-1]+1)%space != number {
		r.run = nil
	}
	if r.run = append(r.run, number); len(r.run) == 5 {
		r.next, r.run = (number+1)%space, nil
		r.resets++
		return ""
	}
	if distance == space-1 {
		return dataplane.DropDuplicate
	}
	return dataplane.DropLate
}

// TestSequenceModel compares random courses of events with the model.
func TestSequenceModel(t *testing.T) {
	m, dir := openAt(t, 64)
	f := carriers()[0]
	r := f.receive(t)
	r.Sequencing = true
	must(t, m.PutReceive(r))
	packet := f.outer(t, nearSession, frame(60, 0x88b5))
	total := receiver{}
	drops := map[dataplane.Drop]uint64{}
	rapid.Check(t, func(rt *rapid.T) {
		setSequence(t, dir, bpf.LongwireSequence{})
		model := receiver{}
		at := rapid.SampledFrom([]int{0, 100, 1<<23 - 3, 1<<24 - 3}).Draw(rt, "first")
		for i := range rapid.IntRange(1, 60).Draw(rt, "packets") {
			step := rapid.SampledFrom([]int{1, 1, 1, 1, 0, 2, 3, -1, -2, -4, -1000, 1 << 23, 1<<23 - 1}).Draw(rt, fmt.Sprintf("step %d", i))
			at = (at + step + 1<<24) % (1 << 24)
			want := model.take(at)
			got := run(t, m.Programs().Decap, f.numbered(append([]byte(nil), packet...), 0x40000000|uint32(at)), skb{})
			if (want == "") != (got.verdict == redirect) {
				rt.Fatalf("packet %d, number %d: verdict %d, the model says %q", i, at, got.verdict, want)
			}
			if want != "" {
				drops[want]++
			}
		}
		total.gaps += model.gaps
		total.resets += model.resets
	})
	all, err := m.Counters()
	must(t, err)
	if c := all[pseudowire]; c.SequenceGaps != total.gaps || c.SequenceResets != total.resets {
		t.Errorf("gaps %d, resets %d; the model has %d and %d", c.SequenceGaps, c.SequenceResets, total.gaps, total.resets)
	}
	wantDrops(t, m, drops)
	if total.resets == 0 || drops[dataplane.DropLate] == 0 || drops[dataplane.DropDuplicate] == 0 {
		t.Errorf("the courses drawn had no resets or no drops: %+v, %v", total, drops)
	}
}

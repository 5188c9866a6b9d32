package faults

import (
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
	"longwire/test/lab"
)

// totals are counters by pseudowire, those of nobody under "".
type totals map[string]dataplane.Counters

// count reads what a side has counted so far.
func (w *world) count(t *testing.T, side int) totals {
	t.Helper()
	all, err := w.ends[side-1].Counters()
	if err != nil {
		t.Fatalf("read the counters of PE%d: %v", side, err)
	}
	return all
}

// since returns what was counted after before, without what stayed the same.
func (c totals) since(before totals) totals {
	changed := totals{}
	for name, now := range c {
		then := before[name]
		d := dataplane.Counters{
			EncapPackets: now.EncapPackets - then.EncapPackets, EncapBytes: now.EncapBytes - then.EncapBytes,
			DecapPackets: now.DecapPackets - then.DecapPackets, DecapBytes: now.DecapBytes - then.DecapBytes,
			Fragmented: now.Fragmented - then.Fragmented, Answered: now.Answered - then.Answered,
			PreviousCookie: now.PreviousCookie - then.PreviousCookie,
			SequenceGaps:   now.SequenceGaps - then.SequenceGaps, SequenceResets: now.SequenceResets - then.SequenceResets,
		}
		for reason, n := range now.Drops {
			if n != then.Drops[reason] {
				d.Drops = withDrop(d.Drops, reason, n-then.Drops[reason])
			}
		}
		if !reflect.DeepEqual(d, dataplane.Counters{}) {
			changed[name] = d
		}
	}
	return changed
}

func withDrop(drops map[dataplane.Drop]uint64, reason dataplane.Drop, n uint64) map[dataplane.Drop]uint64 {
	if drops == nil {
		drops = map[dataplane.Drop]uint64{}
	}
	drops[reason] += n
	return drops
}

// drop adds n drops to what is wanted of a pseudowire, or of nobody; a reason
// that is empty adds nothing.
func (c totals) drop(name string, reason dataplane.Drop, n uint64) {
	if reason == "" || n == 0 {
		return
	}
	of := c[name]
	of.Drops = withDrop(of.Drops, reason, n)
	c[name] = of
}

// sent and delivered add frames to what is wanted of a pseudowire.
func (c totals) sent(name string, frames ...[]byte) {
	of := c[name]
	for _, f := range frames {
		of.EncapPackets++
		of.EncapBytes += uint64(len(f))
	}
	c[name] = of
}

func (c totals) delivered(name string, frames ...[]byte) {
	of := c[name]
	for _, f := range frames {
		of.DecapPackets++
		of.DecapBytes += uint64(len(f))
	}
	c[name] = of
}

// wantCounted waits until a side has counted exactly what is wanted since
// before.
func (w *world) wantCounted(t *testing.T, side int, before, want totals) {
	t.Helper()
	var diff string
	err := lab.Await(patience, func() error {
		if diff = cmp.Diff(want, w.count(t, side).since(before)); diff != "" {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Errorf("PE%d counted (-want +got):\n%s", side, diff)
	}
}

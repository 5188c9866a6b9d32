package main

import (
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
)

func TestCrowdName(t *testing.T) {
	for size, want := range map[int]string{1: "1 session", 16000: "16000 sessions"} {
		if got := crowdName(size); got != want {
			t.Errorf("%d: %q, want %q", size, got, want)
		}
	}
}

// TestShuffled has every number once, in an order of its own that is the same
// each time.
func TestShuffled(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		order := shuffled(n)
		if !slices.Equal(order, shuffled(n)) {
			t.Errorf("%d: another order each time", n)
		}
		if n > 10 && slices.IsSorted(order) {
			t.Errorf("%d: in order", n)
		}
		slices.Sort(order)
		for i, v := range order {
			if i != v {
				t.Fatalf("%d: %d is missing", n, i)
			}
		}
	}
}

// TestMembersDiffer gives every session of the largest crowd an id and a
// pseudowire of its own.
func TestMembersDiffer(t *testing.T) {
	ids, names := map[dataplane.SessionID]bool{}, map[string]bool{}
	for i := range slices.Max(crowds) {
		m := carriers[0].member(i)
		if m.id == 0 {
			t.Fatalf("session %d has id 0", i)
		}
		ids[m.id], names[m.pseudowire] = true, true
	}
	if n := slices.Max(crowds); len(ids) != n || len(names) != n {
		t.Errorf("%d ids and %d pseudowires of %d", len(ids), len(names), n)
	}
}

// TestVersionChangesCookie: what replaces a session must not be the same.
func TestVersionChangesCookie(t *testing.T) {
	s := carriers[0].member(5)
	before, err := s.cookie()
	if err != nil {
		t.Fatal(err)
	}
	s.version++
	if after, err := s.cookie(); err != nil || after == before {
		t.Errorf("%s after %s, %v", after, before, err)
	}
}

// TestCrowd sends by one circuit of a crowd and by all in turn, and finds both
// ends' programs at work for just those.
func TestCrowd(t *testing.T) {
	const size = 5
	w, g := testWorld(t)
	c, err := w.buildCrowd(size)
	if err != nil {
		t.Fatal(err)
	}
	// busy returns how many sessions have carried most of the frames since.
	seen := map[string]dataplane.Counters{}
	busy := func() (encap, decap int) {
		for end, p := range c.planes {
			all, err := p.Counters()
			if err != nil {
				t.Fatal(err)
			}
			for i := range size {
				name := carriers[0].member(i).pseudowire
				now, key := all[name], name+string(rune('0'+end))
				if end == 0 && now.EncapPackets-seen[key].EncapPackets > 500 {
					encap++
				}
				if end == 1 && now.DecapPackets-seen[key].DecapPackets > 500 {
					decap++
				}
				seen[key] = now
			}
		}
		return encap, decap
	}
	busy()
	for _, run := range []struct{ first, count int }{{3, 1}, {0, size}, {1, 2}} {
		if err := c.choose(run.first, run.count); err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.entrance(c.site).flood(t.Context(), smallFrame, time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if encap, decap := busy(); encap != run.count || decap != run.count {
			t.Errorf("%d circuits from %d: %d encapsulated, %d decapsulated", run.count, run.first, encap, decap)
		}
	}
	testCrowdSample(t, c, g)
}

// testCrowdSample takes a value of every measure.
func testCrowdSample(t *testing.T, c *crowd, g *generator) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(stats)
	samples := map[string]map[string][]float64{}
	if err := c.sample(t.Context(), g, 20*time.Millisecond, samples); err != nil {
		t.Fatal(err)
	}
	for title := range crowdGoals {
		values := samples[title][c.name()]
		if len(values) != 1 || values[0] <= 0 || values[0] > 1e6 {
			t.Errorf("%s: %v", title, values)
		}
	}
}

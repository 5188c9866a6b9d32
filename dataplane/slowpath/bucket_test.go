package slowpath

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestBucketWaits(t *testing.T) {
	start := time.Unix(1700000000, 0)
	tests := []struct {
		name  string
		rate  int
		taken int           // at once, from a full bucket
		later time.Duration // when the next one is taken
		want  time.Duration
	}{
		{"full", 10, 0, 0, 0},
		{"last token", 10, 9, 0, 0},
		{"empty", 10, 10, 0, 100 * time.Millisecond},
		{"two owed", 10, 12, 0, 300 * time.Millisecond},
		{"filled a little", 10, 10, 50 * time.Millisecond, 50 * time.Millisecond},
		{"filled by one", 10, 10, 100 * time.Millisecond, 0},
		{"one a second", 1, 1, 0, time.Second},
		{"a rate of nothing is one a second", 0, 1, 0, time.Second},
		{"beyond the clock", 2_000_000_000, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bucket{}
			b.setRate(tt.rate)
			for range tt.taken {
				b.take(start)
			}
			if got := b.take(start.Add(tt.later)); got != tt.want {
				t.Errorf("waits %v, want %v", got, tt.want)
			}
		})
	}
}

// In no time do more tokens come out than the burst and the rate give.
func TestBucketIsNeverGenerous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 5000).Draw(t, "rate")
		b, start := &bucket{}, time.Unix(1700000000, 0)
		b.setRate(rate)
		now := start
		for n := 1; n <= 2*rate; n++ {
			now = now.Add(time.Duration(rapid.IntRange(0, 2_000_000).Draw(t, "pause")))
			now = now.Add(b.take(now))
			if most := float64(rate) + float64(rate)*now.Sub(start).Seconds(); float64(n) > most+1 {
				t.Fatalf("%d tokens in %v at a rate of %d", n, now.Sub(start), rate)
			}
			if n > 200 {
				return
			}
		}
	})
}

// A new rate counts from the next token on.
func TestBucketChangesItsRate(t *testing.T) {
	b, now := &bucket{}, time.Unix(1700000000, 0)
	for _, rate := range []int{1, 100, 2} {
		b.setRate(rate)
		for i := range rate {
			if got := b.take(now); got != 0 {
				t.Errorf("rate %d: token %d after %v", rate, i, got)
			}
		}
		if got := b.take(now); got != time.Second/time.Duration(rate) {
			t.Errorf("rate %d: an empty bucket gives a token after %v", rate, got)
		}
		now = now.Add(time.Minute)
	}
}

func TestBucketWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := &bucket{}, make(chan struct{})
		b.setRate(1)
		if !b.wait(stop) {
			t.Error("a full bucket gives nothing")
		}
		begin := time.Now()
		if !b.wait(stop) || time.Since(begin) != time.Second {
			t.Errorf("waited %v for a token of the next second", time.Since(begin))
		}
		time.AfterFunc(300*time.Millisecond, func() { close(stop) })
		begin = time.Now()
		if b.wait(stop) || time.Since(begin) != 300*time.Millisecond {
			t.Errorf("after a stop: waited %v", time.Since(begin))
		}
	})
}

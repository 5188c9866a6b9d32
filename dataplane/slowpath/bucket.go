package slowpath

import (
	"sync"
	"time"
)

// bucket is a token bucket that fills with a token in every interval and holds
// a second's worth of them. Whoever finds it empty waits for a token of the
// future. The zero bucket has no rate yet.
type bucket struct {
	mu       sync.Mutex
	interval time.Duration
	burst    time.Duration // what a full bucket is worth
	next     time.Time     // when the next token is there; in the past if there are some
}

// setRate gives the bucket rate tokens a second, at least one.
func (b *bucket) setRate(rate int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interval = max(time.Second/time.Duration(max(rate, 1)), 1)
	b.burst = time.Second - b.interval
}

// take takes one token and returns how long its owner has to wait for it.
func (b *bucket) take(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-b.burst); b.next.Before(full) {
		b.next = full
	}
	wait := b.next.Sub(now)
	b.next = b.next.Add(b.interval)
	return max(0, wait)
}

// wait takes a token and waits until it is there. It returns false when stop is
// closed before.
func (b *bucket) wait(stop <-chan struct{}) bool {
	d := b.take(time.Now())
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}

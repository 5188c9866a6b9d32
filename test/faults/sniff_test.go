package faults

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"longwire/test/lab"
)

// sniffers see what arrives at every circuit's number of one kind of place.
type sniffers []*lab.Sniffer

// watch sees everything that arrives at the customers' hosts, by side, and at the
// bridges behind the circuits where there are any.
type watch struct {
	w              *world
	hosts, bridges [2]sniffers
}

// watch begins to see, until the test ends.
func (w *world) watch(t *testing.T) *watch {
	s := &watch{w: w}
	var all sniffers
	for side := 1; side <= 2; side++ {
		ce, pe := w.Side(side)
		for _, p := range pseudowires {
			s.hosts[side-1] = append(s.hosts[side-1], ce.Sniff(lab.HostPort(p.number)))
			if w.device.circuit == lab.CircuitBridgePort {
				s.bridges[side-1] = append(s.bridges[side-1], pe.Sniff(lab.Bridge(p.number)))
			}
		}
		all = slices.Concat(all, s.hosts[side-1], s.bridges[side-1])
	}
	t.Cleanup(func() {
		var closing sync.WaitGroup
		for _, sniffer := range all {
			closing.Go(sniffer.Close)
		}
		closing.Wait()
	})
	return s
}

// reset forgets what was seen so far.
func (s *watch) reset() {
	for i := range s.hosts {
		for _, sniffer := range slices.Concat(s.hosts[i], s.bridges[i]) {
			sniffer.Reset()
		}
	}
}

// wants waits until a pseudowire has delivered the frames that are wanted at the
// host of a side, and compares what has arrived by then at any port of either:
// these frames, in this order, and none besides. The bridges are to see none.
func (s *watch) wants(t *testing.T, side int, p pseudowire, frames ...[]byte) {
	t.Helper()
	err := lab.Await(patience, func() error {
		if got := len(s.hosts[side-1][p.number].Frames()); got < len(frames) {
			return fmt.Errorf("%d of %d frames arrived", got, len(frames))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for i := range s.hosts {
		for number, port := range s.hosts[i] {
			var want [][]byte
			if i == side-1 && number == p.number {
				want = frames
			}
			same(t, fmt.Sprintf("port %d of CE%d", number, i+1), want, port.Frames())
		}
		for number, bridge := range s.bridges[i] {
			same(t, fmt.Sprintf("bridge %d of PE%d", number, i+1), nil, bridge.Frames())
		}
	}
	s.unlearned(t, frames)
}

// same compares what arrived somewhere with what should have.
func same(t *testing.T, where string, want, got [][]byte) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if err := lab.SameFrame(want[i], got[i]); err != nil {
			t.Errorf("%s, frame %d of %d: %v\nsent     %.64x\nreceived %.64x", where, i+1, len(want), err, want[i], got[i])
		}
	}
	for _, extra := range got[min(len(got), len(want)):] {
		t.Errorf("%s received a frame that is not for it, %d bytes: %.64x", where, len(extra), extra)
	}
}

// unlearned wants no bridge to know the senders of frames, which it would if it
// had taken one of them.
func (s *watch) unlearned(t *testing.T, frames [][]byte) {
	t.Helper()
	if s.w.device.circuit != lab.CircuitBridgePort {
		return
	}
	var senders []string
	for _, f := range frames {
		senders = append(senders, fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", f[6], f[7], f[8], f[9], f[10], f[11]))
	}
	for side := 1; side <= 2; side++ {
		_, pe := s.w.Side(side)
		for _, p := range pseudowires {
			for _, mac := range pe.Learned(lab.Bridge(p.number)) {
				if slices.Contains(senders, mac) {
					t.Errorf("bridge %d of PE%d has learned %s", p.number, side, mac)
				}
			}
		}
	}
}

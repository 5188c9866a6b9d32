package agent

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/slowpath"
)

var compareAddresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// fakeSlowPath notes what is wanted and fails on demand.
type fakeSlowPath struct {
	mu       sync.Mutex
	wanted   slowpath.Wanted
	calls    int
	fails    []error
	counters slowpath.Counters
}

func (s *fakeSlowPath) Want(w slowpath.Wanted) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted, s.calls = w, s.calls+1
	return s.fails
}

func (s *fakeSlowPath) Counters() slowpath.Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

// set changes how the slow path behaves from now on.
func (s *fakeSlowPath) set(change func(*fakeSlowPath)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// last is what is wanted now, and how often that was said.
func (s *fakeSlowPath) last() (slowpath.Wanted, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted, s.calls
}

// The slow path follows the configuration, over reloads too.
func TestSlowPathFollowsTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, edit(staticConfig(), func(c *config.Config) { c.Dataplane.SlowPathRate = 1000 }))
		b.slow = &fakeSlowPath{}
		b.start()
		defer b.stop()
		want := slowpath.Wanted{Endpoints: []dataplane.Endpoint{{Address: own}}, Underlays: []int{underlay}, Rate: 1000}
		if got, _ := b.slow.last(); !cmp.Equal(want, got, compareAddresses) {
			t.Errorf("wanted %+v, want %+v", got, want)
		}
		b.cfg = edit(b.cfg, func(c *config.Config) {
			c.Dataplane.SlowPathRate = 0
			c.Pseudowires[0].Encapsulation = dataplane.EncapsulationUDP
		})
		if err := b.agent.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		want.Endpoints, want.Rate = append(want.Endpoints, dataplane.Endpoint{Address: own, Port: 1701}), 0
		if got, _ := b.slow.last(); !cmp.Equal(want, got, compareAddresses) {
			t.Errorf("after a reload: wanted %+v, want %+v", got, want)
		}
	})
}

// A slow path that fails is a problem that is tried again, and everything else
// goes on.
func TestSlowPathFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, staticConfig())
		b.slow = &fakeSlowPath{fails: []error{errors.New("port 1701: in use")}}
		b.start()
		defer b.stop()
		b.expect("without a slow path", "up", "", "static")
		if got := b.agent.Agent().Problems; !slices.Contains(got, "port 1701: in use") {
			t.Errorf("problems %q do not name it", got)
		}
		_, before := b.slow.last()
		b.wait(retry + time.Second)
		if _, after := b.slow.last(); after <= before {
			t.Error("it is not tried again")
		}
		b.slow.set(func(s *fakeSlowPath) { s.fails = nil })
		b.wait(retry + time.Second)
		if got := b.agent.Agent().Problems; slices.Contains(got, "port 1701: in use") {
			t.Errorf("problems %q still name it", got)
		}
	})
}

func TestSlowPathCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, staticConfig())
		b.slow = &fakeSlowPath{counters: slowpath.Counters{Received: 10, Delivered: 1, Foreign: 2, Malformed: 3, Failed: 4, RateLimited: 5}}
		b.start()
		defer b.stop()
		all, err := b.agent.Counters()
		if err != nil {
			t.Fatal(err)
		}
		want := &api.SlowPath{Received: 10, Delivered: 1, Foreign: 2, Malformed: 3, Failed: 4, RateLimited: 5}
		for _, c := range all {
			if c.Pseudowire != "" && c.SlowPath != nil {
				t.Errorf("%s has a slow path of its own: %+v", c.Pseudowire, c.SlowPath)
			}
			if d := cmp.Diff(want, c.SlowPath); c.Pseudowire == "" && d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
		if !slices.ContainsFunc(all, func(c api.Counters) bool { return c.SlowPath != nil }) {
			t.Errorf("the counters are not shown: %+v", all)
		}
	})
}

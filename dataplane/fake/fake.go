// Package fake is a data plane in memory, for tests of what drives one. It
// behaves as the kernel's maps do and fails when it is told to.
package fake

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"longwire/dataplane"
)

// Plane implements every interface of package dataplane. It is safe for
// concurrent use; its zero value is not usable, New makes one.
type Plane struct {
	mu         sync.Mutex
	now        func() time.Time
	faults     []Fault
	calls      []Call
	capacity   int // entries of each map
	state      dataplane.State
	identities map[string]dataplane.Identity
	attached   map[int]attachment
	leases     map[dataplane.Flow]lease
	counters   map[string]dataplane.Counters
	admission  dataplane.Admission
}

var (
	_ dataplane.Target        = (*Plane)(nil)
	_ dataplane.IdentityStore = (*Plane)(nil)
	_ dataplane.Attacher      = (*Plane)(nil)
	_ dataplane.NextHops      = (*Plane)(nil)
	_ dataplane.CounterReader = (*Plane)(nil)
	_ dataplane.Admitter      = (*Plane)(nil)
)

// New returns an empty Plane with room for everything.
func New() *Plane {
	return &Plane{
		now:        time.Now,
		capacity:   int(^uint(0) >> 1),
		state:      cloneState(dataplane.State{}),
		identities: map[string]dataplane.Identity{},
		attached:   map[int]attachment{},
		leases:     map[dataplane.Flow]lease{},
		counters:   map[string]dataplane.Counters{},
	}
}

// SetClock makes leases run out by another clock than the time of day.
func (p *Plane) SetClock(now func() time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
}

// SetCapacity limits the receive sessions to n, and likewise the circuits that
// transmit. Entries beyond it stay, as those of a kernel map would; adding one
// fails with an error that wraps dataplane.ErrCapacity.
func (p *Plane) SetCapacity(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.capacity = n
}

// Fail adds a fault. Faults are asked in the order of their coming; the first
// that returns an error decides.
func (p *Plane) Fail(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fault)
}

// Heal removes every fault.
func (p *Plane) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Calls returns every call since the start or the last Reset, in order.
func (p *Plane) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Writes returns, in words, the calls that changed something or tried to: all
// but reads.
func (p *Plane) Writes() []string {
	var words []string
	for _, c := range p.Calls() {
		if c.Op != OpRead && c.Op != OpCounters {
			words = append(words, c.String())
		}
	}
	return words
}

// Reset forgets the calls. What they changed stays.
func (p *Plane) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// do records a call and makes its change unless a fault or the change itself
// refuses. The caller holds the lock.
func (p *Plane) do(c Call, change func() error) error {
	err := p.fault(c)
	if err == nil && change != nil {
		err = change()
	}
	c.Err = err
	p.calls = append(p.calls, c)
	return err
}

func (p *Plane) fault(c Call) error {
	for _, fault := range p.faults {
		if err := fault(c); err != nil {
			return err
		}
	}
	return nil
}

// room says whether a map with n entries takes one more.
func (p *Plane) room(n int) error {
	if n >= p.capacity {
		return fmt.Errorf("fake map of %d entries: %w", p.capacity, dataplane.ErrCapacity)
	}
	return nil
}

func cloneState(s dataplane.State) dataplane.State {
	clone := dataplane.State{
		Receive:  map[dataplane.SessionID]dataplane.Receive{},
		Transmit: map[dataplane.Circuit]dataplane.Transmit{},
	}
	maps.Copy(clone.Receive, s.Receive)
	maps.Copy(clone.Transmit, s.Transmit)
	return clone
}

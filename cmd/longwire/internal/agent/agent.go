// Package agent joins configuration, routes, links and data plane in one
// level-triggered loop: whatever happens, it makes the plan again and lets the
// kernel differ from it nowhere.
package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/cmd/longwire/internal/plan"
	"longwire/dataplane"
	"longwire/dataplane/link"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

// Plane is the data plane.
type Plane interface {
	dataplane.Target
	dataplane.IdentityStore
	dataplane.Attacher
	dataplane.Admitter
	dataplane.CounterReader
}

// Links follows the network interfaces.
type Links interface {
	Changes() <-chan struct{}
	Snapshot() link.Snapshot
}

// Resolver keeps next hops resolved.
type Resolver interface {
	Want([]dataplane.Flow)
	Ways() map[dataplane.Flow]dataplane.NextHop
	Changes() <-chan struct{} // of Ways
}

// Speaker speaks BGP.
type Speaker interface {
	Run(context.Context) error
	Events() <-chan speaker.Event
	Announce([]evpn.Advertisement)
	Reconfigure(speaker.Config) error
	Neighbors() []speaker.NeighborStatus
}

// Deps are what an Agent works with.
type Deps struct {
	Plane      Plane
	Links      Links
	Resolver   Resolver
	NewSpeaker func(speaker.Config) Speaker
	// SetPromiscuous is link.SetPromiscuous.
	SetPromiscuous func(ifindex int, on bool) error
	XDP            dataplane.XDP
	SlowPath       SlowPath // nil = none
	// Load reads the configuration file for a reload.
	Load func() (*config.Config, error)
	// Ready is called once, when the first pass is done.
	Ready   func()
	Log     *slog.Logger
	Version string
	File    string // the configuration file, to be shown
	PID     int
	// SelfTest is the outcome of the self-test, to be shown.
	SelfTest []api.Check
}

// The rhythm of the loop.
const (
	fullPass     = 60 * time.Second      // a pass without any event
	minPause     = 20 * time.Millisecond // between passes, so that a flood of events is one
	retry        = 5 * time.Second       // after a failure
	receiveGrace = 3 * time.Second       // how long a session outlives its use
	drainLimit   = 4096                  // events taken before anything else is looked at
)

// Agent is the owner of everything that the plan needs. Its fields belong to
// the goroutine of Run unless they say otherwise.
type Agent struct {
	deps       Deps
	cfg        *config.Config
	reconciler *dataplane.Reconciler
	table      *evpn.Table
	started    time.Time

	speaker  atomic.Pointer[running] // read by Neighbors
	failed   chan error              // a speaker that cannot go on
	requests chan request

	clocks    map[string]plan.Clock
	statuses  []plan.Status
	rotations map[string]rotation // by pseudowire
	// cookieHold is cookieHold, unless a test is in a hurry.
	cookieHold time.Duration
	xdp        map[int]bool // what NativeXDP says, by ifindex
	announced  []evpn.Advertisement
	desired    dataplane.State      // of the last pass that applied everything
	admission  *dataplane.Admission // in force; nil = not known
	circuits   circuits
	// slowProblems are those of the slow path in the last pass.
	slowProblems []string
	known        map[string]bool         // pseudowires that may have an identity
	awaited      map[netip.Addr]struct{} // peers whose End-of-RIB is still to come
	returning    returning               // peers whose stale routes may still come again
	noEngine     string                  // why there is no BGP now; empty while there is
	holdUntil    time.Time               // when waiting for them ends; zero = not waiting
	repairs      uint64
	refusals     *refusals

	dirty    bool      // something changed since the last pass
	earliest time.Time // when the next pass may be
	next     time.Time // when the next pass must be
	view     atomic.Pointer[view]
}

// request is work for the owner goroutine.
type request struct {
	do   func() error
	done chan error
}

// New returns an agent with a configuration. stateDir is where it remembers
// which interfaces it changed.
func New(cfg *config.Config, stateDir string, deps Deps) *Agent {
	a := &Agent{
		deps: deps, cfg: cfg,
		reconciler: dataplane.NewReconciler(deps.Plane, receiveGrace),
		table:      evpn.NewTable(),
		started:    time.Now(),
		failed:     make(chan error, 1),
		requests:   make(chan request),
		circuits:   newCircuits(stateDir, deps.SetPromiscuous),
		known:      map[string]bool{},
		returning:  returning{},
		refusals:   newRefusals(),
		cookieHold: cookieHold,
	}
	a.view.Store(&view{})
	return a
}

// Run works until ctx ends, and returns an error only if BGP cannot go on. What
// is forwarded stays: neither a restart nor an upgrade loses a packet.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.circuits.load()
	a.hold()
	start := a.prepareSpeaker(a.cfg)
	a.pass(time.Now())
	start(ctx)
	defer a.stopSpeaker()
	a.deps.Ready()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(a.due()))
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.failed:
			return err
		case event := <-a.events():
			// Our own end stops the speaker too, which is no loss.
			if ctx.Err() == nil {
				a.drain(event)
			}
		case <-a.deps.Links.Changes():
			a.dirty = true
		case <-a.deps.Resolver.Changes():
			a.dirty = true
		case r := <-a.requests:
			r.done <- r.do()
		case <-timer.C:
			a.pass(time.Now())
		}
	}
}

// due is when the next pass is to be.
func (a *Agent) due() time.Time {
	if a.dirty && a.earliest.Before(a.next) {
		return a.earliest
	}
	return a.next
}

// ask lets the owner goroutine do something and waits for it.
func (a *Agent) ask(ctx context.Context, do func() error) error {
	r := request{do: do, done: make(chan error, 1)}
	select {
	case a.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

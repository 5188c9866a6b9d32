// Package speaker speaks BGP EVPN for the agent: it runs a GoBGP worker process
// (or uses an operator's gobgpd), drives it through gRPC, and reads the routes
// that it receives from its BMP stream (RFC 7854).
//
// The worker may die at any time, killed by bytes that a peer sent. That is an
// event and not an error: the routes become stale, another worker starts, and
// everything that we announce is announced again.
package speaker

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"longwire/evpn"
)

// eventBacklog is how many events wait for a slow reader before the BMP stream
// has to wait, and with it GoBGP's memory grows.
const eventBacklog = 1024

const (
	// retryDelay is before a request that GoBGP refused is repeated.
	retryDelay = 2 * time.Second
	// reachDelay is between attempts to reach an operator's gobgpd. One that was
	// restarted has to have our routes before it tells its neighbours that it
	// has sent everything, and they forget the others.
	reachDelay = 50 * time.Millisecond
)

// Speaker is the BGP side of the agent. Its methods are safe for concurrent
// use.
type Speaker struct {
	log    *slog.Logger
	events chan Event
	wake   chan struct{} // the desired state has changed

	mu      sync.Mutex
	config  Config
	ads     []evpn.Advertisement
	engine  *engine    // the live one, or nil
	adopted []Neighbor // of the operator's gobgpd, when it was last there
	history map[netip.Addr]*history
}

// New returns a speaker that Run brings to life. The configuration is checked
// by Run.
func New(c Config, log *slog.Logger) *Speaker {
	return &Speaker{
		log:     log,
		events:  make(chan Event, eventBacklog),
		wake:    make(chan struct{}, 1),
		config:  c,
		history: map[netip.Addr]*history{},
	}
}

// Events returns the channel of all events. It must be read while Run runs, and
// is never closed.
func (s *Speaker) Events() <-chan Event { return s.events }

// Announce makes ads the full set of routes that we announce. It never blocks,
// the latest call wins, and a route that stays the same is not touched. Called
// before Run, the routes are there before the first session: peers then keep
// what they have of us over a restart. An advertisement that a receiver would
// have to refuse is logged and left out.
func (s *Speaker) Announce(ads []evpn.Advertisement) {
	s.mu.Lock()
	s.ads = append([]evpn.Advertisement(nil), ads...)
	s.mu.Unlock()
	s.kick()
}

// Reconfigure applies the neighbours of c in place: a neighbour that stays the
// same keeps its session. It fails and changes nothing when c is invalid or
// needs another engine (router id, AS number, listening, engine): that takes a
// new Speaker.
func (s *Speaker) Reconfigure(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.config.sameEngine(c) {
		return errors.New("the router id, the AS number, the listener and the BGP engine cannot change without a restart")
	}
	s.config = c
	s.kick()
	return nil
}

// Run keeps an engine alive until ctx ends, and then returns nil after the
// worker has ended. A failure before the first worker was ready is returned,
// because it lies in the configuration or the system; later failures are
// logged and tried again. Run occupies one operating system thread: the worker
// lives no longer than that, and lives in its network namespace.
func (s *Speaker) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.mu.Lock()
	c := s.config
	s.mu.Unlock()
	if err := c.Validate(); err != nil {
		return err
	}
	var deaths damper
	var last string // error
	for started := false; ; {
		up, err := s.live(ctx)
		started = started || up
		switch {
		case ctx.Err() != nil:
			return nil
		case !started && c.Gobgpd == "":
			return err
		}
		news := up || c.Gobgpd != "" && err.Error() != last
		last = err.Error()
		if news {
			s.emit(ctx, Event{Kind: EngineDown, Reason: last})
		}
		delay := reachDelay
		switch {
		case c.Gobgpd == "":
			delay = s.mourn(&deaths, err)
		case news:
			s.log.Warn("gobgpd is not usable; trying again", "gobgpd", c.Gobgpd, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
	}
}

// mourn logs the death of a worker and returns how long to wait.
func (s *Speaker) mourn(deaths *damper, err error) time.Duration {
	delay, damped := deaths.died(time.Now())
	if damped {
		s.log.Error("the BGP worker keeps dying: a neighbour may be sending what kills it; the next start is delayed",
			"deaths", dampingDeaths, "within", dampingWindow, "retry", delay, "error", err)
	} else {
		s.log.Warn("the BGP worker died, forwarding goes on", "error", err, "retry", delay)
	}
	return delay
}

// live runs one engine from its start to its end. It reports whether the engine
// was ever ready, and why it ended.
func (s *Speaker) live(ctx context.Context) (up bool, err error) {
	e, err := s.start(ctx)
	if err != nil {
		return false, err
	}
	defer e.stop()
	if err := s.syncPaths(ctx, e); err != nil {
		return false, err
	}
	s.setEngine(e)
	defer s.setEngine(nil)
	s.emit(ctx, s.engineUp(e))
	return true, s.serve(ctx, e)
}

// engineUp is the event of an engine that is ready.
func (s *Speaker) engineUp(e *engine) Event {
	ev := Event{Kind: EngineUp}
	for _, n := range e.adopted {
		ev.Peers = append(ev.Peers, n.Address)
	}
	return ev
}

func (s *Speaker) setEngine(e *engine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine = e
	if e != nil {
		s.adopted = e.adopted
	}
	for _, h := range s.history {
		h.since, h.up = time.Now(), false
	}
}

// emit delivers events in their order; it gives up only when ctx ends.
func (s *Speaker) emit(ctx context.Context, events ...Event) {
	for _, ev := range events {
		select {
		case s.events <- ev:
		case <-ctx.Done():
			return
		}
	}
}

// kick wakes the reconciliation.
func (s *Speaker) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// desired returns the wanted advertisements and configuration.
func (s *Speaker) desired() ([]evpn.Advertisement, Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ads, s.config
}

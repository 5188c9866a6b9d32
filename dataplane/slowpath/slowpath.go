// Package slowpath delivers the outer packets that the eBPF programs cannot read
// as they arrive: those that came as IP fragments, with IPv4 options or with IPv6
// extension headers. The host's stack puts them together, sockets of ours take
// them from it, and they are sent into the helper pair as plain packets, where
// the same program decapsulates them that decapsulates all others. Cookies,
// sources and sessions are checked there and nowhere else.
//
// The sockets also keep the stack from answering tunnel packets with ICMP
// unreachable, and let it learn the MTU of the path from the ICMP errors about
// packets that the programs have sent (RFC 1191, RFC 8201).
package slowpath

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"longwire/dataplane"
)

// Filter is a socket filter that lets packets of our sessions through and
// refuses all others.
type Filter interface {
	// FD is the loaded program.
	FD() int
	// Refused is how many packets it has refused.
	Refused() (uint64, error)
	Close() error
}

// Options are what a Slowpath needs.
type Options struct {
	// Helper is the interface out of which packets are sent: what leaves it
	// arrives at the program that decapsulates them.
	Helper string
	// Filter makes the filter of the socket of an endpoint. Without it every
	// packet of an endpoint is taken, and tried.
	Filter func(dataplane.Endpoint) (Filter, error)
	Log    *slog.Logger
}

// Wanted is what a Slowpath should do.
type Wanted struct {
	Endpoints []dataplane.Endpoint
	// Underlays are the interfaces, by ifindex, by which packets may come in.
	Underlays []int
	// Rate is how many packets in a second are taken at the most; that many may
	// come at once. 0 takes none and opens nothing.
	Rate int
}

// Counters are totals in packets since New.
type Counters struct {
	Received  uint64 // taken from the sockets; what follows but RateLimited is of these
	Delivered uint64 // given to decapsulation, which may drop and count them
	Foreign   uint64 // from an interface that is no underlay, or to another address
	Malformed uint64 // no packets at all
	Failed    uint64 // could not be sent into the helper pair
	// RateLimited were left to the kernel to drop, because too many came. The
	// kernel counts UDP packets with a wrong checksum among them.
	RateLimited uint64
}

// Slowpath is the sockets of one network namespace. Its methods may be called
// from any goroutine.
type Slowpath struct {
	options   Options
	bucket    bucket
	underlays atomic.Pointer[map[int]bool]

	received, delivered, foreign, malformed, failed atomic.Uint64

	mu      sync.Mutex // guards what is below
	inject  *injector  // nil until there is an endpoint
	sockets map[dataplane.Endpoint]*socket
	lost    uint64 // packets that closed sockets have lost
}

// New returns a slow path without endpoints; it opens nothing yet.
func New(o Options) *Slowpath {
	s := &Slowpath{options: o, sockets: map[dataplane.Endpoint]*socket{}}
	s.underlays.Store(&map[int]bool{})
	return s
}

// Want makes it so. It returns what could not be opened, in words for people;
// the next call tries again. Sockets belong to the network namespace that the
// calling thread is in.
func (s *Slowpath) Want(w Wanted) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Rate <= 0 {
		w.Endpoints = nil
	}
	s.bucket.setRate(w.Rate)
	underlays := make(map[int]bool, len(w.Underlays))
	for _, index := range w.Underlays {
		underlays[index] = true
	}
	s.underlays.Store(&underlays)
	for e, k := range maps.Clone(s.sockets) {
		if !slices.Contains(w.Endpoints, e) {
			s.drop(e, k)
		}
	}
	if len(w.Endpoints) == 0 {
		return nil
	}
	if err := s.openInjector(); err != nil {
		return []error{fmt.Errorf("the slow path is off, so fragmented tunnel packets are lost: %w", err)}
	}
	var errs []error
	for _, e := range w.Endpoints {
		if err := s.open(e); err != nil {
			errs = append(errs, fmt.Errorf("slow path of %s: %w", name(e), err))
		}
	}
	return errs
}

func (s *Slowpath) openInjector() error {
	if s.inject != nil {
		return nil
	}
	inject, err := openInjector(s.options.Helper)
	if err != nil {
		return explain(err)
	}
	s.inject = inject
	return nil
}

// open opens the socket of an endpoint unless there is one.
func (s *Slowpath) open(e dataplane.Endpoint) error {
	if s.sockets[e] != nil {
		return nil
	}
	var filter Filter
	if s.options.Filter != nil {
		var err error
		if filter, err = s.options.Filter(e); err != nil {
			return fmt.Errorf("make its filter: %w", err)
		}
	}
	k, err := openSocket(e, filter)
	if err != nil {
		return explain(err)
	}
	s.sockets[e] = k
	go s.serve(k, s.inject)
	return nil
}

// drop closes a socket and keeps what it has counted.
func (s *Slowpath) drop(e dataplane.Endpoint, k *socket) {
	s.lost += k.close()
	delete(s.sockets, e)
}

// serve gives what comes to a socket to decapsulation until it is closed. It
// does not read while the bucket is empty: the kernel then drops what the socket
// has no room for, and that costs us nothing.
func (s *Slowpath) serve(k *socket, inject *injector) {
	defer close(k.done)
	var last error
	for {
		p, err := k.receive()
		if errors.Is(err, fs.ErrClosed) || !s.bucket.wait(k.stop) {
			return
		}
		switch {
		case errors.Is(err, errMalformed):
			s.received.Add(1)
			s.malformed.Add(1)
		case err != nil && !errors.Is(err, last):
			s.options.Log.Warn("slow path cannot receive", "endpoint", name(k.endpoint), "error", err)
			last = err
		case err == nil:
			s.received.Add(1)
			s.deliver(p, k.endpoint, inject)
		}
	}
}

func (s *Slowpath) deliver(p received, e dataplane.Endpoint, inject *injector) {
	if !(*s.underlays.Load())[p.ifindex] || p.destination != e.Address {
		s.foreign.Add(1)
		return
	}
	if err := inject.send(p.frame); err != nil {
		s.failed.Add(1)
		s.options.Log.Debug("slow path cannot send", "helper", s.options.Helper, "error", err)
		return
	}
	s.delivered.Add(1)
}

// Counters returns the totals.
func (s *Slowpath) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Counters{
		Delivered: s.delivered.Load(), Foreign: s.foreign.Load(), Malformed: s.malformed.Load(), Failed: s.failed.Load(),
		Received: s.received.Load(), RateLimited: s.lost,
	}
	for _, k := range s.sockets {
		c.RateLimited += k.countLost()
	}
	return c
}

// Close closes everything and returns when nothing is in use any more.
func (s *Slowpath) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e, k := range maps.Clone(s.sockets) {
		s.drop(e, k)
	}
	if s.inject == nil {
		return nil
	}
	err := s.inject.close()
	s.inject = nil
	return err
}

// name is an endpoint for people.
func name(e dataplane.Endpoint) string {
	if e.Port == 0 {
		return fmt.Sprintf("%s protocol %d", e.Address, protocolL2TP)
	}
	return fmt.Sprintf("%s port %d", e.Address, e.Port)
}

// explain adds what to do to the errors that a user can do something about.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (CAP_NET_RAW is needed)", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (CAP_NET_BIND_SERVICE is needed)", err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another program has the port, such as the kernel's own L2TP", err)
	}
	return err
}

package link

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// resyncInterval is how often everything is read although nothing was notified.
const resyncInterval = 30 * time.Second

// minPause is the least time between two readings of the links, so that a
// flapping link costs little.
const minPause = 10 * time.Millisecond

// Snapshot is the links at one moment.
type Snapshot struct {
	Links map[string]Link // by name; not to be modified
}

// Watcher follows the links of one network namespace.
type Watcher struct {
	log      *slog.Logger
	events   *socket
	query    *socket
	dirty    chan struct{}
	changes  chan struct{}
	snapshot atomic.Pointer[Snapshot]
}

// Watch begins to follow the links of the network namespace that the calling
// thread is in, until ctx ends. The first snapshot is complete when it returns.
func Watch(ctx context.Context, log *slog.Logger) (*Watcher, error) {
	events, err := openSocket(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, err
	}
	query, err := openSocket()
	if err != nil {
		events.close()
		return nil, err
	}
	w := &Watcher{
		log: log, events: events, query: query,
		dirty: make(chan struct{}, 1), changes: make(chan struct{}, 1),
	}
	w.snapshot.Store(&Snapshot{})
	if _, err := w.read(); err != nil {
		events.close()
		query.close()
		return nil, err
	}
	context.AfterFunc(ctx, events.close)
	go w.listen()
	go w.run(ctx)
	return w, nil
}

// Changes receives a value after the snapshot has changed; changes that come
// before the value is taken are one. It is never closed.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Snapshot returns the links as last read.
func (w *Watcher) Snapshot() Snapshot { return *w.snapshot.Load() }

// listen turns notifications into the one fact that something changed. What
// they say is not used: the list that is then read is always right.
func (w *Watcher) listen() {
	for {
		_, err := w.events.receive()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		signal(w.dirty)
		if err != nil && !errors.Is(err, errOverrun) {
			w.log.Error("follow the links: changes are now seen late", "error", err, "interval", resyncInterval)
			return
		}
	}
}

// run reads the links after notifications and now and then without.
func (w *Watcher) run(ctx context.Context) {
	defer w.query.close()
	resync := time.NewTicker(resyncInterval)
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.dirty:
		case <-resync.C:
		}
		begin := time.Now()
		changed, err := w.read()
		if err != nil {
			w.log.Warn("follow the links", "error", err)
		}
		if changed {
			signal(w.changes)
		}
		// On a host with thousands of links reading is not free: it gets a
		// tenth of the time at most.
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(minPause, 9*time.Since(begin))):
		}
	}
}

// read takes a new snapshot and says whether it differs from the last.
func (w *Watcher) read() (changed bool, err error) {
	byIndex, err := listLinks(w.query)
	if err != nil {
		return false, err
	}
	addresses, err := listAddresses(w.query)
	if err != nil {
		return false, err
	}
	links := make(map[string]Link, len(byIndex))
	for index, l := range byIndex {
		l.Addresses = addresses[index]
		links[l.Name] = l
	}
	old := w.snapshot.Load().Links
	if sameLinks(old, links) {
		return false, nil
	}
	w.snapshot.Store(&Snapshot{Links: links})
	return true, nil
}

func sameLinks(a, b map[string]Link) bool {
	if len(a) != len(b) {
		return false
	}
	for name, l := range a {
		if other, ok := b[name]; !ok || !l.equal(other) {
			return false
		}
	}
	return true
}

// signal fills a channel of capacity 1, if it is not full already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

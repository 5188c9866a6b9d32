package main

import (
	"sync"
	"time"

	"longwire/dataplane"
	"longwire/test/lab"
)

// lease is a next hop that is kept leased, as the agent keeps it, while it is
// on.
type lease struct {
	cache dataplane.NextHops
	flow  dataplane.Flow
	hop   dataplane.NextHop
	mu    sync.Mutex
	on    bool
}

// keepLeased makes a lease, at first off, that lasts until the end.
func (w *world) keepLeased(cache dataplane.NextHops, f dataplane.Flow, nh dataplane.NextHop) *lease {
	l := &lease{cache: cache, flow: f, hop: nh}
	stop, done := make(chan struct{}), make(chan struct{})
	w.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(dataplane.LeaseDuration / 3)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if err := l.renew(); err != nil {
				w.Errorf("renew a lease: %v", err)
			}
		}
	}()
	return l
}

func (l *lease) renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.on {
		return nil
	}
	return l.cache.Lease(l.flow, l.hop)
}

// set switches the lease, at once.
func (l *lease) set(on bool) error {
	l.mu.Lock()
	l.on = on
	l.mu.Unlock()
	if on {
		return l.renew()
	}
	return l.cache.Revoke(l.flow)
}

// leaseBoth leases the next hops of both ends of a site, each the other's uplink.
func (w *world) leaseBoth(s *site, c carrier) error {
	s.carrier = &c
	for end, p := range s.planes {
		nh := dataplane.NextHop{IfIndex: s.pe[end].Index(lab.Uplink), MTU: lab.UnderlayMTU}
		copy(nh.Source[:], s.pe[end].MAC(lab.Uplink))
		copy(nh.Destination[:], s.pe[1-end].MAC(lab.Uplink))
		s.leases = append(s.leases, w.keepLeased(p, c.session(0, end).flow(), nh))
	}
	return s.lease(true)
}

// lease switches the leases of both ends of a site.
func (s *site) lease(on bool) error {
	for _, l := range s.leases {
		if err := l.set(on); err != nil {
			return err
		}
	}
	return nil
}

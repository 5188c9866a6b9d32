package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// resolverGroups is all that can change the way to a far end.
var resolverGroups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_NEXTHOP,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
	unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
}

// event is one notification. Its apply takes back the leases that it puts in
// doubt, before anything else is read.
type event interface {
	apply(*Resolver)
}

type (
	linkEvent struct {
		link Link
		gone bool
	}
	addressEvent   struct{ addr netip.Addr }
	neighbourEvent struct {
		key neighbourKey
		now reach
	}
	routeEvent struct{ prefix netip.Prefix }
	// policyEvent is a rule or a next hop object: any route may differ.
	policyEvent struct{}
	// overrunEvent stands for notifications that were lost.
	overrunEvent struct{}
)

// decode returns the event of a notification, or nil when it concerns no way.
func decode(m message) event {
	switch m.kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if l, ok := parseLink(m); ok {
			return linkEvent{l, m.kind == unix.RTM_DELLINK}
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		// One that cannot be used any more counts as well.
		if _, addr, _ := parseAddress(m); addr.IsValid() {
			return addressEvent{addr}
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if key, now, ok := parseNeighbour(m); ok {
			return neighbourEvent{key, now}
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if prefix, ok := parsePrefix(m); ok {
			return routeEvent{prefix}
		}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return policyEvent{}
	}
	return nil
}

// listen sends the notifications of a socket to events until ctx ends.
func listen(ctx context.Context, s *socket, events chan<- event) error {
	for {
		messages, err := s.receive()
		var batch []event
		switch {
		case errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, errOverrun):
			batch = append(batch, overrunEvent{})
		case err != nil:
			return fmt.Errorf("follow the routes: %w", err)
		}
		for _, m := range messages {
			if e := decode(m); e != nil {
				batch = append(batch, e)
			}
		}
		for _, e := range batch {
			select {
			case events <- e:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func (e linkEvent) apply(r *Resolver) {
	old, known := r.links[e.link.Index]
	if e.gone {
		delete(r.links, e.link.Index)
	} else {
		r.links[e.link.Index] = e.link
	}
	if known && !e.gone && old.equal(e.link) {
		return
	}
	for key, n := range r.neighbours {
		if key.device == e.link.Index {
			r.doubtNeighbour(n, true)
		}
	}
	// A link that comes or goes may change routes over other links as well, of
	// which the kernel does not always tell. Those still work, so they are
	// looked at in the next round.
	if !known || e.gone || old.Up() != e.link.Up() {
		r.review = true
	}
}

func (e addressEvent) apply(r *Resolver) {
	for _, f := range r.flows {
		if f.Local.Unmap() == e.addr || f.Remote.Unmap() == e.addr {
			r.doubt(f, true)
		}
	}
}

func (e neighbourEvent) apply(r *Resolver) {
	n, ok := r.neighbours[e.key]
	if !ok {
		return
	}
	if n.usable() == e.now.usable() && n.mac == e.now.mac {
		// It only ages, which the next round sees to, or was confirmed.
		n.reach = e.now
		return
	}
	r.doubtNeighbour(n, false)
}

func (e routeEvent) apply(r *Resolver) {
	for remote, flows := range r.remotes {
		if e.prefix.Contains(remote) {
			for f := range flows {
				r.doubt(f, true)
			}
		}
	}
}

func (policyEvent) apply(r *Resolver) {
	for _, f := range r.flows {
		r.doubt(f, true)
	}
}

func (overrunEvent) apply(r *Resolver) {
	r.log.Warn("follow the routes: notifications were lost, all is read anew")
	policyEvent{}.apply(r)
	r.refresh()
}

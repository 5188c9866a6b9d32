package link

import (
	"time"

	"longwire/dataplane"
)

// nudgeInterval is the least time between two requests to the kernel to use one
// neighbour; its own retransmissions have the same interval.
const nudgeInterval = time.Second

// flow is one wanted flow.
type flow struct {
	dataplane.Flow
	via     *neighbour // nil when there is no way
	mtu     int        // the route's, 0 = the link's
	turn    int        // when the route is read again, one of turns
	reroute bool       // the route must be read before the flow is settled
	settled bool       // next is right, as far as is known
	next    dataplane.NextHop
	// held says that the forwarding may have a lease. It begins true, as an
	// agent that died a moment ago may have left one.
	held   bool
	failed bool // the last lease failed, and that was logged
}

// neighbour is a next hop that flows share.
type neighbour struct {
	neighbourKey
	reach
	unread bool // reach must be read before it is used
	flows  map[*flow]bool
	nudged time.Time
}

func (r *Resolver) add(want dataplane.Flow) {
	f := &flow{Flow: want, reroute: true, held: true, turn: r.added % turns}
	r.added++
	r.flows[want] = f
	remote := want.Remote.Unmap()
	if r.remotes[remote] == nil {
		r.remotes[remote] = map[*flow]bool{}
	}
	r.remotes[remote][f] = true
	r.dirty[f] = true
}

func (r *Resolver) remove(f *flow) {
	r.revoke(f)
	r.follow(f, nil)
	r.know(f, dataplane.NextHop{})
	remote := f.Remote.Unmap()
	delete(r.remotes[remote], f)
	if len(r.remotes[remote]) == 0 {
		delete(r.remotes, remote)
	}
	delete(r.dirty, f)
	delete(r.flows, f.Flow)
}

// doubt takes a flow's lease back and has the flow settled anew.
func (r *Resolver) doubt(f *flow, reroute bool) {
	r.revoke(f)
	f.reroute = f.reroute || reroute
	r.dirty[f] = true
}

func (r *Resolver) doubtNeighbour(n *neighbour, reroute bool) {
	for f := range n.flows {
		r.doubt(f, reroute)
	}
	// One that was in use is asked for at once; one that has been silent waits
	// for its turn.
	if n.usable() && !n.unread {
		n.nudged = time.Time{}
	}
	n.unread = true
}

// settle finds a flow's next hop and leases it, or leaves the flow to the
// kernel's lookup.
func (r *Resolver) settle(f *flow) {
	delete(r.dirty, f)
	if f.reroute {
		f.reroute = false
		r.route(f)
	}
	next, ok := r.nextHop(f)
	if !ok {
		r.revoke(f)
		return
	}
	if !f.settled || f.next != next {
		r.log.Debug("next hop", "local", f.Local, "remote", f.Remote, "interface", next.IfIndex,
			"neighbour", f.via.addr, "mac", f.via.mac, "mtu", next.MTU)
	}
	f.next, f.settled = next, true
	r.lease(f)
}

// route looks up the flow's way.
func (r *Resolver) route(f *flow) {
	way, err := findWay(r.query, f.Flow)
	if err != nil {
		r.log.Debug("no way for a lease", "error", err)
		r.follow(f, nil)
		r.know(f, dataplane.NextHop{})
		return
	}
	f.mtu = way.mtu
	r.know(f, dataplane.NextHop{IfIndex: way.hop.device, MTU: f.mtuOver(r.links[way.hop.device])})
	if f.via != nil && f.via.neighbourKey == way.hop {
		return
	}
	n := r.neighbours[way.hop]
	if n == nil {
		n = &neighbour{neighbourKey: way.hop, unread: true, flows: map[*flow]bool{}}
		r.neighbours[way.hop] = n
	}
	r.follow(f, n)
}

// mtuOver is the flow's MTU over a link.
func (f *flow) mtuOver(out Link) int {
	if f.mtu > 0 {
		return min(out.MTU, f.mtu)
	}
	return out.MTU
}

// reread looks whether the kernel has another way by now.
func (r *Resolver) reread(f *flow) {
	way, err := findWay(r.query, f.Flow)
	known := f.via != nil
	if known != (err == nil) || known && (way.hop != f.via.neighbourKey || way.mtu != f.mtu) {
		r.doubt(f, true)
	}
}

// know publishes a flow's way; one without an interface is none.
func (r *Resolver) know(f *flow, way dataplane.NextHop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ways[f.Flow] == way {
		return
	}
	r.ways[f.Flow] = way
	if way.IfIndex == 0 {
		delete(r.ways, f.Flow)
	}
	signal(r.moved)
}

// follow moves a flow to another neighbour, or none.
func (r *Resolver) follow(f *flow, n *neighbour) {
	if old := f.via; old != nil {
		delete(old.flows, f)
		if len(old.flows) == 0 {
			delete(r.neighbours, old.neighbourKey)
		}
	}
	f.via = n
	if n != nil {
		n.flows[f] = true
	}
}

// nextHop puts together what is known of a flow's neighbour and link.
func (r *Resolver) nextHop(f *flow) (dataplane.NextHop, bool) {
	n := f.via
	if n == nil {
		return dataplane.NextHop{}, false
	}
	out, ok := r.links[n.device]
	if !ok || !out.Up() || !out.Ethernet {
		return dataplane.NextHop{}, false
	}
	if n.unread {
		now, err := findNeighbour(r.query, n.neighbourKey)
		if err != nil {
			r.log.Debug("no neighbour for a lease", "error", err)
		}
		n.reach, n.unread = now, false
		r.nudge(n)
	}
	next := dataplane.NextHop{IfIndex: n.device, Source: out.MAC, Destination: n.mac, MTU: f.mtuOver(out)}
	return next, n.usable()
}

// attend looks after a neighbour that the kernel neglects. It reads the entry
// first: not every change of state is notified, and useNeighbour must not meet
// an entry that has become permanent.
func (r *Resolver) attend(n *neighbour) {
	if n.unread || !n.idle() {
		return
	}
	now, err := findNeighbour(r.query, n.neighbourKey)
	if err != nil {
		r.log.Debug("look after a neighbour", "error", err)
		return
	}
	neighbourEvent{n.neighbourKey, now}.apply(r)
	r.nudge(n)
}

// nudge makes the kernel ask for the MAC address of a neighbour that it neglects.
// Leased traffic goes past the kernel's neighbour table, so nothing else would
// make it notice that a neighbour has a new MAC address or is gone.
func (r *Resolver) nudge(n *neighbour) {
	if n.unread || !n.idle() || time.Since(n.nudged) < nudgeInterval {
		return
	}
	if out := r.links[n.device]; !out.Up() || !out.Ethernet {
		return
	}
	n.nudged = time.Now()
	if err := useNeighbour(r.query, n.neighbourKey, n.reach); err != nil {
		r.log.Debug("use a neighbour", "error", err)
	}
}

// lease gives or renews a settled flow's lease.
func (r *Resolver) lease(f *flow) {
	err := r.cache.Lease(f.Flow, f.next)
	if err != nil {
		if !f.failed {
			r.log.Warn("lease a next hop: the kernel looks it up for each packet", "local", f.Local, "remote", f.Remote, "error", err)
		}
		f.failed = true
		r.forget(f.Flow)
		return
	}
	f.failed, f.held = false, true
	r.mu.Lock()
	r.resolved[f.Flow] = f.next
	r.mu.Unlock()
}

// revoke takes back what lease gave.
func (r *Resolver) revoke(f *flow) {
	f.settled = false
	r.forget(f.Flow)
	if !f.held {
		return
	}
	if err := r.cache.Revoke(f.Flow); err != nil {
		// It runs out by itself, and the next attempt may do.
		r.log.Warn("revoke a next hop", "local", f.Local, "remote", f.Remote, "error", err)
		return
	}
	f.held = false
}

func (r *Resolver) forget(f dataplane.Flow) {
	r.mu.Lock()
	delete(r.resolved, f)
	r.mu.Unlock()
}

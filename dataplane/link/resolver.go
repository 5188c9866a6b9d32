package link

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"longwire/dataplane"
)

// renewInterval is how often leases are renewed; a lease outlives two rounds
// that come late.
const renewInterval = dataplane.LeaseDuration / 3

// turns is how many rounds it takes to read every route again. The kernel does
// not tell when it learns a path MTU, or forgets one.
const turns = 5

// batch is how many flows are resolved, or notifications read, before anything
// else has its turn.
const batch = 256

// Resolver keeps the ways to the wanted far ends leased to the forwarding. A
// lease that a change puts in doubt is taken back first, which sends packets
// through the kernel's own lookup, and given again when the new way is known.
//
// There is no lease where the kernel has no usable neighbour entry, no route, or
// one that is not plain Ethernet.
type Resolver struct {
	cache  dataplane.NextHops
	log    *slog.Logger
	wake   chan struct{}
	moved  chan struct{}
	events *socket
	query  *socket
	err    error // of opening the sockets
	renew  time.Duration
	resync time.Duration

	mu       sync.Mutex
	wanted   map[dataplane.Flow]bool
	resolved map[dataplane.Flow]dataplane.NextHop
	ways     map[dataplane.Flow]dataplane.NextHop

	// The rest belongs to Run.
	links      map[int]Link
	flows      map[dataplane.Flow]*flow
	remotes    map[netip.Addr]map[*flow]bool
	neighbours map[neighbourKey]*neighbour
	dirty      map[*flow]bool
	added      int  // flows so far
	turn       int  // whose routes are read in the next round
	review     bool // look at every route in the next round
	refreshed  time.Time
}

// NewResolver makes a Resolver for the network namespace that the calling
// thread is in.
func NewResolver(cache dataplane.NextHops, log *slog.Logger) *Resolver {
	r := &Resolver{
		cache: cache, log: log, wake: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		renew: renewInterval, resync: resyncInterval,
		resolved:   map[dataplane.Flow]dataplane.NextHop{},
		ways:       map[dataplane.Flow]dataplane.NextHop{},
		flows:      map[dataplane.Flow]*flow{},
		remotes:    map[netip.Addr]map[*flow]bool{},
		neighbours: map[neighbourKey]*neighbour{},
		dirty:      map[*flow]bool{},
	}
	if r.events, r.err = openSocket(resolverGroups...); r.err != nil {
		return r
	}
	if r.query, r.err = openSocket(); r.err != nil {
		r.events.close()
	}
	return r
}

// Want replaces the flows whose next hops are leased. It does not block, and
// may be called before Run and from any goroutine.
func (r *Resolver) Want(flows []dataplane.Flow) {
	wanted := make(map[dataplane.Flow]bool, len(flows))
	for _, f := range flows {
		wanted[f] = true
	}
	r.mu.Lock()
	r.wanted = wanted
	r.mu.Unlock()
	signal(r.wake)
}

// Resolved returns the next hops that are leased.
func (r *Resolver) Resolved() map[dataplane.Flow]dataplane.NextHop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.resolved)
}

// Ways returns by which interface and with which MTU the kernel sends the packets
// of each wanted flow, also of those that are not leased, because the neighbour
// is not known or the interface is no Ethernet. MAC addresses are zero.
func (r *Resolver) Ways() map[dataplane.Flow]dataplane.NextHop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ways)
}

// Changes tells that Ways has changed since it was read. Several changes may be
// one signal.
func (r *Resolver) Changes() <-chan struct{} { return r.moved }

// Run resolves and leases until ctx ends, and then takes back every lease. It
// returns an error when the kernel's notifications cannot be had, and is to be
// called once.
func (r *Resolver) Run(ctx context.Context) error {
	if r.err != nil {
		return r.err
	}
	defer r.query.close()
	ctx, cancel := context.WithCancel(ctx)
	events, listener := make(chan event, batch), make(chan error, 1)
	go func() {
		defer close(listener)
		listener <- listen(ctx, r.events, events)
	}()
	err := r.loop(ctx, events, listener)
	cancel()
	r.events.close()
	for range listener {
	}
	for _, f := range r.flows {
		r.revoke(f)
	}
	return err
}

func (r *Resolver) loop(ctx context.Context, events <-chan event, listener <-chan error) error {
	if err := r.readLinks(); err != nil {
		return err
	}
	r.refreshed = time.Now()
	renew := time.NewTicker(r.renew)
	defer renew.Stop()
	always := make(chan struct{})
	close(always)
	for {
		r.drain(events)
		var work <-chan struct{}
		if len(r.dirty) > 0 {
			work = always
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-listener:
			return err
		case e := <-events:
			e.apply(r)
		case <-r.wake:
			r.adopt()
		case <-renew.C:
			r.round()
		case <-work:
			r.settleSome()
		}
	}
}

// drain applies the notifications that wait: they may doubt what is leased, and
// come before anything else that could renew it.
func (r *Resolver) drain(events <-chan event) {
	for range batch {
		select {
		case e := <-events:
			e.apply(r)
		default:
			return
		}
	}
}

// adopt makes the flows those wanted.
func (r *Resolver) adopt() {
	r.mu.Lock()
	wanted := r.wanted
	r.mu.Unlock()
	for _, f := range r.flows {
		if !wanted[f.Flow] {
			r.remove(f)
		}
	}
	for want := range wanted {
		if r.flows[want] == nil {
			r.add(want)
		}
	}
}

// round renews every lease, and looks again at what may have changed unnoticed.
func (r *Resolver) round() {
	if time.Since(r.refreshed) >= r.resync {
		r.refreshed = time.Now()
		r.review = true
		r.refresh()
	}
	if r.review {
		r.review = false
		for _, f := range r.flows {
			f.reroute = true
			r.dirty[f] = true
		}
	}
	r.turn = (r.turn + 1) % turns
	for _, f := range r.flows {
		if f.turn == r.turn && !r.dirty[f] {
			r.reread(f)
		}
		if f.settled {
			r.lease(f)
		}
	}
	for _, n := range r.neighbours {
		r.attend(n)
	}
}

// refresh forgets what is known of links and neighbours, so that it is read
// again.
func (r *Resolver) refresh() {
	if err := r.readLinks(); err != nil {
		r.log.Warn("resolve next hops", "error", err)
	}
	for _, n := range r.neighbours {
		n.unread = true
		for f := range n.flows {
			r.dirty[f] = true
		}
	}
}

func (r *Resolver) readLinks() error {
	links, err := listLinks(r.query)
	if err != nil {
		return fmt.Errorf("resolve next hops: %w", err)
	}
	r.links = links
	return nil
}

// settleSome resolves a batch of the flows that wait for it, in an order that
// is the same each time.
func (r *Resolver) settleSome() {
	some := make([]*flow, 0, min(batch, len(r.dirty)))
	for f := range r.dirty {
		if len(some) == batch {
			break
		}
		some = append(some, f)
	}
	slices.SortFunc(some, func(a, b *flow) int { return a.Remote.Compare(b.Remote) })
	for _, f := range some {
		r.settle(f)
	}
}

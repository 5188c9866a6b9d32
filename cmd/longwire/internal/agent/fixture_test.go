package agent

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/fake"
	"longwire/dataplane/link"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

var (
	own    = netip.MustParseAddr("192.0.2.1")
	far1   = netip.MustParseAddr("192.0.2.9")
	far2   = netip.MustParseAddr("192.0.2.8")
	peer1  = netip.MustParseAddr("192.0.2.254")
	peer2  = netip.MustParseAddr("192.0.2.253")
	target = evpn.RouteTarget{0, 2, 0xfd, 0xe8, 0, 0, 0, 1}
)

// The circuit of the pseudowire and the underlay in every test.
const (
	circuit  = 3
	underlay = 2
)

// fakeLinks is a set of links that a test changes.
type fakeLinks struct {
	mu      sync.Mutex
	links   map[string]link.Link
	changes chan struct{}
}

func newFakeLinks() *fakeLinks {
	return &fakeLinks{changes: make(chan struct{}, 1), links: map[string]link.Link{
		"lo":   {Index: 1, Name: "lo", MTU: 65536, AdminUp: true, Carrier: true},
		"eth0": {Index: underlay, Name: "eth0", MTU: 1600, AdminUp: true, Carrier: true, Ethernet: true, Addresses: []netip.Addr{own}},
		"eth2": {Index: circuit, Name: "eth2", MTU: 1500, AdminUp: true, Carrier: true, Ethernet: true},
	}}
}

func (l *fakeLinks) Changes() <-chan struct{} { return l.changes }

func (l *fakeLinks) Snapshot() link.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := link.Snapshot{Links: map[string]link.Link{}}
	for name, v := range l.links {
		s.Links[name] = v
	}
	return s
}

// change edits the links and tells the agent.
func (l *fakeLinks) change(edit func(map[string]link.Link)) {
	l.mu.Lock()
	edit(l.links)
	l.mu.Unlock()
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// carrier sets the carrier of the circuit.
func (l *fakeLinks) carrier(on bool) {
	l.change(func(links map[string]link.Link) {
		v := links["eth2"]
		v.Carrier = on
		links["eth2"] = v
	})
}

// fakeResolver notes what is wanted and knows the ways that a test gives it.
type fakeResolver struct {
	mu      sync.Mutex
	flows   []dataplane.Flow
	ways    map[dataplane.Flow]dataplane.NextHop
	changes chan struct{}
}

func newFakeResolver() *fakeResolver { return &fakeResolver{changes: make(chan struct{}, 1)} }

func (r *fakeResolver) Want(flows []dataplane.Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = flows
}

func (r *fakeResolver) wanted() []dataplane.Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flows
}

func (r *fakeResolver) Ways() map[dataplane.Flow]dataplane.NextHop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ways)
}

func (r *fakeResolver) Changes() <-chan struct{} { return r.changes }

// lead sets the way to the far end that route announces and tells the agent.
func (r *fakeResolver) lead(ifindex, mtu int) {
	r.mu.Lock()
	r.ways = map[dataplane.Flow]dataplane.NextHop{{Local: own, Remote: far1}: {IfIndex: ifindex, MTU: mtu}}
	r.mu.Unlock()
	r.changes <- struct{}{}
}

// fakeSpeaker delivers the events of a test and notes what is announced.
type fakeSpeaker struct {
	mu        sync.Mutex
	config    speaker.Config
	ads       [][]evpn.Advertisement // every set announced
	early     int                    // sets announced before Run
	runs      bool
	events    chan speaker.Event
	fail      chan error
	refuse    error // of Reconfigure
	announced func([]evpn.Advertisement)
	state     string // of the BGP session
}

func newFakeSpeaker(c speaker.Config) *fakeSpeaker {
	return &fakeSpeaker{config: c, state: "established", events: make(chan speaker.Event, 10000), fail: make(chan error, 1)}
}

func (s *fakeSpeaker) Run(ctx context.Context) error {
	s.mu.Lock()
	s.runs, s.early = true, len(s.ads)
	s.mu.Unlock()
	select {
	case err := <-s.fail:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *fakeSpeaker) Events() <-chan speaker.Event { return s.events }

func (s *fakeSpeaker) Announce(ads []evpn.Advertisement) {
	s.mu.Lock()
	s.ads = append(s.ads, ads)
	announced := s.announced
	s.mu.Unlock()
	if announced != nil {
		announced(ads)
	}
}

func (s *fakeSpeaker) Reconfigure(c speaker.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse == nil {
		s.config = c
	}
	return s.refuse
}

func (s *fakeSpeaker) Neighbors() []speaker.NeighborStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []speaker.NeighborStatus{{Address: peer1, ASN: 65000, State: s.state, Received: 1}}
}

// set changes how the speaker behaves from now on.
func (s *fakeSpeaker) set(change func(*fakeSpeaker)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// life returns whether the speaker runs, and how many sets were announced before.
func (s *fakeSpeaker) life() (runs bool, early int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs, s.early
}

// neighbors is how many the speaker is configured with.
func (s *fakeSpeaker) neighbors() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.config.Neighbors)
}

// last is the set that is announced now.
func (s *fakeSpeaker) last() []evpn.Advertisement {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ads) == 0 {
		return nil
	}
	return s.ads[len(s.ads)-1]
}

// promiscuous notes the modes of interfaces.
type promiscuous struct {
	mu  sync.Mutex
	on  map[int]bool
	err error
	n   int // calls
}

func (p *promiscuous) set(ifindex int, on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.err == nil {
		p.on[ifindex] = on
	}
	return p.err
}

// state returns the interfaces that are promiscuous and the number of calls.
func (p *promiscuous) state() (on []int, calls int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for index, promiscuous := range p.on {
		if promiscuous {
			on = append(on, index)
		}
	}
	slices.Sort(on)
	return on, p.n
}

// fail makes every further call fail.
func (p *promiscuous) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// bench is an agent with everything around it fake and the time virtual.
type bench struct {
	t        *testing.T
	cfg      *config.Config // what a reload loads
	loadErr  error
	plane    *fake.Plane
	links    *fakeLinks
	resolver *fakeResolver
	speakers []*fakeSpeaker
	promisc  *promiscuous
	slow     *fakeSlowPath // nil = none
	agent    *Agent
	cancel   context.CancelFunc
	done     chan error
	ready    int
	xdp      *fakeXDP
	dir      string
}

func newBench(t *testing.T, cfg *config.Config) *bench {
	t.Helper()
	b := &bench{
		t: t, cfg: cfg, plane: fake.New(), links: newFakeLinks(), resolver: newFakeResolver(),
		promisc: &promiscuous{on: map[int]bool{}}, xdp: &fakeXDP{}, dir: t.TempDir(),
	}
	b.plane.SetClock(time.Now)
	b.plane.SetIdentity("a", dataplane.Identity{Session: 555555, Cookie: cookie(1, 2, 3, 4, 5, 6, 7, 8)})
	return b
}

// start runs an agent on the bench until the first pass is done.
func (b *bench) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan error, 1)
	deps := Deps{
		Plane: b.plane, Links: b.links, Resolver: b.resolver, SetPromiscuous: b.promisc.set,
		NewSpeaker: func(c speaker.Config) Speaker {
			s := newFakeSpeaker(c)
			b.speakers = append(b.speakers, s)
			return s
		},
		XDP:   b.xdp,
		Load:  func() (*config.Config, error) { return b.cfg, b.loadErr },
		Ready: func() { b.ready++ },
		Log:   slog.New(slog.DiscardHandler), Version: "test", File: "pe1.yaml", PID: 42,
	}
	if b.slow != nil {
		deps.SlowPath = b.slow
	}
	b.agent = New(b.cfg, b.dir, deps)
	a, done := b.agent, b.done
	go func() { done <- a.Run(ctx) }()
	synctest.Wait()
}

// stop ends the agent as SIGTERM does; what it programmed stays.
func (b *bench) stop() {
	b.cancel()
	if err := <-b.done; err != nil {
		b.t.Errorf("Run: %v", err)
	}
}

// wait lets virtual time pass and everything come to rest.
func (b *bench) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send delivers events and waits until the agent has acted on them.
func (b *bench) send(events ...speaker.Event) {
	for _, e := range events {
		b.speaker().events <- e
	}
	b.wait(2 * minPause)
}

func (b *bench) speaker() *fakeSpeaker { return b.speakers[len(b.speakers)-1] }

// status is the one pseudowire.
func (b *bench) status() api.Pseudowire {
	b.t.Helper()
	all := b.agent.Pseudowires()
	if len(all) != 1 {
		b.t.Fatalf("%d pseudowires: %+v", len(all), all)
	}
	return all[0]
}

// expect checks state, reason and source of the one pseudowire.
func (b *bench) expect(when, state, reason, source string) {
	b.t.Helper()
	if s := b.status(); s.State != state || s.Reason != reason || s.Source != source {
		b.t.Errorf("%s: %s %s %s (%s), want %s %s %s", when, s.State, s.Reason, s.Source, s.Detail, state, reason, source)
	}
}

// sends checks the session that the circuit transmits to; 0 = none.
func (b *bench) sends(when string, session dataplane.SessionID) {
	b.t.Helper()
	if got := b.plane.State().Transmit[dataplane.Port(circuit)].Session; got != session {
		b.t.Errorf("%s: transmits to session %d, want %d", when, got, session)
	}
}

// announces checks how many services are announced.
func (b *bench) announces(when string, n int) {
	b.t.Helper()
	if got := b.speaker().last(); len(got) != n {
		b.t.Errorf("%s: announces %+v, want %d", when, got, n)
	}
}

func cookie(b ...byte) dataplane.Cookie {
	c, err := dataplane.NewCookie(b)
	if err != nil {
		panic(err)
	}
	return c
}

// signalledConfig has one signalled pseudowire and two neighbours.
func signalledConfig() *config.Config {
	return &config.Config{
		Router:   config.Router{ID: own, ASN: 65000, Sources: []netip.Addr{own}},
		Underlay: config.Underlay{Auto: true},
		BGP: config.BGP{
			Neighbors:     []config.Neighbor{{Address: peer1, ASN: 65000}, {Address: peer2, ASN: 65000}},
			SelectionTime: time.Minute, StaleTime: 2 * time.Minute,
		},
		Pseudowires: []config.Pseudowire{{
			Name: "a", Interface: "eth2", Source: own, Port: 1701, CookieLength: 8, TTL: 64,
			EVPN: &config.EVPN{RouteTargets: []evpn.RouteTarget{target}, LocalService: 101, RemoteService: 102},
		}},
	}
}

func staticFarEnd(when config.When) *config.Static {
	return &config.Static{When: when, After: 5 * time.Second, Remote: far2, LocalSession: 1012, RemoteSession: 1021, RemotePort: 1701}
}

func fallbackConfig() *config.Config {
	cfg := signalledConfig()
	cfg.Pseudowires[0].Static = staticFarEnd(config.WhenFallback)
	return cfg
}

func staticConfig() *config.Config {
	cfg := signalledConfig()
	cfg.BGP.Neighbors = nil
	cfg.Pseudowires[0].EVPN, cfg.Pseudowires[0].Static = nil, staticFarEnd(config.WhenAlways)
	return cfg
}

// edit returns a copy of a configuration with a change to it.
func edit(cfg *config.Config, change func(*config.Config)) *config.Config {
	copied := *cfg
	copied.Pseudowires = slices.Clone(cfg.Pseudowires)
	change(&copied)
	return &copied
}

// learnedSession is what route announces.
const learnedSession = 77777

// route is the event that a peer announces the far end.
func route(peer netip.Addr) speaker.Event {
	key := evpn.Key{Peer: peer, RD: evpn.RD{0, 1, 192, 0, 2, 9, 0, 1}, Tag: 102}
	return speaker.Event{Kind: speaker.RouteUpdate, Peer: peer, Key: key, Endpoint: evpn.Endpoint{
		Key: key, RouteTargets: []evpn.RouteTarget{target}, NextHop: far1, Label: 3 << 4,
		Tunnels: []evpn.Tunnel{{Session: learnedSession, Cookie: "\x09\x09\x09\x09", Endpoint: far1}},
	}}
}

func withdrawal(peer netip.Addr) speaker.Event {
	return speaker.Event{Kind: speaker.RouteWithdraw, Peer: peer, Key: route(peer).Key}
}

func of(kind speaker.EventKind, peer netip.Addr) speaker.Event {
	return speaker.Event{Kind: kind, Peer: peer}
}

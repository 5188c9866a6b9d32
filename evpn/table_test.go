package evpn_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"longwire/evpn"
)

var compareAddresses = cmpopts.EquateComparable(netip.Addr{})

func TestTableUpdate(t *testing.T) {
	table := evpn.NewTable()
	if !table.Update(endpoint(), at(1)) {
		t.Error("a new route is no change")
	}
	if table.Update(endpoint(), at(2)) {
		t.Error("the same route again is a change")
	}
	changed := endpoint(func(ep *evpn.Endpoint) { ep.Tunnels[0].Session = 1002 })
	if !table.Update(changed, at(3)) {
		t.Error("another session id is no change")
	}
	want := []evpn.Route{{Endpoint: changed, Since: at(3)}}
	if diff := cmp.Diff(want, table.Routes(), compareAddresses); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestTableUpdateSeesEveryField(t *testing.T) {
	for name, change := range map[string]func(*evpn.Endpoint){
		"route targets":  func(ep *evpn.Endpoint) { ep.RouteTargets = append(ep.RouteTargets, target2) },
		"next hop":       func(ep *evpn.Endpoint) { ep.NextHop = netip.MustParseAddr("192.0.2.3") },
		"label":          func(ep *evpn.Endpoint) { ep.Label = 0 },
		"cookie":         func(ep *evpn.Endpoint) { ep.Tunnels[0].Cookie = "abcd" },
		"UDP port":       func(ep *evpn.Endpoint) { ep.Tunnels[0].UDPPort = 1701 },
		"flags":          func(ep *evpn.Endpoint) { ep.L2.Flags = evpn.FlagPrimary },
		"MTU":            func(ep *evpn.Endpoint) { ep.L2.MTU = 9000 },
		"no L2":          func(ep *evpn.Endpoint) { ep.HasL2 = false },
		"originator":     func(ep *evpn.Endpoint) { ep.Originator = netip.MustParseAddr("192.0.2.7") },
		"decoder's word": func(ep *evpn.Endpoint) { ep.Problem = &evpn.Problem{Reason: evpn.ReasonMalformed} },
	} {
		table := evpn.NewTable()
		table.Update(endpoint(), at(1))
		if !table.Update(endpoint(change), at(2)) {
			t.Errorf("%s: no change seen", name)
		}
		if table.Update(endpoint(change), at(3)) {
			t.Errorf("%s: the same again is a change", name)
		}
	}
}

func TestTableSetsProblem(t *testing.T) {
	table := evpn.NewTable()
	table.Update(endpoint(func(ep *evpn.Endpoint) { ep.Tunnels = nil }), at(1))
	if p := table.Routes()[0].Problem; p == nil || p.Reason != evpn.ReasonNoEncapsulation {
		t.Errorf("problem = %v", p)
	}
	table.Update(endpoint(), at(2))
	if p := table.Routes()[0].Problem; p != nil {
		t.Errorf("problem stays after the route is repaired: %v", p)
	}
}

func TestTableWithdraw(t *testing.T) {
	table := evpn.NewTable()
	ep := endpoint()
	table.Update(ep, at(1))
	other := ep.Key
	other.Tag++
	if table.Withdraw(other) {
		t.Error("withdrew a route that is not there")
	}
	if !table.Withdraw(ep.Key) || table.Withdraw(ep.Key) {
		t.Error("the route must go once")
	}
	if n := len(table.Routes()); n != 0 {
		t.Errorf("%d routes left", n)
	}
}

// twoPeers returns a table with one route of each peer.
func twoPeers() (*evpn.Table, evpn.Key, evpn.Key) {
	table := evpn.NewTable()
	a := endpoint()
	b := endpoint(func(ep *evpn.Endpoint) { ep.Peer = peerB })
	table.Update(a, at(0))
	table.Update(b, at(0))
	return table, a.Key, b.Key
}

// stale lists the stale times by peer; a missing peer has no route.
func stale(table *evpn.Table) map[netip.Addr]time.Time {
	m := map[netip.Addr]time.Time{}
	for _, r := range table.Routes() {
		m[r.Peer] = r.StaleSince
	}
	return m
}

func TestTableStaleness(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*evpn.Table)
		want map[netip.Addr]time.Time
	}{
		{"peer down", func(t *evpn.Table) { t.PeerDown(peerA, at(5)) },
			map[netip.Addr]time.Time{peerA: at(5), peerB: {}}},
		{"peer down twice keeps the first time", func(t *evpn.Table) { t.PeerDown(peerA, at(5)); t.PeerDown(peerA, at(9)) },
			map[netip.Addr]time.Time{peerA: at(5), peerB: {}}},
		{"engine down", func(t *evpn.Table) { t.PeerDown(peerA, at(5)); t.EngineDown(at(7)) },
			map[netip.Addr]time.Time{peerA: at(5), peerB: at(7)}},
		{"end of RIB drops the peer's stale routes", func(t *evpn.Table) { t.EngineDown(at(5)); t.EndOfRIB(peerA) },
			map[netip.Addr]time.Time{peerB: at(5)}},
		{"end of RIB keeps fresh routes", func(t *evpn.Table) { t.EndOfRIB(peerA) },
			map[netip.Addr]time.Time{peerA: {}, peerB: {}}},
		{"a removed peer leaves nothing", func(t *evpn.Table) { t.PeerDown(peerB, at(5)); t.PeerRemoved(peerA) },
			map[netip.Addr]time.Time{peerB: at(5)}},
		{"nor what was stale", func(t *evpn.Table) { t.PeerDown(peerA, at(5)); t.PeerRemoved(peerA) },
			map[netip.Addr]time.Time{peerB: {}}},
		{"end of RIB keeps what was sent again", func(t *evpn.Table) {
			t.EngineDown(at(5))
			t.Update(endpoint(), at(6))
			t.EndOfRIB(peerA)
		}, map[netip.Addr]time.Time{peerA: {}, peerB: at(5)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, _, _ := twoPeers()
			test.do(table)
			if diff := cmp.Diff(test.want, stale(table), compareAddresses); diff != "" {
				t.Errorf("stale since (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTableRefresh(t *testing.T) {
	table, _, _ := twoPeers()
	table.PeerDown(peerA, at(5))
	if !table.Update(endpoint(), at(6)) {
		t.Error("a stale route that becomes fresh is a change")
	}
	for _, r := range table.Routes() {
		if r.Stale() || r.Since != at(0) {
			t.Errorf("route of %s: stale %v since %v", r.Peer, r.Stale(), r.Since)
		}
	}
}

func TestTableStale(t *testing.T) {
	table, key := evpn.NewTable(), endpoint().Key
	if table.Stale(key) {
		t.Error("a route that is not there is stale")
	}
	table.Update(endpoint(), at(1))
	if table.Stale(key) {
		t.Error("a fresh route is stale")
	}
	table.PeerDown(key.Peer, at(2))
	if !table.Stale(key) {
		t.Error("the route of a lost peer is not stale")
	}
	table.Update(endpoint(), at(3))
	if table.Stale(key) {
		t.Error("a route that came again is stale")
	}
}

func TestTablePrune(t *testing.T) {
	table, a, b := twoPeers()
	table.PeerDown(peerA, at(5))
	table.PeerDown(peerB, at(10))
	if n := table.Prune(at(5)); n != 0 {
		t.Errorf("pruned %d routes that are not older", n)
	}
	if n := table.Prune(at(6)); n != 1 || table.Withdraw(a) || !table.Withdraw(b) {
		t.Errorf("pruned %d routes, want the one of peer A", n)
	}
}

// tableModel is a table as a plain map, next to the real one.
type tableModel struct {
	table  *evpn.Table
	routes map[evpn.Key]evpn.Route
	now    int
}

// change applies f to every route of the model; f returns false to delete it.
func (m *tableModel) change(f func(*evpn.Route) bool) (deleted int) {
	for k, r := range m.routes {
		if f(&r) {
			m.routes[k] = r
		} else {
			delete(m.routes, k)
			deleted++
		}
	}
	return deleted
}

func drawPeer(t *rapid.T) netip.Addr {
	return rapid.SampledFrom([]netip.Addr{peerA, peerB}).Draw(t, "peer")
}

// Update draws a route and stores it.
func (m *tableModel) Update(t *rapid.T) {
	m.now++
	ep := drawRoute(t).Endpoint
	old, had := m.routes[ep.Key]
	r := evpn.Route{Endpoint: ep, Since: at(m.now)}
	r.Problem = evpn.Validate(ep)
	same := had && cmp.Equal(old.Endpoint, r.Endpoint, compareAddresses, cmpopts.EquateEmpty())
	if same {
		r.Since = old.Since
	}
	if got, want := m.table.Update(ep, at(m.now)), !same || old.Stale(); got != want {
		t.Fatalf("Update = %v, want %v", got, want)
	}
	m.routes[ep.Key] = r
}

// Withdraw draws a key, which may be absent, and removes it.
func (m *tableModel) Withdraw(t *rapid.T) {
	k := drawRoute(t).Key
	_, had := m.routes[k]
	if m.table.Withdraw(k) != had {
		t.Fatalf("Withdraw disagrees, had %v", had)
	}
	delete(m.routes, k)
}

// Down loses one session or all.
func (m *tableModel) Down(t *rapid.T) {
	m.now++
	peer, all := drawPeer(t), rapid.Bool().Draw(t, "all")
	if all {
		m.table.EngineDown(at(m.now))
	} else {
		m.table.PeerDown(peer, at(m.now))
	}
	m.change(func(r *evpn.Route) bool {
		if (all || r.Peer == peer) && !r.Stale() {
			r.StaleSince = at(m.now)
		}
		return true
	})
}

// EndOfRIB removes the stale routes of a peer.
func (m *tableModel) EndOfRIB(t *rapid.T) {
	peer := drawPeer(t)
	m.table.EndOfRIB(peer)
	m.change(func(r *evpn.Route) bool { return r.Peer != peer || !r.Stale() })
}

// Prune removes what has been stale for long.
func (m *tableModel) Prune(t *rapid.T) {
	before := at(rapid.IntRange(0, m.now+1).Draw(t, "before"))
	n := m.change(func(r *evpn.Route) bool { return !r.Stale() || !r.StaleSince.Before(before) })
	if got := m.table.Prune(before); got != n {
		t.Fatalf("Prune = %d, want %d", got, n)
	}
}

// Check runs after every operation.
func (m *tableModel) Check(t *rapid.T) {
	got := map[evpn.Key]evpn.Route{}
	for _, r := range m.table.Routes() {
		got[r.Key] = r
	}
	if diff := cmp.Diff(m.routes, got, compareAddresses, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("table (-model +got):\n%s", diff)
	}
}

// The table is a map by key with staleness.
func TestTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &tableModel{table: evpn.NewTable(), routes: map[evpn.Key]evpn.Route{}}
		t.Repeat(rapid.StateMachineActions(m))
	})
}

// Routes gives the same list whatever the order of the updates.
func TestTableOrderIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		byKey := map[evpn.Key]evpn.Endpoint{}
		for _, r := range rapid.SliceOfN(rapid.Custom(drawRoute), 0, 12).Draw(t, "routes") {
			byKey[r.Key] = r.Endpoint
		}
		var list []evpn.Endpoint
		for _, ep := range byKey {
			list = append(list, ep)
		}
		one, two := evpn.NewTable(), evpn.NewTable()
		for _, ep := range list {
			one.Update(ep, epoch)
		}
		for _, ep := range rapid.Permutation(list).Draw(t, "order") {
			two.Update(ep, epoch)
		}
		if diff := cmp.Diff(one.Routes(), two.Routes(), compareAddresses); diff != "" {
			t.Fatalf("another order gives another list:\n%s", diff)
		}
	})
}

package speaker_test

import (
	"os"
	"strings"
	"testing"

	"longwire/evpn"
	"longwire/evpn/speaker"
)

// outside starts a gobgpd of an operator on the first of two nodes, with the
// second as its neighbour, and returns how to reach it.
func outside(t *testing.T, nodes []node) speaker.Config {
	t.Helper()
	socket := shortDir(t) + "/gobgpd.sock"
	nodes[0].startReflector(t, "-client", nodes[1].four.String(), "-grpc", socket)
	return speaker.Config{Gobgpd: "unix://" + socket}
}

// An operator's gobgpd serves as well: routes both ways, a withdrawal of what
// was there before us, and on our return nothing but the difference is touched.
func TestOutsideGobgpd(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 2)
	c := outside(t, nodes)
	b := startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000}}},
		nodes[1].advertisement(102), nodes[1].advertisement(104))
	first := startPE(t, nodes[0], c, nodes[0].advertisement(101), nodes[0].advertisement(103))
	exchanged(t, first, b)
	b.waitRoute(t, 103, fresh)
	first.waitRoute(t, 104, fresh)
	mark := b.mark()
	first.stop()
	second := startPE(t, nodes[0], c, nodes[0].advertisement(101))
	second.waitRoute(t, 102, fresh)
	second.waitRoute(t, 104, fresh)
	b.waitNoRoute(t, 103)
	b.Announce([]evpn.Advertisement{nodes[1].advertisement(102)})
	second.waitNoRoute(t, 104)
	if n := b.count(mark, speaker.RouteUpdate) + b.count(mark, speaker.PeerDown); n != 0 {
		t.Errorf("what did not change was touched: %v", b.describe())
	}
	if n := second.Neighbors(); len(n) != 1 || n[0].State != "established" || n[0].Address != nodes[1].four || n[0].ASN != 65000 {
		t.Errorf("neighbors %+v", n)
	}
}

// GoBGP's BMP is silent about the routes of a peer in graceful restart: its loss
// makes them stale, and its End-of-RIB brings them back, which BMP does not.
func TestGracefulRestartAtOutsideGobgpd(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 2)
	c := outside(t, nodes)
	b := startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000}}},
		nodes[1].advertisement(102), nodes[1].advertisement(104))
	a := startPE(t, nodes[0], c)
	a.waitRoute(t, 102, fresh)
	a.waitRoute(t, 104, fresh)
	a.waitEvent(t, 0, speaker.EndOfRIB)
	mark := a.mark()
	dead := killWorker(t, b)
	b.Announce([]evpn.Advertisement{nodes[1].advertisement(102)})
	a.waitEvent(t, mark, speaker.PeerDown)
	a.waitRoute(t, 102, isStale)
	b.waitEvent(t, dead, speaker.EngineUp)
	a.waitEvent(t, mark, speaker.EndOfRIB)
	a.waitRoute(t, 102, fresh)
	a.waitNoRoute(t, 104)
	var kinds []string
	for _, ev := range a.since(mark) {
		if ev.Kind != speaker.RouteWithdraw || ev.Key.Tag != 104 { // which may come before or after the end
			kinds = append(kinds, ev.Kind.String())
		}
	}
	if got, want := strings.Join(kinds, ", "), "peer down, peer up, route update, end of rib"; got != want {
		t.Errorf("events: %s; want: %s", got, want)
	}
}

// A gobgpd that is restarted gets our routes as soon as it is back, and what it
// is like meanwhile is shown.
func TestOutsideGobgpdRestarts(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 2)
	socket := shortDir(t) + "/gobgpd.sock"
	start := func() func() {
		_ = os.Remove(socket) // of the one before, which GoBGP does not replace
		return nodes[0].startReflector(t, "-client", nodes[1].four.String(), "-grpc", socket)
	}
	stop := start()
	b := startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000}}},
		nodes[1].advertisement(102))
	a := startPE(t, nodes[0], speaker.Config{Gobgpd: "unix://" + socket}, nodes[0].advertisement(101))
	exchanged(t, a, b)
	mark := a.mark()
	stop()
	a.waitEvent(t, mark, speaker.EngineDown)
	a.waitRoute(t, 102, isStale)
	b.waitRoute(t, 101, isStale)
	if n := a.Neighbors(); len(n) != 1 || n[0].State != "down" || n[0].Reason != speaker.ReasonEngineDown {
		t.Errorf("neighbors without gobgpd: %+v", n)
	}
	start()
	a.waitEvent(t, mark, speaker.EngineUp)
	exchanged(t, a, b)
	for _, ev := range a.since(mark) {
		if ev.Kind == speaker.EngineUp && (len(ev.Peers) != 1 || ev.Peers[0] != nodes[1].four) {
			t.Errorf("peers of gobgpd: %v", ev.Peers)
		}
		if ev.Kind == speaker.EngineDown && ev.Reason == "" {
			t.Error("no reason is given")
		}
	}
	if n := b.count(0, speaker.RouteWithdraw); n != 0 {
		t.Errorf("%d withdrawals at the neighbour: %s", n, b.describe())
	}
}

// A gobgpd that is not there, or is another router, is waited for.
func TestOutsideGobgpdOfAnotherRouter(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 2)
	c := outside(t, nodes)
	c.ASN = 65001
	a := startPE(t, nodes[0], c)
	absent := startPE(t, nodes[1], speaker.Config{Gobgpd: "unix:///nonexistent/gobgpd.sock"})
	if err := speaker.Probe(t.Context(), speaker.Config{Gobgpd: "unix:///nonexistent/gobgpd.sock"}); err == nil {
		t.Error("a gobgpd that is absent passes")
	}
	for p, want := range map[*pe]string{a: "gobgpd runs as AS 65000", absent: "it does not run, or has other --api-hosts"} {
		eventually(t, "the warning", func() error {
			if !strings.Contains(p.logs.String(), want) {
				return errMissing
			}
			return nil
		})
	}
}

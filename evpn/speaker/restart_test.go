package speaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"longwire/evpn"
	"longwire/evpn/speaker"
)

// onlyWorker waits for exactly one worker in the namespace of p and returns it.
func onlyWorker(t *testing.T, p *pe) int {
	t.Helper()
	var pid int
	eventually(t, "a worker", func() error {
		pids := p.node.workerPIDs()
		if len(pids) != 1 {
			return fmt.Errorf("%d workers", len(pids))
		}
		pid = pids[0]
		return nil
	})
	return pid
}

// killWorker kills the worker of p and returns the position of the events from
// then on.
func killWorker(t *testing.T, p *pe) int {
	t.Helper()
	pid, mark := onlyWorker(t, p), p.mark()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	return mark
}

// A dead worker is back within two seconds, and everything it knew with it;
// until then the routes are stale and none is withdrawn, on neither side.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	b.waitEvent(t, 0, speaker.EndOfRIB)
	markB := b.mark()
	mark := killWorker(t, a)
	a.waitEvent(t, mark, speaker.EngineDown)
	within(t, 2*time.Second, "another engine", func() error {
		if a.count(mark, speaker.EngineUp) == 0 {
			return errors.New(a.describe())
		}
		return nil
	})
	a.waitRoute(t, 102, isStale)
	a.waitEvent(t, mark, speaker.EndOfRIB)
	a.waitRoute(t, 102, fresh)
	b.waitEvent(t, markB, speaker.EndOfRIB)
	b.waitRoute(t, 101, fresh)
	for _, p := range []*pe{a, b} {
		if n := p.count(0, speaker.RouteWithdraw); n != 0 {
			t.Errorf("%v: %d withdrawals", p.node.four, n)
		}
	}
	if s := b.Neighbors()[0]; s.Flaps != 1 {
		t.Errorf("b counts %d flaps", s.Flaps)
	}
}

// A worker that hangs is as good as dead.
func TestWorkerHangs(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	pid, mark := onlyWorker(t, a), a.mark()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, 40*time.Second, "the end of the hanging worker", func() error {
		if a.count(mark, speaker.EngineUp) == 0 {
			return errors.New(a.describe())
		}
		return nil
	})
	exchanged(t, a, b)
	if now := onlyWorker(t, a); now == pid {
		t.Error("it is the same worker")
	}
}

// What changed while the worker was dead is right when it is back: on our side
// an advertisement, on the peer's a route that is gone and one that is new.
func TestChangesDuringRestart(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	mark := killWorker(t, a)
	a.waitEvent(t, mark, speaker.EngineDown)
	a.Announce([]evpn.Advertisement{a.node.advertisement(103)})
	b.Announce([]evpn.Advertisement{b.node.advertisement(104)})
	a.waitRoute(t, 104, fresh)
	a.waitNoRoute(t, 102)
	b.waitRoute(t, 103, fresh)
	b.waitNoRoute(t, 101)
}

// The routes of a peer in graceful restart become stale with its loss and fresh
// when it is back; no withdrawal is seen, and no End-of-RIB comes too early.
func TestPeerInGracefulRestart(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	b.waitEvent(t, 0, speaker.EndOfRIB)
	mark := b.mark()
	killWorker(t, a)
	b.waitEvent(t, mark, speaker.PeerDown)
	b.waitRoute(t, 101, isStale)
	b.waitEvent(t, mark, speaker.EndOfRIB)
	b.waitRoute(t, 101, fresh)
	var kinds []string
	for _, ev := range b.since(mark) {
		kinds = append(kinds, ev.Kind.String())
	}
	if got, want := strings.Join(kinds, ", "), "peer down, peer up, route update, end of rib"; got != want {
		t.Errorf("events: %s; want: %s", got, want)
	}
}

// A peer that dies for good leaves stale routes behind, whether it had offered
// graceful restart or not: when to delete them is the owner's decision.
func TestPeerDies(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]string{"with graceful restart": "120", "without": "0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := newLAN(t, 3)
			args := []string{"-client", nodes[0].four.String(), "-client", nodes[1].four.String(), "-restart-time", restart}
			stop := nodes[2].startReflector(t, args...)
			n := speaker.Neighbor{Address: nodes[2].four, ASN: 65000}
			var ads []evpn.Advertisement
			for i := range 50 {
				ads = append(ads, nodes[0].advertisement(evpn.ServiceID(200+i)))
			}
			c := speaker.Config{Neighbors: []speaker.Neighbor{n}}
			a := startPE(t, nodes[0], c, ads...)
			b := startPE(t, nodes[1], c, nodes[1].advertisement(102))
			a.waitRoute(t, 102, fresh)
			all := func(check func(evpn.Route) string) {
				t.Helper()
				for i := range 50 {
					b.waitRoute(t, evpn.ServiceID(200+i), check)
				}
			}
			all(fresh)
			mark := b.mark()
			stop()
			b.waitEvent(t, mark, speaker.PeerDown)
			all(isStale)
			if s := b.Neighbors()[0]; s.State == "established" || s.Reason == "" || s.Flaps != 1 {
				t.Errorf("status %+v", s)
			}
			// One route goes while the reflector is dead.
			a.Announce(ads[1:])
			nodes[2].startReflector(t, args...)
			for i := range 49 {
				b.waitRoute(t, evpn.ServiceID(201+i), fresh)
			}
			if restart == "0" {
				b.waitRoute(t, 200, isStale) // no End-of-RIB comes
				return
			}
			b.waitEvent(t, mark, speaker.EndOfRIB)
			b.waitNoRoute(t, 200)
		})
	}
}

// A PE that ends its process keeps its routes alive at the peer.
func TestStopIsNoGoodbye(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	mark := b.mark()
	a.stop()
	b.waitEvent(t, mark, speaker.PeerDown)
	b.waitRoute(t, 101, isStale)
	if n := b.count(mark, speaker.RouteWithdraw); n != 0 {
		t.Errorf("%d withdrawals", n)
	}
	if pids := a.node.workerPIDs(); len(pids) != 0 {
		t.Errorf("workers %v are left", pids)
	}
}

// A worker that keeps dying is started rarely, and that is an error.
func TestDamping(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 1)
	a := startPE(t, nodes[0], speaker.Config{})
	a.waitEvent(t, 0, speaker.EngineUp)
	for i := range 5 {
		mark := killWorker(t, a)
		a.waitEvent(t, mark, speaker.EngineDown)
		if i < 4 {
			a.waitEvent(t, mark, speaker.EngineUp)
		}
	}
	eventually(t, "the error", func() error {
		if !strings.Contains(a.logs.String(), "level=ERROR msg=\"the BGP worker keeps dying") {
			return errors.New("not logged")
		}
		return nil
	})
	if pids := a.node.workerPIDs(); len(pids) != 0 {
		t.Errorf("workers %v run", pids)
	}
}

// Run returns what is wrong before anything works.
func TestStartFails(t *testing.T) {
	t.Parallel()
	good := func(n node) speaker.Config {
		return speaker.Config{
			RouterID: n.four, ASN: 65000, RuntimeDir: shortDir(t), WorkerCommand: []string{self(), "bgp-worker"},
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, n node, c *speaker.Config)
		want    string
	}{
		"loopback is down": {func(t *testing.T, n node, c *speaker.Config) {
			ip(t, "", "-n", n.namespace, "link", "set", "lo", "down")
		},
			"the loopback interface is down"},
		"loopback was never up": {func(t *testing.T, n node, c *speaker.Config) {
			ip(t, "", "netns", "del", n.namespace)
			ip(t, "", "netns", "add", n.namespace)
		}, "the loopback interface is down"},
		"bad configuration": {func(t *testing.T, n node, c *speaker.Config) { c.ASN = 0 }, "the AS number is missing"},
		"no such command":   {func(t *testing.T, n node, c *speaker.Config) { c.WorkerCommand = []string{"/nonexistent"} }, "start the BGP worker"},
		"the worker ends":   {func(t *testing.T, n node, c *speaker.Config) { c.WorkerCommand[1] = "fail-at-once" }, "the BGP worker ended: exit status 1"},
		"no such directory": {func(t *testing.T, n node, c *speaker.Config) { c.RuntimeDir = "/nonexistent" }, "the BGP worker ended"},
		"path too long":     {func(t *testing.T, n node, c *speaker.Config) { c.RuntimeDir += strings.Repeat("/x", 60) }, "at most 107"},
		"the port is taken": {func(t *testing.T, n node, c *speaker.Config) {
			n.startReflector(t, "-client", "192.0.2.9")
		}, "address already in use"},
		"an address that is not ours": {func(t *testing.T, n node, c *speaker.Config) {
			c.ListenAddresses = append(c.ListenAddresses, six(99))
		}, "cannot assign requested address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newLAN(t, 1)[0]
			c := good(n)
			test.prepare(t, n, &c)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			s := speaker.New(c, slog.New(slog.DiscardHandler))
			err := <-n.inside(func() error { return s.Run(ctx) })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if pids := n.workerPIDs(); len(pids) != 0 {
				t.Errorf("workers %v are left", pids)
			}
		})
	}
}

// The worker has no capability, cannot gain one, its socket is private, and it
// does not outlive its parent.
func TestWorkerIsConfined(t *testing.T) {
	t.Parallel()
	a := startPE(t, newLAN(t, 1)[0], speaker.Config{})
	a.waitEvent(t, 0, speaker.EngineUp)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", onlyWorker(t, a)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the worker lacks %q:\n%s", want, status)
		}
	}
}

// A worker dies with its parent, however that dies.
func TestWorkerDiesWithParent(t *testing.T) {
	t.Parallel()
	n := newLAN(t, 1)[0]
	parent := n.command("host-speaker", n.four.String(), shortDir(t))
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill() })
	eventually(t, "a worker", func() error {
		if len(n.workerPIDs()) == 0 {
			return errors.New("none")
		}
		return nil
	})
	_ = parent.Process.Kill()
	var exit *exec.ExitError
	if err := parent.Wait(); !errors.As(err, &exit) {
		t.Fatalf("parent: %v", err)
	}
	within(t, 2*time.Second, "the end of the worker", func() error {
		if pids := n.workerPIDs(); len(pids) != 0 {
			return fmt.Errorf("%v", pids)
		}
		return nil
	})
}

// Many routes at once, changed in the middle of their transfer and carried over
// the death of either worker: none is lost, and none comes back from the dead.
func TestManyRoutes(t *testing.T) {
	t.Parallel()
	const n = 3000
	nodes := newLAN(t, 2)
	var ads []evpn.Advertisement
	for i := range n {
		ads = append(ads, nodes[0].advertisement(evpn.ServiceID(1000+i)))
	}
	a := startPE(t, nodes[0], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[1].four, ASN: 65000}}}, ads...)
	b := startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000}}})
	waitFresh := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d fresh routes", want), func() error {
			routes, fresh := b.routes(), 0
			for _, r := range routes {
				if !r.Stale() {
					fresh++
				}
			}
			if fresh != want || len(routes) != want {
				return fmt.Errorf("%d fresh of %d", fresh, len(routes))
			}
			return nil
		})
	}
	b.waitEvent(t, 0, speaker.RouteUpdate)
	a.Announce(ads[:n/2])
	b.waitEvent(t, 0, speaker.EndOfRIB)
	waitFresh(n / 2)
	a.Announce(ads)
	waitFresh(n)
	withdrawals := b.count(0, speaker.RouteWithdraw)
	for _, p := range []*pe{b, a} {
		mark := b.mark()
		killWorker(t, p)
		b.waitEvent(t, mark, speaker.EndOfRIB)
		waitFresh(n)
	}
	if got := b.count(0, speaker.RouteWithdraw); got != withdrawals {
		t.Errorf("%d routes were withdrawn by a restart", got-withdrawals)
	}
}

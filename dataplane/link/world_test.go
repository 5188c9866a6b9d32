package link

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
	"longwire/dataplane/fake"
	"longwire/test/lab"
)

// patience is how long a test waits for what must happen.
const patience = 15 * time.Second

// world is a PE with two routers in reach, and a Resolver in the PE:
//
//	r1 10.1.0.254, fd01::fe ── eth1 pe eth2 ── r2 10.2.0.254, fd02::fe
//
// The far ends are behind r1 at first.
type world struct {
	t        testing.TB
	lab      *lab.Lab
	pe       *lab.Namespace
	r1, r2   *lab.Namespace
	plane    *fake.Plane
	resolver *Resolver
	renew    time.Duration
	resync   time.Duration
	log      *lab.LogBuffer
	stop     func() error
}

var (
	flow4 = dataplane.Flow{Local: netip.MustParseAddr("10.1.0.1"), Remote: netip.MustParseAddr("192.0.2.9")}
	flow6 = dataplane.Flow{Local: netip.MustParseAddr("fd01::1"), Remote: netip.MustParseAddr("2001:db8::9")}
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newWorld(t testing.TB) *world {
	t.Helper()
	l := lab.New(t)
	w := &world{t: t, lab: l, pe: l.Namespace("pe"), r1: l.Namespace("r1"), r2: l.Namespace("r2"), plane: fake.New(),
		renew: renewInterval, resync: resyncInterval, log: &lab.LogBuffer{}}
	for i, r := range []*lab.Namespace{w.r1, w.r2} {
		dev := fmt.Sprintf("eth%d", i+1)
		l.Veth(w.pe, dev, r, "eth0", lab.DefaultMTU)
		w.pe.Address(dev, fmt.Sprintf("10.%d.0.1/24", i+1))
		w.pe.Address(dev, fmt.Sprintf("fd0%d::1/64", i+1))
		r.Address("eth0", fmt.Sprintf("10.%d.0.254/24", i+1))
		r.Address("eth0", fmt.Sprintf("fd0%d::fe/64", i+1))
		w.quicken(dev)
	}
	w.pe.Route("192.0.2.0/24", "10.1.0.254")
	w.pe.Route("2001:db8::/32", "fd01::fe")
	return w
}

// quicken makes the neighbour table of a device lose trust in seconds.
func (w *world) quicken(dev string) {
	for _, family := range []string{"ipv4", "ipv6"} {
		dir := "net/" + family + "/neigh/" + dev + "/"
		w.pe.Sysctl(dir+"base_reachable_time_ms", "1000")
		w.pe.Sysctl(dir+"delay_first_probe_time", "1")
		w.pe.Sysctl(dir+"retrans_time_ms", "100")
	}
}

// start runs a Resolver that wants some flows.
func (w *world) start(flows ...dataplane.Flow) {
	w.t.Helper()
	w.make()
	w.run(flows...)
}

// make makes the Resolver.
func (w *world) make() {
	_ = w.pe.Do(func() error {
		w.resolver = NewResolver(w.plane, slog.New(slog.NewTextHandler(io.MultiWriter(w.log, w.t.Output()), nil)))
		return nil
	})
	w.resolver.renew, w.resolver.resync = w.renew, w.resync
}

func (w *world) run(flows ...dataplane.Flow) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	w.resolver.Want(flows)
	go func() { done <- w.resolver.Run(ctx) }()
	w.stop = func() error {
		cancel()
		err, ok := <-done
		if ok {
			close(done)
		}
		return err
	}
	w.t.Cleanup(func() {
		if err := w.stop(); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
}

// awaitWay waits until the flow's way is the one wanted; the zero one is none.
func (w *world) awaitWay(what string, flow dataplane.Flow, want dataplane.NextHop) {
	w.t.Helper()
	w.lab.Poll(patience, what, func() error {
		if d := cmp.Diff(want, w.resolver.Ways()[flow]); d != "" {
			return fmt.Errorf("way (-want +got):\n%s", d)
		}
		return nil
	})
}

// never is an interval for tests that do without the Resolver's rounds.
const never = time.Hour

// hop returns the next hop over a device of the PE to a router.
func (w *world) hop(dev string, router *lab.Namespace, mtu int) dataplane.NextHop {
	w.t.Helper()
	return dataplane.NextHop{
		IfIndex:     w.pe.Index(dev),
		Source:      [6]byte(w.pe.MAC(dev)),
		Destination: [6]byte(router.MAC("eth0")),
		MTU:         mtu,
	}
}

// awaitLease waits until the flow has the lease wanted.
func (w *world) awaitLease(what string, flow dataplane.Flow, want dataplane.NextHop) {
	w.t.Helper()
	w.lab.Poll(patience, what, func() error {
		if d := cmp.Diff(want, w.plane.Leases()[flow]); d != "" {
			return fmt.Errorf("lease (-want +got):\n%s", d)
		}
		return nil
	})
}

// awaitNoLease waits until the flow is left to the kernel.
func (w *world) awaitNoLease(what string, flow dataplane.Flow) {
	w.t.Helper()
	w.lab.Poll(patience, what, func() error {
		if hop, ok := w.plane.Leases()[flow]; ok {
			return fmt.Errorf("leased: %+v", hop)
		}
		return nil
	})
}

// checkRevokedBefore checks that the flow had no lease between its last one for
// another next hop and its first one for want, since the plane was reset.
func (w *world) checkRevokedBefore(flow dataplane.Flow, want dataplane.NextHop) {
	w.t.Helper()
	leased := true
	for _, c := range w.plane.Calls() {
		switch {
		case c.Flow != flow:
		case c.Op == fake.OpRevoke:
			leased = false
		case c.Op == fake.OpLease && c.NextHop == want:
			if leased {
				w.t.Errorf("the new lease came before the old one was revoked: %v", w.plane.Calls())
			}
			return
		case c.Op == fake.OpLease:
			leased = true
		}
	}
	w.t.Error("the new lease never came")
}

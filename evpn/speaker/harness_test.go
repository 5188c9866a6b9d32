package speaker_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longwire/evpn"
	"longwire/evpn/speaker"
	"longwire/evpn/worker"
	"longwire/test/lab"
	"longwire/test/peer/reflector"
)

// TestMain also is the worker and the route reflector: the tests start their
// own binary as these.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "bgp-worker":
			err = worker.Main(context.Background(), os.Args[2:])
		case "rr":
			err = reflector.Main(context.Background(), os.Args[2:], os.Stdout)
		case "host-speaker": // ROUTER-ID RUNTIME-DIR
			err = speaker.New(speaker.Config{
				RouterID: netip.MustParseAddr(os.Args[2]), ASN: 65000, RuntimeDir: os.Args[3],
				WorkerCommand: []string{self(), "bgp-worker"},
			}, slog.New(slog.DiscardHandler)).Run(context.Background())
		case "fail-at-once":
			err = fmt.Errorf("told to fail")
		default: // a flag of go test
			runTests(m)
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	runTests(m)
}

// runTests runs the tests of this package, more at once than there are
// processors: most of the time they wait for timers of BGP.
func runTests(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("8"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// eventually polls f until it returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	within(t, 30*time.Second, what, f)
}

func within(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// pe is a speaker under test with the table that an agent would keep.
type pe struct {
	*speaker.Speaker
	node node
	logs *lab.LogBuffer
	stop func()

	runtimeDir string

	mu     sync.Mutex
	table  *evpn.Table
	events []speaker.Event
}

// startPE runs a speaker inside n with the given advertisements.
func startPE(t *testing.T, n node, c speaker.Config, ads ...evpn.Advertisement) *pe {
	t.Helper()
	if c.ASN == 0 {
		c.ASN = 65000
	}
	if !c.RouterID.IsValid() {
		c.RouterID = n.four
	}
	if c.WorkerCommand == nil && c.Gobgpd == "" {
		c.WorkerCommand = []string{self(), "bgp-worker"}
	}
	c.RuntimeDir = shortDir(t)
	logs := &lab.LogBuffer{}
	p := &pe{
		Speaker: speaker.New(c, slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelInfo}))),
		node:    n, logs: logs, table: evpn.NewTable(), runtimeDir: c.RuntimeDir,
	}
	p.Announce(ads)
	ctx, cancel := context.WithCancel(context.Background())
	ended := n.inside(func() error { return p.Run(ctx) })
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		p.collect(ctx)
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run of %v: %v", n.four, err)
		}
		<-collected
	})
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("events of %v: %s\nlog of %v:\n%s", n.four, p.describe(), n.four, logs)
		}
	})
	return p
}

// collect applies events to the table as the agent does.
func (p *pe) collect(ctx context.Context) {
	for {
		select {
		case ev := <-p.Events():
			p.mu.Lock()
			p.events = append(p.events, ev)
			switch now := time.Now(); ev.Kind {
			case speaker.RouteUpdate:
				p.table.Update(ev.Endpoint, now)
			case speaker.RouteWithdraw:
				p.table.Withdraw(ev.Key)
			case speaker.PeerDown:
				p.table.PeerDown(ev.Peer, now)
			case speaker.EndOfRIB:
				p.table.EndOfRIB(ev.Peer)
			case speaker.PeerRemoved:
				p.table.PeerRemoved(ev.Peer)
			case speaker.EngineDown:
				p.table.EngineDown(now)
			case speaker.PeerUp, speaker.EngineUp:
			}
			p.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

func (p *pe) routes() []evpn.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Routes()
}

// mark returns a position in the list of events.
func (p *pe) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// since returns the events from a position on.
func (p *pe) since(mark int) []speaker.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]speaker.Event(nil), p.events[mark:]...)
}

func (p *pe) count(mark int, kind speaker.EventKind) int {
	n := 0
	for _, ev := range p.since(mark) {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

func (p *pe) describe() string {
	var list []string
	for _, ev := range p.since(0) {
		list = append(list, fmt.Sprintf("%v %v %v", ev.Kind, ev.Peer, ev.Key.Tag))
	}
	return strings.Join(list, "; ")
}

// waitEvent waits for an event of a kind after mark.
func (p *pe) waitEvent(t *testing.T, mark int, kind speaker.EventKind) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v at %v", kind, p.node.four), func() error {
		if p.count(mark, kind) == 0 {
			return fmt.Errorf("events: %s", p.describe())
		}
		return nil
	})
}

// waitRoute waits until the table has exactly one route for a service and it
// satisfies check, which names what is wrong.
func (p *pe) waitRoute(t *testing.T, service evpn.ServiceID, check func(evpn.Route) string) evpn.Route {
	t.Helper()
	var found evpn.Route
	eventually(t, fmt.Sprintf("route of service %d at %v", service, p.node.four), func() error {
		var matching []evpn.Route
		for _, r := range p.routes() {
			if r.Tag == service {
				matching = append(matching, r)
			}
		}
		if len(matching) != 1 {
			return fmt.Errorf("%d routes", len(matching))
		}
		found = matching[0]
		if wrong := check(found); wrong != "" {
			return fmt.Errorf("%s", wrong)
		}
		return nil
	})
	return found
}

func (p *pe) waitNoRoute(t *testing.T, service evpn.ServiceID) {
	t.Helper()
	eventually(t, fmt.Sprintf("no route of service %d at %v", service, p.node.four), func() error {
		for _, r := range p.routes() {
			if r.Tag == service {
				return fmt.Errorf("still there, stale %v", r.Stale())
			}
		}
		return nil
	})
}

func fresh(r evpn.Route) string {
	switch {
	case r.Problem != nil:
		return r.Problem.Error()
	case r.Stale():
		return "stale"
	}
	return ""
}

func isStale(r evpn.Route) string {
	if !r.Stale() {
		return "not stale"
	}
	return ""
}

// advertisement announces a service of n.
func (n node) advertisement(service evpn.ServiceID, change ...func(*evpn.Advertisement)) evpn.Advertisement {
	ad := evpn.Advertisement{
		RD:           evpn.NewRD1(n.four, 1),
		Service:      service,
		RouteTargets: []evpn.RouteTarget{{0, 2, 0xfd, 0xe8, 0, 0, 0, 1}},
		NextHop:      n.four,
		Session:      evpn.SessionID(service + 1000),
		Cookie:       "\xde\xad\xbe\xef\xca\xfe\xf0\x0d",
		Endpoint:     n.four,
		L2:           evpn.L2Attributes{MTU: 1500},
	}
	for _, f := range change {
		f(&ad)
	}
	return ad
}

// workerPIDs returns the workers inside n, youngest last.
func (n node) workerPIDs() []int {
	out, _ := exec.Command("ip", "netns", "pids", n.namespace).Output()
	var pids []int
	for _, field := range strings.Fields(string(out)) {
		var pid int
		line, err := os.ReadFile("/proc/" + field + "/cmdline")
		if _, scanErr := fmt.Sscan(field, &pid); err == nil && scanErr == nil && bytes.Contains(line, []byte("\x00bgp-worker\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// shortDir is a temporary directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

var errMissing = errors.New("not there yet")

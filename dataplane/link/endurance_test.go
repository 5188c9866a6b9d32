package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

// TestResolverOverrun holds the Resolver up until notifications are lost, that
// of its own route among them.
func TestResolverOverrun(t *testing.T) {
	w := newWorld(t)
	w.start(flow4)
	w.awaitLease("before", flow4, w.hop("eth1", w.r1, 1500))

	stuck, held := make(chan bool, 1), make(chan bool)
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	w.plane.Fail(func(fake.Call) error {
		select {
		case stuck <- true:
			<-held
		default:
		}
		return nil
	})
	<-stuck
	manyRoutes(w.lab, w.pe)
	w.pe.Route("192.0.2.0/24", "10.2.0.254")
	w.pe.MTU("eth2", 1400)
	release()
	w.awaitLease("route and MTU changed unheard", flow4, w.hop("eth2", w.r2, 1400))
	if !strings.Contains(w.log.String(), "notifications were lost") {
		t.Error("no notifications were lost: this has tested nothing")
	}
}

// TestPathMTU checks that what no notification tells is found within a few
// seconds: the route MTU that the kernel has learnt from a router, and that it
// has forgotten it.
func TestPathMTU(t *testing.T) {
	for name, flow := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.resync = never
			w.start(flow)
			w.awaitLease("before", flow, w.hop("eth1", w.r1, 1500))
			w.r1.Sysctl("net/ipv4/ip_forward", "1")
			w.r1.Sysctl("net/ipv6/conf/all/forwarding", "1")
			w.lab.Veth(w.r1, "narrow", w.lab.Namespace("far"), "eth0", 1280)
			w.r1.Run("ip", "route", "add", netip.PrefixFrom(flow.Remote, flow.Remote.BitLen()).String(), "dev", "narrow")
			_, _ = w.pe.Try("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1400", "-I", flow.Local.String(), flow.Remote.String())
			w.awaitLease("path MTU", flow, w.hop("eth1", w.r1, 1280))
			w.pe.Run("ip", "route", "flush", "cache")
			w.pe.Run("ip", "-6", "route", "flush", "cache")
			w.awaitLease("forgotten path MTU", flow, w.hop("eth1", w.r1, 1500))
		})
	}
}

// TestDeafResolver checks that all changes are found now and then, although not
// one is notified.
func TestDeafResolver(t *testing.T) {
	w := newWorld(t)
	w.resync = time.Second
	w.make()
	w.resolver.events.close()
	_ = w.pe.Do(func() (err error) {
		w.resolver.events, err = openSocket()
		return err
	})
	w.run(flow4)
	w.awaitLease("before", flow4, w.hop("eth1", w.r1, 1500))
	w.pe.MTU("eth1", 1400)
	w.awaitLease("MTU", flow4, w.hop("eth1", w.r1, 1400))
	w.pe.Run("ip", "neigh", "replace", "10.1.0.254", "lladdr", "02:00:00:00:02:54", "dev", "eth1", "nud", "permanent")
	want := w.hop("eth1", w.r1, 1400)
	want.Destination = [6]byte{2, 0, 0, 0, 2, 0x54}
	w.awaitLease("neighbour", flow4, want)
	if got := w.pe.Run("ip", "neigh", "show", "10.1.0.254"); !strings.Contains(got, "PERMANENT") {
		t.Errorf("the permanent entry is now %q", got)
	}
	w.pe.Route("192.0.2.0/24", "10.2.0.254")
	w.awaitLease("route", flow4, w.hop("eth2", w.r2, 1500))
}

// TestDeadNeighbourIsAskedForSlowly checks the cost of a neighbour that never
// answers, which the kernel here gives up on within 60 ms.
func TestDeadNeighbourIsAskedForSlowly(t *testing.T) {
	w := newWorld(t)
	w.pe.Sysctl("net/ipv4/neigh/eth1/retrans_time_ms", "20")
	w.r1.Sysctl("net/ipv4/conf/eth0/arp_ignore", "8")
	sniffer := w.r1.Sniff("eth0")
	w.start(flow4)
	begin := time.Now()
	count := func() int {
		n := 0
		for _, frame := range sniffer.Frames() {
			if binary.BigEndian.Uint16(frame[12:]) == 0x0806 {
				n++
			}
		}
		return n
	}
	w.lab.Poll(patience, "it is asked for three times", func() error {
		if n := count(); n < 7 { // three tries each time
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("asked for three times within %v: that is too often", took)
	}
}

// TestManyFlows checks that flows cost requests when something changes and not
// for being renewed, and that those which share a neighbour share its requests.
func TestManyFlows(t *testing.T) {
	const count = 4000
	w := newWorld(t)
	var flows []dataplane.Flow
	remote := netip.MustParseAddr("192.0.2.0")
	w.pe.Route("192.0.0.0/8", "10.1.0.254")
	for range count {
		flows = append(flows, dataplane.Flow{Local: flow4.Local, Remote: remote})
		remote = remote.Next()
	}
	w.start(flows...)
	w.lab.Poll(patience, "all leased", func() error {
		if n := len(w.resolver.Resolved()); n != count {
			return fmt.Errorf("%d leases", n)
		}
		return nil
	})
	w.plane.Reset()
	w.lab.Poll(patience, "all renewed twice", func() error {
		if n := len(w.plane.Calls()); n < 2*count {
			return fmt.Errorf("%d renewals", n)
		}
		return nil
	})
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	// One request for each route, then one in some rounds to read it again, and
	// some for the one neighbour and the links.
	rounds := len(w.plane.Calls())/count + 2
	if n := int(w.resolver.query.seq); n > count+rounds*count/turns+100 {
		t.Errorf("%d requests for %d flows in %d rounds", n, count, rounds)
	}
}

// BenchmarkReread is what it costs to read the routes of 1000 flows again, which
// happens once in turns rounds of a second.
func BenchmarkReread(b *testing.B) {
	w := newWorld(b)
	w.pe.Route("192.0.0.0/8", "10.1.0.254")
	w.make()
	var flows []*flow
	remote := netip.MustParseAddr("192.0.2.0")
	for range 1000 {
		w.resolver.add(dataplane.Flow{Local: flow4.Local, Remote: remote})
		flows = append(flows, w.resolver.flows[dataplane.Flow{Local: flow4.Local, Remote: remote}])
		remote = remote.Next()
	}
	if err := w.resolver.readLinks(); err != nil {
		b.Fatal(err)
	}
	for _, f := range flows {
		w.resolver.route(f)
	}
	clear(w.resolver.dirty)
	for b.Loop() {
		for _, f := range flows {
			w.resolver.reread(f)
		}
	}
	if len(w.resolver.dirty) > 0 {
		b.Errorf("%d routes differ, although nothing has changed", len(w.resolver.dirty))
	}
}

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"longwire/test/lab"
)

// watched is a namespace with a Watcher and another one to join links to.
type watched struct {
	t       *testing.T
	lab     *lab.Lab
	ns      *lab.Namespace
	far     *lab.Namespace
	watcher *Watcher
}

func watch(t *testing.T) *watched {
	t.Helper()
	l := lab.New(t)
	w := &watched{t: t, lab: l, ns: l.Namespace("pe"), far: l.Namespace("ce")}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	err := w.ns.Do(func() error {
		var err error
		w.watcher, err = Watch(ctx, testLog(t))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// await takes changes until the snapshot satisfies f. Polling would also find a
// change that was never notified.
func (w *watched) await(what string, f func(links map[string]Link) error) {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		err := f(w.watcher.Snapshot().Links)
		if err == nil {
			return
		}
		select {
		case <-w.watcher.Changes():
		case <-deadline:
			w.t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// awaitLink waits until a link is as f says.
func (w *watched) awaitLink(what, name string, f func(Link) bool) {
	w.t.Helper()
	w.await(what, func(links map[string]Link) error {
		l, ok := links[name]
		if !ok {
			return fmt.Errorf("no link %s in %v", name, links)
		}
		if !f(l) {
			return fmt.Errorf("%s is %+v", name, l)
		}
		return nil
	})
}

func (w *watched) awaitGone(what, name string) {
	w.t.Helper()
	w.await(what, func(links map[string]Link) error {
		if l, ok := links[name]; ok {
			return fmt.Errorf("%s is still there: %+v", name, l)
		}
		return nil
	})
}

func TestFirstSnapshotIsComplete(t *testing.T) {
	w := watch(t)
	want := map[string]Link{"lo": {
		Index: 1, Name: "lo", MTU: 65536, AdminUp: true, Carrier: true,
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
	}}
	if d := cmp.Diff(want, w.watcher.Snapshot().Links, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("links (-want +got):\n%s", d)
	}
}

func TestWatcherSeesALinksLife(t *testing.T) {
	w := watch(t)
	w.lab.Veth(w.ns, "eth0", w.far, "eth0", 1500)
	mac := [6]byte(w.ns.MAC("eth0"))
	w.awaitLink("created and up", "eth0", func(l Link) bool {
		return l.Up() && l.Ethernet && l.MTU == 1500 && l.MAC == mac && l.Index == w.ns.Index("eth0")
	})
	first := w.ns.Index("eth0")

	w.far.Down("eth0")
	w.awaitLink("carrier lost", "eth0", func(l Link) bool { return l.AdminUp && !l.Carrier && !l.Up() })
	w.far.Up("eth0")
	w.awaitLink("carrier back", "eth0", Link.Up)
	w.ns.Down("eth0")
	w.awaitLink("admin down", "eth0", func(l Link) bool { return !l.AdminUp && !l.Up() })
	w.ns.MTU("eth0", 1400)
	w.awaitLink("MTU", "eth0", func(l Link) bool { return l.MTU == 1400 })

	w.ns.Run("ip", "link", "set", "eth0", "name", "customer")
	w.awaitLink("renamed", "customer", func(l Link) bool { return l.Index == first })
	w.awaitGone("renamed", "eth0")

	w.ns.DeleteLink("customer")
	w.awaitGone("deleted", "customer")
	w.lab.Veth(w.ns, "customer", w.far, "eth0", 1500)
	w.awaitLink("made again", "customer", func(l Link) bool { return l.Up() && l.Index != first })
}

func TestWatcherSeesAddresses(t *testing.T) {
	w := watch(t)
	w.ns.Sysctl("net/ipv6/conf/default/addr_gen_mode", "1") // no link-local address
	w.lab.Veth(w.ns, "eth0", w.far, "eth0", 1500)
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	has := func(want ...netip.Addr) func(Link) bool {
		return func(l Link) bool { return slices.Equal(l.Addresses, want) }
	}
	w.ns.Address("eth0", "2001:db8::1/64")
	w.awaitLink("IPv6 address", "eth0", has(v6))
	w.ns.Address("eth0", "192.0.2.1/24")
	w.awaitLink("both, sorted", "eth0", has(v4, v6))
	w.ns.Run("ip", "addr", "del", "2001:db8::1/64", "dev", "eth0")
	w.awaitLink("one gone", "eth0", has(v4))
	w.ns.Run("ip", "addr", "add", "198.51.100.1", "peer", "198.51.100.2/32", "dev", "eth0")
	w.awaitLink("our end of a point-to-point address", "eth0", has(v4, netip.MustParseAddr("198.51.100.1")))
}

// TestTentativeAddress checks that an address is not offered before it can be
// used.
func TestTentativeAddress(t *testing.T) {
	w := watch(t)
	w.ns.Sysctl("net/ipv6/conf/default/addr_gen_mode", "1")
	w.ns.Sysctl("net/ipv6/conf/default/accept_dad", "1")
	w.lab.Veth(w.ns, "eth0", w.far, "eth0", 1500)
	w.ns.Sysctl("net/ipv6/conf/eth0/accept_dad", "1")
	w.ns.Sysctl("net/ipv6/neigh/eth0/retrans_time_ms", "2000") // slow detection
	w.awaitLink("link", "eth0", Link.Up)
	w.ns.Address("eth0", "2001:db8::1/64")
	w.ns.Address("eth0", "192.0.2.1/24") // seen at once, and with it the other as it is
	w.awaitLink("IPv4 address", "eth0", func(l Link) bool {
		return len(l.Addresses) > 0 && l.Addresses[0] == netip.MustParseAddr("192.0.2.1")
	})
	if got := w.watcher.Snapshot().Links["eth0"].Addresses; len(got) != 1 {
		t.Errorf("addresses %v while detection runs, want the IPv4 one", got)
	}
	w.awaitLink("after detection", "eth0", func(l Link) bool { return len(l.Addresses) == 2 })
}

func TestChangesAreCoalesced(t *testing.T) {
	w := watch(t)
	w.lab.Veth(w.ns, "eth0", w.far, "eth0", 1500)
	for range 50 {
		w.ns.Down("eth0")
		w.ns.Up("eth0")
	}
	w.ns.MTU("eth0", 1280) // the last
	w.awaitLink("right in the end", "eth0", func(l Link) bool { return l.Up() && l.MTU == 1280 })
	if n := len(w.watcher.Changes()); n > 1 {
		t.Errorf("%d changes wait, want at most 1", n)
	}
}

// manyRoutes adds more routes than a socket that nobody reads can hold the
// notifications of.
func manyRoutes(l *lab.Lab, ns *lab.Namespace) {
	var batch strings.Builder
	for i := range 50000 {
		fmt.Fprintf(&batch, "route add blackhole 10.%d.%d.%d/25\n", 64+i>>9, i>>1&255, i&1<<7)
	}
	ns.Run("ip", "-batch", l.Write("routes", batch.String()))
}

func TestSocketOverrun(t *testing.T) {
	l := lab.New(t)
	ns := l.Namespace("pe")
	var events *socket
	err := ns.Do(func() (err error) {
		events, err = openSocket(resolverGroups...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer events.close()
	manyRoutes(l, ns)
	if err := events.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for lost, routes := false, 0; !lost || routes < 1000; {
		messages, err := events.receive()
		if err != nil && !errors.Is(err, errOverrun) {
			t.Fatalf("after %d routes, loss reported %v: %v", routes, lost, err)
		}
		lost = lost || err != nil
		for _, m := range messages {
			if _, ok := decode(m).(routeEvent); ok {
				routes++
			}
		}
	}
}

func TestSetPromiscuous(t *testing.T) {
	l := lab.New(t)
	ns, far := l.Namespace("pe"), l.Namespace("ce")
	l.Veth(ns, "eth0", far, "eth0", 1500)
	index := ns.Index("eth0")
	for _, on := range []bool{true, true, false, false} {
		if err := ns.Do(func() error { return SetPromiscuous(index, on) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(ns.Run("ip", "-d", "link", "show", "eth0"), "promiscuity 1"); got != on {
			t.Errorf("set to %v, is %v", on, got)
		}
		err := ns.Do(func() error {
			if got, err := Promiscuous(index); err != nil || got != on {
				return fmt.Errorf("set to %v, read as %v: %w", on, got, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := ns.Do(func() error { _, err := Promiscuous(9999); return err }); err == nil {
		t.Error("an interface that does not exist has a mode")
	}
	if err := ns.Do(func() error { return SetPromiscuous(9999, true) }); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that does not exist: %v, want ENODEV", err)
	}
}

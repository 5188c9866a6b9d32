package speaker_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/evpn/speaker"
)

// config returns the configuration that startPE gave p, with these neighbours.
func config(p *pe, dir string, neighbors ...speaker.Neighbor) speaker.Config {
	return speaker.Config{
		RouterID: p.node.four, ASN: 65000, RuntimeDir: dir,
		WorkerCommand: []string{self(), "bgp-worker"}, Neighbors: neighbors,
	}
}

// Neighbours come, change and go; the others keep their sessions.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 3)
	toA := []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000}}
	toB := speaker.Neighbor{Address: nodes[1].four, ASN: 65000}
	toC := speaker.Neighbor{Address: nodes[2].four, ASN: 65000}
	a := startPE(t, nodes[0], speaker.Config{Neighbors: []speaker.Neighbor{toB}}, nodes[0].advertisement(101))
	b := startPE(t, nodes[1], speaker.Config{Neighbors: toA}, nodes[1].advertisement(102))
	c := startPE(t, nodes[2], speaker.Config{Neighbors: toA}, nodes[2].advertisement(103))
	exchanged(t, a, b)
	markB := b.mark()

	dir := a.runtimeDir
	if err := a.Reconfigure(config(a, dir, toB, toC)); err != nil {
		t.Fatal(err)
	}
	a.waitRoute(t, 103, fresh)
	c.waitRoute(t, 101, fresh)
	if n := a.Neighbors(); len(n) != 2 || n[1].Address != toC.Address || n[1].State != "established" {
		t.Errorf("neighbors %+v", n)
	}

	// A changed neighbour: its routes stay, stale until the session is back.
	mark := a.mark()
	toC.HoldTime = 30 * time.Second
	if err := a.Reconfigure(config(a, dir, toB, toC)); err != nil {
		t.Fatal(err)
	}
	a.waitEvent(t, mark, speaker.PeerDown)
	a.waitEvent(t, mark, speaker.EndOfRIB)
	a.waitRoute(t, 103, fresh)
	if n := a.count(mark, speaker.RouteWithdraw); n != 0 {
		t.Errorf("%d withdrawals for a neighbour that changes", n)
	}

	// A removed neighbour: its routes go.
	if err := a.Reconfigure(config(a, dir, toB)); err != nil {
		t.Fatal(err)
	}
	a.waitNoRoute(t, 103)
	if n := a.Neighbors(); len(n) != 1 {
		t.Errorf("neighbors %+v", n)
	}
	if n := b.count(markB, speaker.PeerDown); n != 0 {
		t.Errorf("the unchanged neighbour lost its session %d times", n)
	}
	a.waitRoute(t, 102, fresh)
}

// A neighbour that is removed while its session is lost leaves nothing behind,
// although GoBGP has withdrawn its stale routes before, which we keep.
func TestRemoveLostNeighbor(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	exchanged(t, a, b)
	mark := a.mark()
	b.stop()
	a.waitEvent(t, mark, speaker.PeerDown)
	a.waitRoute(t, 102, isStale)
	eventually(t, "the neighbour is set up anew", func() error {
		if n := a.Neighbors(); len(n) != 1 || n[0].State != "active" {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	if err := a.Reconfigure(config(a, a.runtimeDir)); err != nil {
		t.Fatal(err)
	}
	a.waitNoRoute(t, 102)
}

// What a running engine cannot become is refused, and nothing changes.
func TestReconfigureRefuses(t *testing.T) {
	t.Parallel()
	s := speaker.New(valid(), nil)
	for name, change := range map[string]func(*speaker.Config){
		"router id": func(c *speaker.Config) { c.RouterID = netip.MustParseAddr("192.0.2.9") },
		"AS":        func(c *speaker.Config) { c.ASN++ },
		"port":      func(c *speaker.Config) { c.ListenPort = 1790 },
		"address":   func(c *speaker.Config) { c.ListenAddresses = []netip.Addr{six(1)} },
		"engine":    func(c *speaker.Config) { c.Gobgpd = "unix:///run/gobgpd.sock" },
		"worker":    func(c *speaker.Config) { c.WorkerCommand = []string{"/bin/false"} },
		"directory": func(c *speaker.Config) { c.RuntimeDir = "/run/other" },
	} {
		c := valid()
		change(&c)
		if err := s.Reconfigure(c); err == nil || !strings.Contains(err.Error(), "without a restart") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := s.Reconfigure(valid()); err != nil {
		t.Errorf("the same configuration: %v", err)
	}
	if err := s.Reconfigure(speaker.Config{}); err == nil {
		t.Error("an empty configuration passes")
	}
}

func valid() speaker.Config {
	return speaker.Config{
		RouterID: netip.MustParseAddr("192.0.2.1"), ASN: 65000, RuntimeDir: "/run/longwire",
		WorkerCommand: []string{"/proc/self/exe", "bgp-worker"},
		Neighbors:     []speaker.Neighbor{{Address: netip.MustParseAddr("192.0.2.254"), ASN: 65000}},
	}
}

func TestValidateConfig(t *testing.T) {
	t.Parallel()
	neighbor := func(f func(*speaker.Neighbor)) func(*speaker.Config) {
		return func(c *speaker.Config) { f(&c.Neighbors[0]) }
	}
	for _, test := range []struct {
		name   string
		change func(*speaker.Config)
		want   string // "" = valid
	}{
		{"good", func(*speaker.Config) {}, ""},
		{"no neighbor", func(c *speaker.Config) { c.Neighbors = nil }, ""},
		{"gobgpd instead of a worker", func(c *speaker.Config) { c.Gobgpd, c.WorkerCommand, c.RuntimeDir = "unix:///x", nil, "" }, ""},
		{"no router id", func(c *speaker.Config) { c.RouterID = netip.Addr{} }, "router id"},
		{"IPv6 router id", func(c *speaker.Config) { c.RouterID = six(1) }, "router id"},
		{"router id 0", func(c *speaker.Config) { c.RouterID = netip.MustParseAddr("0.0.0.0") }, "router id"},
		{"no AS", func(c *speaker.Config) { c.ASN = 0 }, "AS number"},
		{"port", func(c *speaker.Config) { c.ListenPort = 65536 }, "listen port"},
		{"short restart time", func(c *speaker.Config) { c.RestartTime = 29 * time.Second }, "restart time"},
		{"long restart time", func(c *speaker.Config) { c.RestartTime = 4096 * time.Second }, "restart time"},
		{"restart time", func(c *speaker.Config) { c.RestartTime = 30 * time.Second }, ""},
		{"no engine", func(c *speaker.Config) { c.WorkerCommand = nil }, "neither"},
		{"no directory", func(c *speaker.Config) { c.RuntimeDir = "" }, "runtime directory"},
		{"twice", func(c *speaker.Config) { c.Neighbors = append(c.Neighbors, c.Neighbors[0]) }, "occurs twice"},
		{"no address", neighbor(func(n *speaker.Neighbor) { n.Address = netip.Addr{} }), "no usable address"},
		{"multicast address", neighbor(func(n *speaker.Neighbor) { n.Address = netip.MustParseAddr("224.0.0.1") }), "no usable address"},
		{"zone", neighbor(func(n *speaker.Neighbor) { n.Address = netip.MustParseAddr("fe80::1%eth0") }), "no usable address"},
		{"local address", neighbor(func(n *speaker.Neighbor) { n.LocalAddress = netip.MustParseAddr("192.0.2.1") }), ""},
		{"local address of another family", neighbor(func(n *speaker.Neighbor) { n.LocalAddress = six(1) }), "another family"},
		{"no neighbor AS", neighbor(func(n *speaker.Neighbor) { n.ASN = 0 }), "AS number"},
		{"multihop on iBGP", neighbor(func(n *speaker.Neighbor) { n.Multihop = 2 }), "multihop is for eBGP"},
		{"multihop", neighbor(func(n *speaker.Neighbor) { n.ASN, n.Multihop = 65001, 2 }), ""},
		{"multihop and TTL security", neighbor(func(n *speaker.Neighbor) { n.ASN, n.Multihop, n.TTLSecurity = 65001, 2, 1 }), "exclude"},
		{"hold time 2 s", neighbor(func(n *speaker.Neighbor) { n.HoldTime = 2 * time.Second }), "hold time"},
		{"hold time 3 s", neighbor(func(n *speaker.Neighbor) { n.HoldTime = 3 * time.Second }), ""},
		{"password of 80", neighbor(func(n *speaker.Neighbor) { n.Password = strings.Repeat("x", 80) }), ""},
		{"password of 81", neighbor(func(n *speaker.Neighbor) { n.Password = strings.Repeat("x", 81) }), "81 bytes"},
		{"passive without a listener", func(c *speaker.Config) { c.ListenPort, c.Neighbors[0].Passive = -1, true }, "nothing listens"},
	} {
		c := valid()
		test.change(&c)
		err := c.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

package render

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/api"
	"longwire/dataplane/selftest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

var pseudowires = []api.Pseudowire{
	{Name: "customer-a", Interface: "eth2", State: "up", Source: "signalled", Remote: "192.0.2.9", Encapsulation: "ip", LocalSession: 3141592653, RemoteSession: 2718281828, MTU: 1500, UnderlayMTU: 1500, MaxPayload: 1454, NeedMTU: 1546, NeedMTU1500: 1546, TooBig: "answer", CookieRotated: new(ago(12 * time.Second)), Since: ago(75 * time.Hour)},
	{Name: "b", Interface: "eth3", VLANs: "200 inner 100", State: "blocked", Reason: "mtu_mismatch", Detail: "the far end has MTU 9000, we have 1500", Encapsulation: "ip", LocalSession: 7, Since: ago(90 * time.Second)},
	{Name: "c", Interface: "eth4", State: "stale", Reason: "peer_lost", Detail: "the BGP session to 192.0.2.254 is lost", Source: "signalled", Remote: "2001:db8::9", Encapsulation: "udp", LocalSession: 8, RemoteSession: 9, Since: ago(5 * time.Second)},
	{Name: "d", Interface: "eth5", State: "down", Reason: "interface_absent", Detail: "eth5 does not exist", Encapsulation: "ip", LocalSession: 1012, Since: ago(3*time.Hour + 4*time.Minute)},
}

var sessions = []api.Session{
	{Pseudowire: "customer-a", Direction: "receive", Session: 3141592653, Interface: "eth2", Local: "192.0.2.1", Remote: "192.0.2.9", Encapsulation: "ip", Sublayer: "none", CookieLength: 8},
	{Pseudowire: "customer-a", Direction: "transmit", Session: 2718281828, Interface: "eth2", Local: "192.0.2.1", Remote: "192.0.2.9", Encapsulation: "ip", Sublayer: "none", CookieLength: 8, Cookie: "0011223344556677", VLANs: "untagged,100-199", Tags: "pop 1, push 0x88a8/200", Options: []string{"ttl=64", "too-big=fragment"}},
	{Direction: "transmit", Interface: "eth2", Options: []string{"shared", "to-host"}},
	{Pseudowire: "b", Direction: "transmit", Interface: "eth3", Options: []string{"closed"}},
	{Pseudowire: "c", Direction: "transmit", Session: 9, Interface: "eth4", Local: "2001:db8::1", LocalPort: 1701, Remote: "2001:db8::9", RemotePort: 1702, Encapsulation: "udp", Sublayer: "default"},
	{Pseudowire: "d", Direction: "receive", Session: 1012, Interface: "eth5", Local: "192.0.2.1", Encapsulation: "ip+udp", LocalPort: 1701, Sublayer: "none", CookieLength: 4},
}

var neighbors = []api.Neighbor{
	{Address: "192.0.2.254", ASN: 65000, State: "established", Since: ago(26 * time.Hour), Received: 12, Advertised: 4, Flaps: 1},
	{Address: "2001:db8::254", ASN: 4200000000, State: "active", Since: ago(time.Second), Reason: "hold_timer_expired", Detail: "the neighbor refuses us: hold timer expired (4/0)"},
}

var routes = []api.Route{
	{
		Service: 102, RouteTargets: []string{"65000:1", "65000:2"}, RD: "192.0.2.9:1", Peer: "192.0.2.254", NextHop: "192.0.2.9", MTU: 1500,
		Tunnels: []api.Tunnel{{Session: 2718281828, Endpoint: "192.0.2.9", CookieLength: 8, UDPPort: 1701}}, Verdict: "selected", Pseudowires: []string{"customer-a"}, Since: ago(time.Minute),
	},
	{
		Service: 103, RouteTargets: []string{"65000:1"}, RD: "192.0.2.8:1", Peer: "192.0.2.254", NextHop: "192.0.2.8",
		Tunnels: []api.Tunnel{{Session: 5, Endpoint: "192.0.2.8"}}, Verdict: "unused", Since: ago(time.Minute), StaleSince: new(ago(3 * time.Second)),
	},
	{Service: 104, RD: "192.0.2.7:1", Peer: "192.0.2.254", Verdict: "blocked", Reason: "no_encapsulation", Detail: "no usable tunnel", Since: ago(time.Minute)},
}

var counters = []api.Counters{
	{Drops: map[string]uint64{"unknown_session": 12}, SlowPath: &api.SlowPath{Received: 40, Delivered: 33, Failed: 7, RateLimited: 5}},
	{Pseudowire: "customer-a", EncapPackets: 1, EncapBytes: 1514, DecapPackets: 20, DecapBytes: 30280, Fragmented: 7, Answered: 8, PreviousCookie: 9, SequenceGaps: 10, SequenceResets: 11, Drops: map[string]uint64{"wrong_cookie": 3, "too_big": 2, "vccv": 0}},
}

var agent = api.Agent{Version: "v1", PID: 42, Config: "/etc/x.yaml", Started: ago(time.Hour), Holding: true, Repairs: 2, Problems: []string{"underlay interface eth9 does not exist"}, SelfTest: []api.Check{
	{Name: "programs", Result: "ok"}, {Name: "attach", Result: "degraded", Mode: "clsact", Detail: "the kernel has no TCX"},
	{Name: "pins", Result: "skipped", Detail: "no private namespaces"},
}}

var checks = []selftest.Check{
	{Name: "programs", Proves: "the kernel takes them", Result: selftest.OK, Took: 420 * time.Millisecond},
	{Name: "attach", Proves: "by TCX", Result: selftest.Degraded, Mode: selftest.ModeClsact, Detail: "the kernel has no TCX"},
	{Name: "pins", Proves: "forwarding goes on", Result: selftest.Skipped, Detail: "no private namespaces", Took: 1600 * time.Microsecond},
}

func TestTables(t *testing.T) {
	tables := map[string]func(io.Writer) error{
		"pseudowires": func(w io.Writer) error { return Pseudowires(w, pseudowires, now) },
		"pseudowire":  func(w io.Writer) error { return Pseudowire(w, pseudowires[0], now) },
		"sessions":    func(w io.Writer) error { return Sessions(w, sessions) },
		"neighbors":   func(w io.Writer) error { return Neighbors(w, neighbors, now) },
		"routes":      func(w io.Writer) error { return Routes(w, routes, now) },
		"counters":    func(w io.Writer) error { return Counters(w, counters) },
		"agent":       func(w io.Writer) error { return Agent(w, agent, now) },
		"doctor":      func(w io.Writer) error { return Doctor(w, checks) },
		"none":        func(w io.Writer) error { return Pseudowires(w, nil, now) },
		"json":        func(w io.Writer) error { return JSON(w, pseudowires[:1]) },
	}
	for name, print := range tables {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := print(&got); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Every cell but those of the last column is one word, so that awk can read a
// table.
func TestCellsAreWords(t *testing.T) {
	var b bytes.Buffer
	if err := Pseudowires(&b, pseudowires, now); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len(strings.Fields(line)); n < 11 {
			t.Errorf("%d words in %q", n, line)
		}
	}
}

func TestAge(t *testing.T) {
	tests := map[time.Duration]string{
		-time.Second:     "0s",
		59 * time.Second: "59s",
		61 * time.Second: "1m01s",
		time.Hour:        "1h00m",
		25 * time.Hour:   "1d01h",
		2400 * time.Hour: "100d",
	}
	for d, want := range tests {
		if got := age(ago(d), now); got != want {
			t.Errorf("age of %s = %q, want %q", d, got, want)
		}
	}
	if got := age(time.Time{}, now); got != "" {
		t.Errorf("age of no time = %q", got)
	}
}

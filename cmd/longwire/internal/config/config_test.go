package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
	"longwire/evpn"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b dataplane.Cookie) bool { return a == b }),
}

func cookie(t *testing.T, b ...byte) dataplane.Cookie {
	t.Helper()
	c, err := dataplane.NewCookie(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func target(t *testing.T, s string) evpn.RouteTarget {
	t.Helper()
	rt, err := evpn.ParseRouteTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// noSecret is for files without password_file.
func noSecret(string) (string, error) { panic("no secret expected") }

func testSecret(path string) (string, error) { return "secret of " + path, nil }

func TestStaticOnlyDefaults(t *testing.T) {
	const file = `
router: {source: 192.0.2.1}
pseudowires:
  - name: a
    interface: eth2
    static: {remote: 192.0.2.9, local_session: 1012, remote_session: 0x3fd, local_cookie: 00112233}
`
	got, err := Parse("x.yaml", []byte(file), noSecret)
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddr("192.0.2.1")
	want := &Config{
		Router:    Router{Sources: []netip.Addr{own}},
		Underlay:  Underlay{Auto: true},
		BGP:       BGP{ListenPort: 179, RestartTime: 2 * time.Minute, SelectionTime: time.Minute, StaleTime: 2 * time.Minute},
		Dataplane: Dataplane{Capacity: 16384, Attach: "auto", SlowPathRate: 10000},
		State:     State{Socket: DefaultSocket, Pins: "/sys/fs/bpf/longwire", Runtime: "/run/longwire"},
		Pseudowires: []Pseudowire{{
			Name: "a", Interface: "eth2", Tags: Tags{Mode: TagsKeep}, Source: own, Port: 1701, CookieLength: 8, TTL: 64,
			Static: &Static{
				When: WhenAlways, After: 5 * time.Second, Remote: netip.MustParseAddr("192.0.2.9"),
				LocalSession: 1012, RemoteSession: 1021, LocalCookie: cookie(t, 0, 0x11, 0x22, 0x33), RemotePort: 1701,
			},
		}},
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestSignalled(t *testing.T) {
	const file = `
router: {id: 192.0.2.1, asn: 65000, source: ["2001:db8::1", 192.0.2.1]}
underlay: [eth0, eth1]
bgp:
  listen: none
  neighbors: [{address: 192.0.2.254, asn: 65000, password_file: /k}]
pseudowires:
  - name: a
    interface: eth2
    encapsulation: udp
    port: 5000
    sublayer: default
    cookie: 4
    mtu: 9000
    mtu_check: ignore
    ttl: 9
    evpn: {route_target: ["65000:70001", "192.0.2.1:5"], local_service: 101, remote_service: 102}
    static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}
`
	got, err := Parse("x.yaml", []byte(file), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	wantPW := Pseudowire{
		Name: "a", Interface: "eth2", Tags: Tags{Mode: TagsKeep}, Source: netip.MustParseAddr("192.0.2.1"),
		Encapsulation: dataplane.EncapsulationUDP, Port: 5000, Sublayer: dataplane.SublayerDefault,
		CookieLength: 4, MTU: 9000, IgnoreMTU: true, TTL: 9,
		EVPN: &EVPN{
			RD:           evpn.NewRD1(netip.MustParseAddr("192.0.2.1"), 70001-65536),
			RouteTargets: []evpn.RouteTarget{target(t, "65000:70001"), target(t, "192.0.2.1:5")},
			LocalService: 101, RemoteService: 102,
		},
		Static: &Static{
			When: WhenFallback, After: 5 * time.Second, Remote: netip.MustParseAddr("192.0.2.9"),
			LocalSession: 1, RemoteSession: 2, RemotePort: 5000,
		},
	}
	if diff := cmp.Diff([]Pseudowire{wantPW}, got.Pseudowires, compare); diff != "" {
		t.Errorf("pseudowires (-want +got):\n%s", diff)
	}
	wantNeighbors := []Neighbor{{Address: netip.MustParseAddr("192.0.2.254"), ASN: 65000, Port: 179, Password: "secret of /k", HoldTime: 90 * time.Second}}
	if diff := cmp.Diff(wantNeighbors, got.BGP.Neighbors, compare); diff != "" {
		t.Errorf("neighbors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Underlay{Interfaces: []string{"eth0", "eth1"}}, got.Underlay); diff != "" {
		t.Errorf("underlay (-want +got):\n%s", diff)
	}
	if got.BGP.ListenPort != -1 {
		t.Errorf("listen: none gives port %d", got.BGP.ListenPort)
	}
}

func TestReservedSessions(t *testing.T) {
	cfg := &Config{
		Dataplane:   Dataplane{ReservedSessions: []SessionRange{{10, 20}, {30, 30}}},
		Pseudowires: []Pseudowire{{Name: "a", Static: &Static{LocalSession: 7}}, {Name: "b"}},
	}
	for id, want := range map[dataplane.SessionID]bool{6: false, 7: true, 8: false, 9: false, 10: true, 15: true, 20: true, 21: false, 30: true, 31: false} {
		if got := cfg.ReservedSession(id); got != want {
			t.Errorf("ReservedSession(%d) = %t", id, got)
		}
	}
}

func TestRouteDistinguisherTypes(t *testing.T) {
	tests := map[string]evpn.RD{
		"65000:70000":  {0, 0, 0xfd, 0xe8, 0, 1, 0x11, 0x70},
		"192.0.2.1:7":  {0, 1, 192, 0, 2, 1, 0, 7},
		"4200000000:9": {0, 2, 0xfa, 0x56, 0xea, 0x00, 0, 9},
	}
	for text, want := range tests {
		r := resolver{&report{}}
		got := r.routeDistinguisher(scalar{place{1, "rd"}, text})
		if got != want || len(r.errs) > 0 {
			t.Errorf("RD %s = %x, errors %v, want %x", text, got, r.errs, want)
		}
	}
}

func TestReferenceLoads(t *testing.T) {
	cfg, err := Parse("reference.yaml", []byte(Reference), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Pseudowires) != 5 || len(cfg.BGP.Neighbors) != 3 {
		t.Errorf("the reference has %d pseudowires and %d neighbours", len(cfg.Pseudowires), len(cfg.BGP.Neighbors))
	}
}

// What the comments of the reference say of its circuits is so.
func TestReferenceCircuits(t *testing.T) {
	cfg, err := Parse("reference.yaml", []byte(Reference), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	type circuit struct {
		VLANs dataplane.VLANs
		Tags  Tags
	}
	got := map[string]circuit{}
	for _, pw := range cfg.Pseudowires {
		got[pw.Name] = circuit{pw.VLANs, pw.Tags}
	}
	want := map[string]circuit{
		"customer-a": {Tags: Tags{Mode: TagsKeep}},
		"customer-b": {Tags: Tags{Mode: TagsKeep}},
		"customer-c": {dataplane.VLANs{Outer: "100"}, Tags{Mode: TagsTranslate, Type: 0x8100}},
		"customer-d": {dataplane.VLANs{Outer: "200", Inner: 100}, Tags{Mode: TagsTranslate, Type: 0x88a8}},
		"customer-e": {dataplane.VLANs{Outer: "0,101,300-399"}, Tags{Mode: TagsPush, Type: 0x8100, Push: 500}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every key that the decoder knows is in the reference, as a key of the text.
func TestReferenceIsComplete(t *testing.T) {
	for _, key := range keysOf(reflect.TypeFor[rawFile]()) {
		if !strings.Contains(Reference, " "+key+":") && !strings.Contains(Reference, "\n"+key+":") {
			t.Errorf("reference.yaml does not show %s", key)
		}
	}
}

// The defaults that the comments of the reference promise are the real ones:
// removing the lines changes nothing.
func TestReferenceShowsDefaults(t *testing.T) {
	full, err := Parse("reference.yaml", []byte(Reference), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(Reference) {
		if !hasAnyPrefix(strings.TrimSpace(line), "underlay:", "listen: 179", "restart_time", "selection_time", "stale_time", "port: 179",
			"passive", "hold_time", "capacity", "attach", "xdp", "unknown_session", "slow_path_rate", "state:", "runtime", "socket", "pins",
			"l2_protocols", "stp", "lacp", "lldp", "pvst", "dot1x", "cfm", "cookie: 8", "ttl: 64", "dscp", "ecn",
			"too_big", "mss_clamp", "dont_fragment", "source_port", "udp_checksum", "sequencing", "tags: translate", "tag_type",
			"mtu_check", "sublayer: none", "encapsulation: ip", "when", "after", "rd:", "port: 1701", "source: 192.0.2.1") {
			kept = append(kept, line)
		}
	}
	short, err := Parse("short.yaml", []byte(strings.Join(kept, "")), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, short, compare); diff != "" {
		t.Errorf("with defaults left out (-reference +short):\n%s", diff)
	}
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		key, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		keys = append(keys, key)
		if ft := f.Type; (ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice) && ft != scalarsType {
			keys = append(keys, keysOf(ft.Elem())...)
		}
	}
	return keys
}

package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
)

// valid is one spelling of something and what it means.
type valid struct {
	name string
	file string
	read func(*Config) any
	want any
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, addr(s))
	}
	return out
}

func firstPW(c *Config) Pseudowire     { return c.Pseudowires[0] }
func firstNeighbor(c *Config) Neighbor { return c.BGP.Neighbors[0] }

const neighborHead = "neighbors: [{address: 192.0.2.2, asn: 65001, "

var validRouter = []valid{
	{"one source", "router: {source: 192.0.2.1}", func(c *Config) any { return c.Router.Sources }, addrs("192.0.2.1")},
	{"several sources", "router: {source: [192.0.2.1, \"2001:db8::1\"]}", func(c *Config) any { return c.Router.Sources }, addrs("192.0.2.1", "2001:db8::1")},
	{"largest asn", "router: {source: 192.0.2.1, asn: 4294967294}", func(c *Config) any { return c.Router.ASN }, uint32(4294967294)},
	{"underlay auto", "router: {source: 192.0.2.1}\nunderlay: auto", func(c *Config) any { return c.Underlay }, Underlay{Auto: true}},
	{"one underlay", "router: {source: 192.0.2.1}\nunderlay: eth0", func(c *Config) any { return c.Underlay }, Underlay{Interfaces: []string{"eth0"}}},
	{"odd interface names", "router: {source: 192.0.2.1}\nunderlay: [eth0.100, br-a@1, \"0\"]", func(c *Config) any { return c.Underlay.Interfaces }, []string{"eth0.100", "br-a@1", "0"}},
	{"empty sections", "router: {source: 192.0.2.1}\nbgp:\ndataplane:\nstate:\nmetrics:\npseudowires:\n", func(c *Config) any { return len(c.Pseudowires) }, 0},
	{"comments and CRLF", "# c\r\nrouter:\r\n  source: 192.0.2.1 # c\r\n", func(c *Config) any { return c.Router.Sources }, addrs("192.0.2.1")},
	{"a document mark", "---\nrouter: {source: 192.0.2.1}\n", func(c *Config) any { return c.Router.Sources }, addrs("192.0.2.1")},
	{"largest capacity", "router: {source: 192.0.2.1}\ndataplane: {capacity: 4194304, attach: clsact}", func(c *Config) any { return c.Dataplane }, Dataplane{Capacity: 4194304, Attach: "clsact", SlowPathRate: 10000}},
	{"the socket follows the runtime directory", "router: {source: 192.0.2.1}\nstate: {runtime: /run/pe1/}", func(c *Config) any { return c.State }, State{Socket: "/run/pe1/longwire.sock", Pins: "/sys/fs/bpf/longwire", Runtime: "/run/pe1"}},
	{"a socket of its own", "router: {source: 192.0.2.1}\nstate: {socket: /run/x.sock}", func(c *Config) any { return c.State.Socket }, "/run/x.sock"},
	{"metrics on IPv6", "router: {source: 192.0.2.1}\nmetrics: {listen: \"[::1]:9550\"}", func(c *Config) any { return c.Metrics.Listen.String() }, "[::1]:9550"},
}

var validBGP = []valid{
	{"listen on another port", bgpFile("listen: 1179"), func(c *Config) any { return c.BGP.ListenPort }, int32(1179)},
	{"listen not at all", bgpFile("listen: none"), func(c *Config) any { return c.BGP.ListenPort }, int32(-1)},
	{"listen on any address", bgpFile("listen_address: [0.0.0.0, \"::\"]"), func(c *Config) any { return c.BGP.ListenAddresses }, addrs("0.0.0.0", "::")},
	{"no time for stale routes", bgpFile("stale_time: 0s"), func(c *Config) any { return c.BGP.StaleTime }, time.Duration(0)},
	{"longest restart", bgpFile("restart_time: 1h8m15s"), func(c *Config) any { return c.BGP.RestartTime }, 4095 * time.Second},
	{"gobgpd by socket", bgpFile("gobgpd: unix:///run/g.sock"), func(c *Config) any { return c.BGP.Gobgpd }, "unix:///run/g.sock"},
	{"gobgpd by address", bgpFile("gobgpd: 127.0.0.1:50051"), func(c *Config) any { return c.BGP.Enabled() }, true},
	{"BGP without neighbours is off", bgpFile("listen: 1179"), func(c *Config) any { return c.BGP.Enabled() }, false},
	{"eBGP over hops", bgpFile(neighborHead + "multihop: 255}]"), func(c *Config) any { return firstNeighbor(c).Multihop }, uint8(255)},
	{"TTL security", bgpFile(neighborHead + "ttl_security: 1}]"), func(c *Config) any { return firstNeighbor(c).TTLSecurity }, uint8(1)},
	{"passive", bgpFile(neighborHead + "passive: true, port: 1179}]"), func(c *Config) any { n := firstNeighbor(c); return []any{n.Passive, n.Port} }, []any{true, uint16(1179)}},
	{"local address", bgpFile(neighborHead + "local_address: 192.0.2.1}]"), func(c *Config) any { return firstNeighbor(c).LocalAddress }, addr("192.0.2.1")},
	{"hold time", bgpFile(neighborHead + "hold_time: 3s}]"), func(c *Config) any { return firstNeighbor(c).HoldTime }, 3 * time.Second},
	{"password", bgpFile(neighborHead + "password_file: /k}]"), func(c *Config) any { return firstNeighbor(c).Password }, "secret of /k"},
}

// twoSources is a pseudowire on a router of both families.
func twoSources(rest string) string {
	return "router: {source: [192.0.2.1, \"2001:db8::1\"]}\npseudowires:\n- name: a\n  interface: e\n" + rest
}

const staticRest = ", local_session: 1, remote_session: 2}"

var validPseudowires = []valid{
	{"source by the static far end", twoSources("  static: {remote: \"2001:db8::9\"" + staticRest), func(c *Config) any { return firstPW(c).Source }, addr("2001:db8::1")},
	{"first source otherwise", twoSources("  static: {remote: 192.0.2.9" + staticRest), func(c *Config) any { return firstPW(c).Source }, addr("192.0.2.1")},
	{"given source", twoSources("  source: \"2001:db8::1\"\n  static: {remote: \"2001:db8::9\"" + staticRest), func(c *Config) any { return firstPW(c).Source }, addr("2001:db8::1")},
	{"no cookie", staticHead + static("a", "e", "local_session: 1"), func(c *Config) any { return firstPW(c).Static.LocalCookie.Len() }, 0},
	{"cookie of digits only", staticHead + static("a", "e", "local_session: 1, remote_cookie: 00000010"), func(c *Config) any { return firstPW(c).Static.RemoteCookie.String() }, "00000010"},
	{"cookie with 0x", staticHead + static("a", "e", "local_session: 1, remote_cookie: 0xDEADBEEFCAFEF00D"), func(c *Config) any { return firstPW(c).Static.RemoteCookie.String() }, "deadbeefcafef00d"},
	{"cookie like a float", staticHead + static("a", "e", "local_session: 1, remote_cookie: 12345e10"), func(c *Config) any { return firstPW(c).Static.RemoteCookie.String() }, "12345e10"},
	{"largest session", staticHead + static("a", "e", "local_session: 0xffffffff"), func(c *Config) any { return firstPW(c).Static.LocalSession }, dataplane.SessionID(0xffffffff)},
	{"a session with leading zeros is decimal", staticHead + static("a", "e", "local_session: 010"), func(c *Config) any { return firstPW(c).Static.LocalSession }, dataplane.SessionID(10)},
	{"remote port follows port", staticHead + "- {name: a, interface: e, encapsulation: udp, port: 1702, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}", func(c *Config) any { return firstPW(c).Static.RemotePort }, uint16(1702)},
	{"static alone is always", staticHead + static("a", "e", "local_session: 1, when: always"), func(c *Config) any { return firstPW(c).Static.When }, WhenAlways},
	{"longest name", staticHead + static(strings.Repeat("n", 63), "e", "local_session: 1"), func(c *Config) any { return len(firstPW(c).Name) }, 63},
	{"one service, two route targets", signalledHead + signalled("a", "e", "1") + "- {name: b, interface: f, evpn: {route_target: \"65000:2\", local_service: 1, remote_service: 9}}", func(c *Config) any { return c.Pseudowires[1].EVPN.RD.String() }, "192.0.2.1:2"},
	{"both service ids equal", signalledHead + signalled("a", "e", "9"), func(c *Config) any { return firstPW(c).EVPN.LocalService == firstPW(c).EVPN.RemoteService }, true},
	{"given RD", signalledHead + "- {name: a, interface: e, evpn: {rd: \"65000:5\", route_target: \"65000:1\", local_service: 1, remote_service: 9}}", func(c *Config) any { return firstPW(c).EVPN.RD.String() }, "65000:5"},
	{"fallback at once", signalledHead + strings.TrimSuffix(signalled("a", "e", "1"), "}\n") + ", static: {remote: 192.0.2.9, local_session: 1, remote_session: 2, after: 0s}}", func(c *Config) any { return firstPW(c).Static.After }, time.Duration(0)},
}

func TestValid(t *testing.T) {
	groups := map[string][]valid{"router": validRouter, "bgp": validBGP, "pseudowires": validPseudowires}
	for group, rows := range groups {
		for _, row := range rows {
			t.Run(group+"/"+row.name, func(t *testing.T) {
				cfg, err := Parse("pe1.yaml", []byte(row.file), testSecret)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(row.want, row.read(cfg), compare); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What a file says about no state is what there is without a file.
func TestDefaultState(t *testing.T) {
	cfg, err := Parse("x", []byte("router: {source: 192.0.2.1}"), noSecret)
	if err != nil {
		t.Fatal(err)
	}
	if got := DefaultState(); got != cfg.State || got.Socket != DefaultSocket {
		t.Errorf("DefaultState() = %+v, a file gives %+v", got, cfg.State)
	}
}

package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// mistake is one row: a file, and the one error that it must give.
type mistake struct {
	name    string
	file    string
	line    int
	key     string
	problem string // part of the message
}

// signalled is a valid file to which a row adds its mistake. Lines 1 to 4.
const signalledHead = `router: {id: 192.0.2.1, asn: 65000, source: 192.0.2.1}
bgp: {neighbors: [{address: 192.0.2.254, asn: 65000}]}
pseudowires:
`

func signalled(name, iface, service string) string {
	return fmt.Sprintf("- {name: %s, interface: %s, evpn: {route_target: \"65000:1\", local_service: %s, remote_service: 9}}\n", name, iface, service)
}

// static is a pseudowire on one line, for after staticHead.
func static(name, iface, rest string) string {
	return fmt.Sprintf("- {name: %s, interface: %s, static: {remote: 192.0.2.9, remote_session: 2, %s}}\n", name, iface, rest)
}

const staticHead = "router: {source: 192.0.2.1}\npseudowires:\n"

var syntaxMistakes = []mistake{
	{"empty", "", 1, "", "empty"},
	{"only comments", "# nothing\n", 1, "", "empty"},
	{"not YAML", "router: {\n  source: [\n", 2, "", "is not YAML"},
	{"tab", "router:\n\tsource: 192.0.2.1\n", 2, "", "is not YAML"},
	{"second document", staticHead + static("a", "e", "local_session: 1") + "---\nx: 1\n", 4, "", "second YAML document"},
	{"a list at the top", "- router\n", 1, "", "must be a mapping of keys, not a list"},
	{"unknown top key", "routers: {}\n" + staticHead + static("a", "e", "local_session: 1"), 1, "routers", `unknown key "routers"`},
	{"unknown nested key", staticHead + static("a", "e", "local_session: 1, cokie: 1"), 3, "pseudowires[0].static.cokie", `unknown key "cokie"`},
	{"key twice", "router:\n  source: 192.0.2.1\n  source: 192.0.2.2\n", 3, "router.source", "given twice, first on line 2"},
	{"list where a value is wanted", "router: {id: [192.0.2.1], source: 192.0.2.1}\n", 1, "router.id", "must be a single value, not a list"},
	{"value where a mapping is wanted", "router: 192.0.2.1\n", 1, "router", "must be a mapping of keys, not a single value"},
	{"mapping where a list is wanted", "router: {source: 192.0.2.1}\npseudowires: {a: 1}\n", 2, "pseudowires", "must be a list, not a mapping"},
	{"mapping where a value or list is wanted", "router: {source: {a: 1}}\n", 1, "router.source", "must be a single value, not a mapping"},
	{"null value", "router: {source: 192.0.2.1, id: }\n", 1, "router.id", "has no value"},
	{"anchor", "router: &r {source: 192.0.2.1}\n", 1, "router", "anchors and aliases"},
	{"alias", "router: {source: 192.0.2.1}\nunderlay: *x\n", 2, "", "unknown anchor"},
}

var valueMistakes = []mistake{
	{"router missing", "pseudowires: []\n", 1, "router", "is missing"},
	{"source missing", "router: {id: 192.0.2.1}\n", 1, "router.source", "is missing"},
	{"source empty list", "router: {source: []}\n", 1, "router.source", "empty list"},
	{"source not an address", "router: {source: eth0}\n", 1, "router.source", `"eth0" is not an IPv4 or IPv6 address`},
	{"source multicast", "router: {source: 224.0.0.1}\n", 1, "router.source", "not a unicast address"},
	{"source loopback", "router: {source: 127.0.0.1}\n", 1, "router.source", "other routers can reach"},
	{"source unspecified", "router: {source: \"::\"}\n", 1, "router.source", "not a unicast address"},
	{"source mapped", "router: {source: \"::ffff:192.0.2.1\"}\n", 1, "router.source", "write 192.0.2.1"},
	{"source with zone", "router: {source: fe80::1%eth0}\n", 1, "router.source", "without zone"},
	{"source twice", "router:\n  source:\n  - 192.0.2.1\n  - 192.0.2.1\n", 4, "router.source[1]", "given twice"},
	{"id is IPv6", "router: {id: \"2001:db8::1\", source: 192.0.2.1}\n", 1, "router.id", "not a BGP identifier"},
	{"asn not a number", "router: {asn: AS1, source: 192.0.2.1}\n", 1, "router.asn", "not a number from 1"},
	{"asn reserved", "router: {asn: 23456, source: 192.0.2.1}\n", 1, "router.asn", "reserved"},
	{"underlay loopback", "router: {source: 192.0.2.1}\nunderlay: [eth0, lo]\n", 2, "underlay[1]", "loopback"},
	{"underlay auto in a list", "router: {source: 192.0.2.1}\nunderlay: [eth0, auto]\n", 2, "underlay[1]", "auto stands alone"},
	{"underlay twice", "router: {source: 192.0.2.1}\nunderlay: [eth0, eth0]\n", 2, "underlay[1]", "given twice"},
	{"underlay helper", "router: {source: 192.0.2.1}\nunderlay: longwire0\n", 2, "underlay", "belongs to the agent"},
	{"capacity", "router: {source: 192.0.2.1}\ndataplane: {capacity: 0}\n", 2, "dataplane.capacity", "not a number from 1"},
	{"attach", "router: {source: 192.0.2.1}\ndataplane: {attach: xdp}\n", 2, "dataplane.attach", "one of auto, tcx, clsact"},
	{"relative path", "router: {source: 192.0.2.1}\nstate: {pins: longwire}\n", 2, "state.pins", "absolute path"},
	{"long socket", "router: {source: 192.0.2.1}\nstate: {runtime: /" + strings.Repeat("x", 100) + "}\n", 2, "state.runtime", "longer than 107 bytes"},
	{"metrics", "router: {source: 192.0.2.1}\nmetrics: {listen: 9550}\n", 2, "metrics.listen", "address with a port"},
	{"name missing", staticHead + "- {interface: e, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].name", "is missing"},
	{"name bad", staticHead + static("a/b", "e", "local_session: 1"), 3, "pseudowires[0].name", "not a name"},
	{"name long", staticHead + static(strings.Repeat("n", 64), "e", "local_session: 1"), 3, "pseudowires[0].name", "not a name"},
	{"interface missing", staticHead + "- {name: a, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].interface", "is missing"},
	{"interface long", staticHead + static("a", "averyveryverylongname", "local_session: 1"), 3, "pseudowires[0].interface", "not an interface name"},
	{"neither evpn nor static", staticHead + "- {name: a, interface: e}\n", 3, "pseudowires[0]", "neither evpn nor static"},
	{"port without udp", staticHead + "- {name: a, interface: e, port: 5, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].port", "for encapsulation: udp"},
	{"cookie length", staticHead + "- {name: a, interface: e, cookie: 5, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].cookie", "not a cookie length"},
	{"mtu", staticHead + "- {name: a, interface: e, mtu: 70000, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].mtu", "from 68 to 65535"},
	{"ttl", staticHead + "- {name: a, interface: e, ttl: 0, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].ttl", "from 1 to 255"},
	{"source not ours", staticHead + "- {name: a, interface: e, source: 192.0.2.2, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].source", "not in router.source"},
	{"session zero", staticHead + static("a", "e", "local_session: 0"), 3, "pseudowires[0].static.local_session", "session id 0 is a control message"},
	{"session too big", staticHead + static("a", "e", "local_session: 4294967296"), 3, "pseudowires[0].static.local_session", "from 1 to 4294967295"},
	{"session missing", staticHead + static("a", "e", "local_cookie: 00112233"), 3, "pseudowires[0].static.local_session", "is missing"},
	{"cookie of 3 bytes", staticHead + static("a", "e", "local_session: 1, remote_cookie: 001122"), 3, "pseudowires[0].static.remote_cookie", "8 or 16 hexadecimal digits"},
	{"cookie not hex", staticHead + static("a", "e", "local_session: 1, remote_cookie: hello"), 3, "pseudowires[0].static.remote_cookie", "8 or 16 hexadecimal digits"},
	{"remote port without udp", staticHead + static("a", "e", "local_session: 1, remote_port: 5"), 3, "pseudowires[0].static.remote_port", "for encapsulation: udp"},
	{"fallback without evpn", staticHead + static("a", "e", "local_session: 1, when: fallback"), 3, "pseudowires[0].static.when", "nothing to fall back from"},
	{"after without evpn", staticHead + static("a", "e", "local_session: 1, after: 5s"), 3, "pseudowires[0].static.after", "is for a fallback"},
	{"after without unit", signalledHead + strings.TrimSuffix(signalled("a", "e", "1"), "}\n") + ", static: {remote: 192.0.2.9, local_session: 1, remote_session: 2, after: 5}}\n", 4, "pseudowires[0].static.after", "not a duration"},
	{"service zero", signalledHead + signalled("a", "e", "0"), 4, "pseudowires[0].evpn.local_service", "not a number from 1"},
	{"service MAX-ET", signalledHead + signalled("a", "e", "4294967295"), 4, "pseudowires[0].evpn.local_service", "not a number from 1"},
	{"route target", signalledHead + "- {name: a, interface: e, evpn: {route_target: 65000, local_service: 1, remote_service: 9}}\n", 4, "pseudowires[0].evpn.route_target", "not a route target"},
	{"route target missing", signalledHead + "- {name: a, interface: e, evpn: {local_service: 1, remote_service: 9}}\n", 4, "pseudowires[0].evpn.route_target", "is missing"},
	{"rd", signalledHead + "- {name: a, interface: e, evpn: {rd: \"192.0.2.1:70000\", route_target: \"65000:1\", local_service: 1, remote_service: 9}}\n", 4, "pseudowires[0].evpn.rd", "not a route distinguisher"},
}

// bgpFile puts the keys of bgp on line 2.
func bgpFile(keys string) string {
	return "router: {id: 192.0.2.1, asn: 65000, source: 192.0.2.1}\nbgp: {" + keys + "}\n"
}

var bgpMistakes = []mistake{
	{"neighbour without address", bgpFile("neighbors: [{asn: 1}]"), 2, "bgp.neighbors[0].address", "is missing"},
	{"neighbour without asn", bgpFile("neighbors: [{address: 192.0.2.2}]"), 2, "bgp.neighbors[0].asn", "is missing"},
	{"neighbour is ourselves", bgpFile("neighbors: [{address: 192.0.2.1, asn: 1}]"), 2, "bgp.neighbors[0].address", "our own address"},
	{"neighbour twice", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1},\n {address: 192.0.2.2, asn: 1}]"), 3, "bgp.neighbors[1].address", "already the neighbour on line 2"},
	{"local address family", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, local_address: \"2001:db8::1\"}]"), 2, "bgp.neighbors[0].local_address", "not of the family"},
	{"multihop iBGP", bgpFile("neighbors: [{address: 192.0.2.2, asn: 65000, multihop: 3}]"), 2, "bgp.neighbors[0].multihop", "is for eBGP"},
	{"multihop and ttl_security", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, multihop: 3, ttl_security: 1}]"), 2, "bgp.neighbors[0].ttl_security", "conflicts with multihop on line 2"},
	{"passive is not a boolean", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, passive: yes}]"), 2, "bgp.neighbors[0].passive", "not true or false"},
	{"passive without listener", bgpFile("listen: none, neighbors: [{address: 192.0.2.2, asn: 1, passive: true}]"), 2, "bgp.neighbors[0].passive", "conflicts with listen: none on line 2"},
	{"hold time", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, hold_time: 2s}]"), 2, "bgp.neighbors[0].hold_time", "not from 3s to"},
	{"password file", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, password_file: /none}]"), 2, "bgp.neighbors[0].password_file", "/none: no such secret"},
	{"relative password file", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, password_file: k}]"), 2, "bgp.neighbors[0].password_file", "absolute path"},
	{"listen", bgpFile("listen: 70000"), 2, "bgp.listen", "from 1 to 65535"},
	{"listen none with address", bgpFile("listen: none, listen_address: 192.0.2.1"), 2, "bgp.listen_address", "conflicts with listen: none"},
	{"restart time", bgpFile("restart_time: 5s"), 2, "bgp.restart_time", "not from 30s to 1h8m15s"},
	{"gobgpd", bgpFile("gobgpd: localhost"), 2, "bgp.gobgpd", "not the API of a gobgpd"},
	{"gobgpd and neighbors", bgpFile("gobgpd: unix:///x, neighbors: [{address: 192.0.2.2, asn: 1}]"), 2, "bgp.gobgpd", "conflicts with neighbors on line 2"},
	{"no router id", "router: {asn: 1, source: 192.0.2.1}\nbgp: {neighbors: [{address: 192.0.2.2, asn: 1}]}\n", 1, "router.id", "BGP needs a router id"},
	{"no asn", "router: {id: 192.0.2.1, source: 192.0.2.1}\nbgp: {neighbors: [{address: 192.0.2.2, asn: 1}]}\n", 1, "router.asn", "BGP needs our AS number"},
	{"evpn without neighbours", "router: {id: 192.0.2.1, asn: 1, source: 192.0.2.1}\npseudowires:\n" + signalled("a", "e", "1"), 3, "pseudowires[0].evpn", "nobody to announce it to"},
}

var conflictMistakes = []mistake{
	{"name twice", staticHead + static("a", "e", "local_session: 1") + static("a", "f", "local_session: 3"), 4, "pseudowires[1].name", "name a is already used on line 3"},
	{"interface twice", staticHead + static("a", "e", "local_session: 1") + static("b", "e", "local_session: 3"), 4, "pseudowires[1].interface", "interface e is already used on line 3"},
	{"local session twice", staticHead + static("a", "e", "local_session: 16") + static("b", "f", "local_session: 0x10"), 4, "pseudowires[1].static.local_session", "local session id 16 is already used on line 3"},
	{"service twice", signalledHead + signalled("a", "e", "1") + signalled("b", "f", "1"), 5, "pseudowires[1].evpn.local_service", "service 1 is already used with this route target on line 4"},
	{
		"service twice by RD", signalledHead + signalled("a", "e", "1") + "- {name: b, interface: f, evpn: {route_target: \"65009:1\", local_service: 1, remote_service: 9}}\n",
		5, "pseudowires[1].evpn.local_service", "with the route distinguisher 192.0.2.1:1 on line 4",
	},
	{"remote is ourselves", staticHead + "- {name: a, interface: e, static: {remote: 192.0.2.1, local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].static.remote", "our own address, given as router.source on line 1"},
	{
		"remote is ourselves, written otherwise", "router:\n  source: \"2001:DB8::1\"\npseudowires:\n- {name: a, interface: e, static: {remote: \"2001:db8:0::1\", local_session: 1, remote_session: 2}}\n",
		4, "pseudowires[0].static.remote", "given as router.source on line 2",
	},
	{"remote of another family", staticHead + "- {name: a, interface: e, static: {remote: \"2001:db8::9\", local_session: 1, remote_session: 2}}\n", 3, "pseudowires[0].static.remote", "no address of the family"},
	{
		"remote and source differ", "router: {source: [192.0.2.1, \"2001:db8::1\"]}\npseudowires:\n- name: a\n  interface: e\n  source: 192.0.2.1\n  static: {remote: \"2001:db8::9\", local_session: 1, remote_session: 2}\n",
		6, "pseudowires[0].static.remote", "not of the family of source 192.0.2.1 on line 5",
	},
	{"underlay is a circuit", "router: {source: 192.0.2.1}\nunderlay: [eth0, e]\npseudowires:\n" + static("a", "e", "local_session: 1"), 4, "pseudowires[0].interface", "e is also an underlay interface on line 2"},
	{
		"after with always", signalledHead + "- name: a\n  interface: e\n  evpn: {route_target: \"65000:1\", local_service: 1, remote_service: 9}\n  static: {when: always, after: 3s, remote: 192.0.2.9, local_session: 1, remote_session: 2}\n",
		7, "pseudowires[0].static.after", "conflicts with when: always on line 7",
	},
}

func TestMistakes(t *testing.T) {
	groups := map[string][]mistake{"syntax": syntaxMistakes, "values": valueMistakes, "bgp": bgpMistakes, "conflicts": conflictMistakes}
	secret := func(string) (string, error) { return "", errors.New("no such secret") }
	for group, rows := range groups {
		for _, row := range rows {
			t.Run(group+"/"+row.name, func(t *testing.T) {
				_, err := Parse("pe1.yaml", []byte(row.file), secret)
				var errs Errors
				if !errors.As(err, &errs) {
					t.Fatalf("Parse gives %v, want an Errors", err)
				}
				got := errs[0]
				if len(errs) != 1 || got.Line != row.line || got.Key != row.key || !strings.Contains(got.Error(), row.problem) {
					t.Errorf("got %d errors:\n%v\nwant one on line %d, key %q, with %q", len(errs), errs, row.line, row.key, row.problem)
				}
				if !strings.HasPrefix(got.Error(), fmt.Sprintf("pe1.yaml:%d: ", row.line)) {
					t.Errorf("%q does not begin with file and line", got)
				}
			})
		}
	}
}

// All mistakes of a file are told at once, in the order of the file.
func TestSeveralMistakes(t *testing.T) {
	const file = "router: {source: nonsense}\nunknown: 1\npseudowires:\n- {name: a, interface: e, ttl: 999, static: {}}\n"
	_, err := Parse("x", []byte(file), noSecret)
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	last := 0
	for _, e := range errs {
		if e.Line < last {
			t.Errorf("line %d after line %d", e.Line, last)
		}
		last = e.Line
	}
	if len(errs) != 6 {
		t.Errorf("%d errors, want source, unknown, ttl and three keys of static:\n%v", len(errs), err)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := Parse("x", []byte(staticHead+strings.Repeat("- {nonsense: 1}\n", 1000)), noSecret)
	if got := strings.Count(err.Error(), "\n") + 1; got != maxErrors {
		t.Errorf("%d lines of errors, want %d", got, maxErrors)
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	for _, keys := range []string{
		"local_cookie: deadbeefcafe", "local_cookie: 00112233, previous_local_cookie: deadbeefcafe",
		"local_cookie: 00112233, previous_local_cookie: deadbeefcafef00d", "local_cookie: deadbeef, previous_local_cookie: 0011223344556677",
		"previous_local_cookie: deadbeef",
	} {
		_, err := Parse("x", []byte(staticHead+static("a", "e", "local_session: 1, "+keys)), noSecret)
		if err == nil || strings.Contains(err.Error(), "deadbeef") {
			t.Errorf("%s: the error repeats a cookie, or there is none: %v", keys, err)
		}
	}
}

package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"longwire/dataplane"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.EquateComparable(dataplane.Cookie{}), cmp.AllowUnexported(mark{}),
}

// knownInterfaces are those of a host that has a circuit and an underlay.
func knownInterfaces(text string) (*net.Interface, error) {
	switch text {
	case "eth1", "5":
		return &net.Interface{Index: 5, Name: "eth1"}, nil
	case "eth0", "3":
		return &net.Interface{Index: 3, Name: "eth0"}, nil
	}
	return nil, errors.New("no such interface")
}

func cookie(t *testing.T, b ...byte) dataplane.Cookie {
	t.Helper()
	c, err := dataplane.NewCookie(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSessionDefaults(t *testing.T) {
	o := options{
		local: "192.0.2.1", peer: "192.0.2.2", encapsulation: "udp", id: "12", peerID: "21",
		circuit: "eth1", underlay: "3", sublayer: "default",
	}
	got, err := o.session(knownInterfaces)
	if err != nil {
		t.Fatal(err)
	}
	near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	receive := dataplane.Receive{
		Session: 12, Circuit: 5, Local: near, Remote: far, AcceptUDP: true, LocalPort: 1701,
		Sublayer: dataplane.SublayerDefault,
	}
	transmit := dataplane.Transmit{
		Circuit: dataplane.Port(5), Session: 21, Local: near, Remote: far, Encapsulation: dataplane.EncapsulationUDP,
		LocalPort: 1701, RemotePort: 1701, Sublayer: dataplane.SublayerDefault, TTL: 64,
	}
	if diff := cmp.Diff(receive, got.receive, compare); diff != "" {
		t.Errorf("receive (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(transmit, got.transmit, compare); diff != "" {
		t.Errorf("transmit (-want +got):\n%s", diff)
	}
	if got.underlay.Index != 3 {
		t.Errorf("underlay %v", got.underlay)
	}
}

func TestSessionOfEverything(t *testing.T) {
	o := options{
		local: "[2001:db8::1]:1702", peer: "[2001:db8::2]:1703", encapsulation: "udp", id: "0xffffffff", peerID: "0x15",
		circuit: "5", underlay: "eth0", sublayer: "none", localCookie: "0x1122334455667788", peerCookie: "deadbeef",
	}
	got, err := o.session(knownInterfaces)
	if err != nil {
		t.Fatal(err)
	}
	near, far := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	receive := dataplane.Receive{
		Session: 0xffffffff, Circuit: 5, Local: near, Remote: far, AcceptUDP: true, LocalPort: 1702,
		Cookie: cookie(t, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88),
	}
	transmit := dataplane.Transmit{
		Circuit: dataplane.Port(5), Session: 0x15, Local: near, Remote: far, Encapsulation: dataplane.EncapsulationUDP,
		LocalPort: 1702, RemotePort: 1703, Cookie: cookie(t, 0xde, 0xad, 0xbe, 0xef), TTL: 64,
	}
	if diff := cmp.Diff(receive, got.receive, compare); diff != "" {
		t.Errorf("receive (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(transmit, got.transmit, compare); diff != "" {
		t.Errorf("transmit (-want +got):\n%s", diff)
	}
}

func TestEndpoint(t *testing.T) {
	tests := []struct{ text, want, fails string }{
		{text: "192.0.2.1", want: "192.0.2.1:0"},
		{text: "192.0.2.1:5000", want: "192.0.2.1:5000"},
		{text: "2001:db8::1", want: "[2001:db8::1]:0"},
		{text: "[2001:db8::1]", want: "[2001:db8::1]:0"},
		{text: "[2001:db8::1]:65535", want: "[2001:db8::1]:65535"},
		// Without brackets the last group is not a port.
		{text: "2001:db8::1:1701", want: "[2001:db8::1:1701]:0"},
		{text: "192.0.2.1:0", fails: "from 1 to 65535"},
		{text: "192.0.2.1:65536", fails: "give ADDRESS"},
		{text: "192.0.2.1:", fails: "give ADDRESS"},
		{text: "[192.0.2.1]", fails: "give ADDRESS"},
		{text: "[2001:db8::1", fails: "give ADDRESS"},
		{text: "pe1.example", fails: "give ADDRESS"},
		{text: "192.0.2.1/24", fails: "give ADDRESS"},
		{text: "::ffff:192.0.2.1", fails: "write 192.0.2.1"},
		{text: "fe80::1%eth0", fails: "without zone"},
		{text: "0.0.0.0", fails: "unicast"},
		{text: "::", fails: "unicast"},
		{text: "224.0.0.1", fails: "unicast"},
		{text: "[ff02::1]:1701", fails: "unicast"},
		{text: "127.0.0.1", fails: "unicast"},
		{text: "255.255.255.255", fails: "unicast"},
	}
	for _, tt := range tests {
		got, err := parseEndpoint("-l", tt.text)
		if tt.fails == "" && (err != nil || got.String() != tt.want) {
			t.Errorf("%s: %s, error %v, want %s", tt.text, got, err, tt.want)
		}
		if tt.fails != "" && (!errors.As(err, &usageError{}) || !strings.Contains(err.Error(), tt.fails) || !strings.HasPrefix(err.Error(), "-l ")) {
			t.Errorf("%s: error %v, want a usage error of -l with %q", tt.text, err, tt.fails)
		}
	}
}

// call runs one command line in this process.
func call(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestWrongCommandLines are refused with one error and exit code 2, and touch
// nothing.
func TestWrongCommandLines(t *testing.T) {
	good := "-l 192.0.2.1 -p 192.0.2.2 -x udp -i 12 -I 21 -E eth1 -D eth0"
	tests := []struct{ args, want string }{
		{"", "-l, -p, -i, -I, -E, -D missing"},
		{"-l 192.0.2.1 -p 192.0.2.2 -i 12 -E eth1", "-I, -D missing"},
		{good + " -l 192.0.2", `-l "192.0.2": give ADDRESS`},
		{good + " -p 2001:db8::2", "not of one family"},
		{good + " -p 192.0.2.1", "both 192.0.2.1"},
		{good + " -x gre", `-x "gre": choose udp or ip`},
		{good + " -x ip -l 192.0.2.1:1701", "-x ip has no ports"},
		{good + " -x ip -p 192.0.2.2:1701", "-x ip has no ports"},
		{good + " -i 0", `-i "0": a session id is a number from 1 to`},
		{good + " -i 4294967296", `-i "4294967296"`},
		{good + " -i -1", `-i "-1"`},
		{good + " -I 0x", `-I "0x"`},
		{good + " -I 0xfffffffff", `-I "0xfffffffff"`},
		{good + " --local-cookie 1122", "--local-cookie: a cookie has 0, 4 or 8 bytes, not 2"},
		{good + " --peer-cookie 112233445566778", "--peer-cookie: a cookie is written in hexadecimal"},
		{good + " --peer-cookie deadbeeg", "--peer-cookie: a cookie is written in hexadecimal"},
		{good + " --sublayer ethernet", `--sublayer "ethernet"`},
		{good + " -n", "unknown shorthand flag: 'n'"},
		{good + " -i", "flag needs an argument: 'i'"},
		{good + " now", `unknown command "now"`},
		{"add " + good, `unknown command "add"`},
		{"del", "choose one of -i, -E and --all"},
		{"del -i 12 --all", "choose one of -i, -E and --all"},
		{"del -i none", `-i "none"`},
		{"del all", "unknown command"},
		{"list -o xml", `-o "xml": choose table or json`},
		{"list --all", "unknown flag: --all"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			pins := filepath.Join(t.TempDir(), "pins")
			code, stdout, stderr := call(append([]string{"--pins", pins}, strings.Fields(tt.args)...)...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, want 2 and %q\nstdout: %s\nstderr: %s", code, tt.want, stdout, stderr)
			}
			if strings.Count(stderr, "\n") != 2 {
				t.Errorf("more than one error and a hint:\n%s", stderr)
			}
			if _, err := os.Stat(pins); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the pin directory was touched: %v", err)
			}
		})
	}
}

func TestSameInterface(t *testing.T) {
	o := options{
		local: "192.0.2.1", peer: "192.0.2.2", encapsulation: "ip", id: "12", peerID: "21",
		circuit: "eth1", underlay: "5", sublayer: "none",
	}
	if _, err := o.session(knownInterfaces); !errors.As(err, &usageError{}) || !strings.Contains(err.Error(), "-E and -D are both eth1") {
		t.Errorf("error %v", err)
	}
	o.underlay = "eth7"
	if _, err := o.session(knownInterfaces); err == nil || errors.As(err, &usageError{}) {
		t.Errorf("an interface that is not there: %v", err)
	}
}

func TestFindInterface(t *testing.T) {
	for text, want := range map[string]string{
		"lo": "carries no Ethernet frames", "1": "carries no Ethernet frames",
		"absent0": "find interface absent0", "4000000": "find interface 4000000", "0": "find interface 0", "-1": "find interface -1",
	} {
		if _, err := findInterface(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help", "del"}, {"list", "-h"}} {
		if code, stdout, stderr := call(args...); code != 0 || !strings.Contains(stdout, "--pins") || stderr != "" {
			t.Errorf("%v: exit code %d, stderr %q, stdout\n%s", args, code, stderr, stdout)
		}
	}
}

func TestMark(t *testing.T) {
	for _, m := range []mark{{4026531840, 5, 3, false}, {4294967295, 2147483647, 2147483647, true}} {
		name := m.String()
		if got, ok := parseMark(name); !ok || got != m || len(name) > 63 {
			t.Errorf("%s is read as %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "customer-a", "map_session", "map_session/5/3", "map_session/1/5/", "map_session/1/a/3", "map_session/-1/5/3", "1/5/3", "map_session/1/5/3/4"} {
		if m, ok := parseMark(name); ok {
			t.Errorf("%q is taken for ours: %+v", name, m)
		}
	}
}

func TestHere(t *testing.T) {
	mine, other := mark{netns: 1}, mark{netns: 2}
	for _, tt := range []struct {
		marks []mark
		fails bool
	}{{nil, false}, {[]mark{mine, mine}, false}, {[]mark{mine, other}, true}} {
		if err := here(tt.marks, 1); errors.Is(err, errElsewhere) != tt.fails {
			t.Errorf("%v: error %v", tt.marks, err)
		}
	}
}

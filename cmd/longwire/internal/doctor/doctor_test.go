package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/selftest"
	"longwire/evpn/speaker"
	"longwire/test/lab"
)

// newHost is a host with a configuration, and nothing in its proc file system.
func newHost(t *testing.T, cfg config.Config) *host {
	t.Helper()
	return &host{proc: t.TempDir(), cfg: &cfg}
}

// write puts a file in the host's proc file system.
func (h *host) write(t *testing.T, path, content string) {
	t.Helper()
	path = filepath.Join(h.proc, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// process is one that has a socket.
func (h *host) process(t *testing.T, pid, inode string, args ...string) {
	t.Helper()
	h.write(t, pid+"/cmdline", strings.Join(args, "\x00")+"\x00")
	dir := filepath.Join(h.proc, pid, "fd")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("socket:["+inode+"]", filepath.Join(dir, "3")); err != nil {
		t.Fatal(err)
	}
}

// expect compares a finding; detail is a part of it.
func expect(t *testing.T, f finding, result selftest.Result, detail string) {
	t.Helper()
	if f.result != result || !strings.Contains(f.detail, detail) || detail == "" && f.detail != "" {
		t.Errorf("got %+v, want %s with %q", f, result, detail)
	}
}

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pe1.yaml")
	look := func(asked bool) (*host, finding) {
		h := &host{file: file, asked: asked}
		return h, h.config()
	}
	h, f := look(false)
	if expect(t, f, selftest.OK, "there is no "+file); h.cfg.State != config.DefaultState() {
		t.Errorf("state %+v", h.cfg.State)
	}
	_, f = look(true)
	expect(t, f, selftest.Failed, "no such file")
	for content, want := range map[string]finding{
		"router: {source: 192.0.2.1}\nstate: {runtime: /run/x}\n": {selftest.OK, "0 pseudowires"},
		"nonsense: 1\nmore: 2\n":                                  {selftest.Failed, file + `:1: nonsense: unknown key "nonsense"`},
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		h, f := look(false)
		expect(t, f, want.result, want.detail)
		if strings.Contains(f.detail, "\n") || h.cfg == nil || want.result == selftest.OK && h.cfg.State.Runtime != "/run/x" {
			t.Errorf("%q: %+v, state %+v", content, f, h.cfg)
		}
	}
}

func TestBPFFS(t *testing.T) {
	l := lab.New(t)
	h := newHost(t, config.Config{State: config.State{Pins: l.BPFFS() + "/deep/down"}})
	expect(t, h.bpffs(), selftest.OK, h.cfg.State.Pins)
	h.cfg.State.Pins = t.TempDir()
	expect(t, h.bpffs(), selftest.Failed, "is on no bpf file system")
}

func TestAgent(t *testing.T) {
	h := newHost(t, config.Config{State: config.State{Runtime: t.TempDir()}})
	expect(t, h.agent(), selftest.OK, "none runs")
	if err := os.WriteFile(filepath.Join(h.cfg.State.Runtime, "longwire.pid"), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, h.agent(), selftest.OK, "none runs; the last one had pid 77")
	h.write(t, "77/cmdline", "/usr/bin/vi\x00agent.go\x00")
	expect(t, h.agent(), selftest.OK, "none runs; the last one had pid 77")
	h.write(t, "77/cmdline", "/usr/bin/longwire\x00agent\x00-c\x00x\x00")
	expect(t, h.agent(), selftest.OK, "runs with pid 77")
}

// heading begins every table of sockets.
const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// line is a socket in such a table.
func line(local, state, inode string) string {
	return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0000000000000000 100 0 0 10 0\n"
}

// Addresses and ports as the kernel prints them: 192.0.2.1, any, ::1 and 2001:db8::1.
const (
	bgpOne      = "010200C0:00B3"
	bgpAny      = "00000000:00B3"
	bgpAny6     = "00000000000000000000000000000000:00B3"
	bgpLoopback = "00000000000000000000000001000000:00B3"
	l2tpOne     = "010200C0:06A5"
	l2tpSix     = "B80D0120000000000000000001000000:06A5"
	raw115      = "00000000:0073"
)

func TestBGPPort(t *testing.T) {
	one := netip.MustParseAddr("192.0.2.1")
	neighbors := []config.Neighbor{{Address: netip.MustParseAddr("192.0.2.254")}}
	for name, tt := range map[string]struct {
		bgp       config.BGP
		tcp, tcp6 string
		args      []string // of the process that has inode 500
		probe     error
		want      finding
	}{
		"no BGP":          {tcp: line(bgpAny, "0A", "500"), want: finding{selftest.OK, "no BGP"}},
		"gobgpd":          {bgp: config.BGP{Gobgpd: "unix:///x"}, tcp: line(bgpAny, "0A", "500"), want: finding{selftest.OK, "unix:///x"}},
		"no gobgpd":       {bgp: config.BGP{Gobgpd: "unix:///x"}, probe: errors.New("nobody listens"), want: finding{selftest.Failed, "bgp.gobgpd: nobody listens"}},
		"no listener":     {bgp: config.BGP{ListenPort: -1, Neighbors: neighbors}, tcp: line(bgpAny, "0A", "500"), want: finding{selftest.OK, "only connect"}},
		"free":            {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors}, tcp: line(l2tpOne, "0A", "500"), want: finding{selftest.OK, "179 is free"}},
		"a connection":    {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors}, tcp: line(bgpAny, "01", "500"), want: finding{selftest.OK, "free"}},
		"somebody":        {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors}, tcp: line(bgpAny, "0A", "500"), args: []string{"/usr/sbin/bird", "-R"}, want: finding{selftest.Failed, "port 179 of 0.0.0.0 is held by bird (pid 77)"}},
		"nobody we know":  {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors}, tcp: line(bgpAny, "0A", "501"), want: finding{selftest.Failed, "held by the kernel or another"}},
		"our worker":      {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors}, tcp6: line(bgpAny6, "0A", "500"), args: []string{"/proc/self/exe", "bgp-worker"}, want: finding{selftest.OK, "longwire bgp-worker (pid 77)"}},
		"our address":     {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors, ListenAddresses: []netip.Addr{one}}, tcp: line(bgpOne, "0A", "500"), want: finding{selftest.Failed, "192.0.2.1"}},
		"another address": {bgp: config.BGP{ListenPort: 179, Neighbors: neighbors, ListenAddresses: []netip.Addr{one}}, tcp6: line(bgpLoopback, "0A", "500"), want: finding{selftest.OK, "free"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, config.Config{BGP: tt.bgp})
			h.probe = func(_ context.Context, c speaker.Config) error {
				if c.Gobgpd != tt.bgp.Gobgpd {
					t.Errorf("%q is asked", c.Gobgpd)
				}
				return tt.probe
			}
			h.write(t, "net/tcp", heading+tt.tcp)
			h.write(t, "net/tcp6", heading+tt.tcp6)
			if tt.args != nil {
				h.process(t, "77", "500", tt.args...)
			}
			expect(t, h.bgpPort(), tt.want.result, tt.want.detail)
		})
	}
}

func TestTunnelPorts(t *testing.T) {
	udp4 := config.Pseudowire{Encapsulation: dataplane.EncapsulationUDP, Port: 1701, Source: netip.MustParseAddr("192.0.2.1")}
	udp6 := config.Pseudowire{Encapsulation: dataplane.EncapsulationUDP, Port: 1701, Source: netip.MustParseAddr("2001:db8::1")}
	ip := config.Pseudowire{Source: netip.MustParseAddr("192.0.2.1")}
	for name, tt := range map[string]struct {
		pw     config.Pseudowire
		tables map[string]string
		args   []string
		want   finding
	}{
		"nobody":               {pw: udp4, want: finding{selftest.OK, ""}},
		"xl2tpd":               {pw: udp4, tables: map[string]string{"udp": line(l2tpOne, "07", "500")}, args: []string{"xl2tpd"}, want: finding{selftest.Degraded, "UDP port 1701 of 192.0.2.1 is held by xl2tpd (pid 77)"}},
		"xl2tpd, elsewhere":    {pw: udp6, tables: map[string]string{"udp": line(l2tpOne, "07", "500")}, args: []string{"xl2tpd"}, want: finding{selftest.OK, ""}},
		"IPv6":                 {pw: udp6, tables: map[string]string{"udp6": line(l2tpSix, "07", "500")}, args: []string{"xl2tpd"}, want: finding{selftest.Degraded, "2001:db8::1"}},
		"another port":         {pw: udp4, tables: map[string]string{"udp": line(bgpOne, "07", "500")}, want: finding{selftest.OK, ""}},
		"not over UDP":         {pw: ip, tables: map[string]string{"udp": line(l2tpOne, "07", "500")}, want: finding{selftest.OK, ""}},
		"an agent":             {pw: udp4, tables: map[string]string{"udp": line(l2tpOne, "07", "500")}, args: []string{"longwire", "agent"}, want: finding{selftest.OK, ""}},
		"protocol 115":         {pw: ip, tables: map[string]string{"raw": line(raw115, "07", "500")}, args: []string{"pppd"}, want: finding{selftest.Degraded, "IP protocol 115 of 0.0.0.0 is held by pppd (pid 77)"}},
		"protocol 115, unused": {pw: udp4, tables: map[string]string{"raw": line(raw115, "07", "500")}, args: []string{"pppd"}, want: finding{selftest.OK, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, config.Config{Pseudowires: []config.Pseudowire{tt.pw}})
			for table, lines := range tt.tables {
				h.write(t, "net/"+table, heading+lines)
			}
			if tt.args != nil {
				h.process(t, "77", "500", tt.args...)
			}
			expect(t, h.tunnelPorts(), tt.want.result, tt.want.detail)
		})
	}
	h := newHost(t, config.Config{Pseudowires: []config.Pseudowire{ip}})
	h.write(t, "modules", "veth 1 0 - Live 0x0\nl2tp_ip 20480 0 - Live 0x0\n")
	expect(t, h.tunnelPorts(), selftest.OK, "the kernel's L2TP is loaded (l2tp_ip)")
}

// TestRealSockets finds a listener in the kernel's own tables.
func TestRealSockets(t *testing.T) {
	ns := lab.New(t).Namespace("pe")
	h := &host{proc: "/proc/thread-self", cfg: &config.Config{BGP: config.BGP{ListenPort: 179, Neighbors: make([]config.Neighbor, 1)}}}
	err := ns.Do(func() error {
		expect(t, h.bgpPort(), selftest.OK, "port 179 is free")
		for _, address := range []string{"127.0.0.1", "::1"} {
			s, err := net.Listen("tcp", net.JoinHostPort(address, "179"))
			if err != nil {
				return err
			}
			expect(t, h.bgpPort(), selftest.Failed, "port 179 of "+address)
			if err := s.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRPFilter(t *testing.T) {
	for _, tt := range []struct{ all, one, want string }{
		{"0", "0", ""}, {"1", "0", "eth9 is strict"}, {"0", "1", "eth9 is strict"}, {"2", "1", ""}, {"1", "2", ""},
	} {
		h := newHost(t, config.Config{Underlay: config.Underlay{Interfaces: []string{"eth9"}}})
		h.write(t, "sys/net/ipv4/conf/all/rp_filter", tt.all+"\n")
		h.write(t, "sys/net/ipv4/conf/eth9/rp_filter", tt.one+"\n")
		expect(t, h.rpFilter(), selftest.OK, tt.want)
	}
}

// TestLinks looks at real interfaces, routes and drivers.
func TestLinks(t *testing.T) {
	top := lab.NewTopology(t, lab.Options{Circuits: 2, UnderlayMTU: 1540})
	pw := func(name, circuit string) config.Pseudowire {
		return config.Pseudowire{
			Name: name, Interface: circuit, Source: lab.PE1Source4, CookieLength: 8,
			Static: &config.Static{Remote: lab.PE2Source4},
		}
	}
	cookie, err := dataplane.NewCookie(make([]byte, 8))
	if err != nil {
		t.Fatal(err)
	}
	fits, tight, small, learned := pw("fits", lab.Circuit(0)), pw("tight", lab.Circuit(0)), pw("small", lab.Circuit(0)), pw("learned", lab.Circuit(0))
	tight.Static.RemoteCookie = cookie
	small.Static.RemoteCookie, small.MTU = cookie, 1400
	learned.Static, learned.EVPN = nil, &config.EVPN{}
	h := newHost(t, config.Config{Underlay: config.Underlay{Auto: true}})
	look := func(f func(*host) finding, pws ...config.Pseudowire) (found finding) {
		t.Helper()
		h.cfg.Pseudowires = pws
		if err := top.PE1.Do(func() error { found = f(h); return nil }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	expect(t, look((*host).underlayMTU, fits), selftest.OK, "")
	expect(t, look((*host).underlayMTU, small), selftest.OK, "")
	expect(t, look((*host).underlayMTU, tight), selftest.Degraded,
		"tight: the way to "+lab.PE2Source4.String()+" by "+lab.Uplink+" carries 1540 bytes of IP, and frames of 1500 bytes of payload need 1546; beyond 1494 they are fragmented")
	drops, inside := tight, fits
	drops.TooBig = dataplane.TooBigAnswer
	inside.VLANs.Outer = "7"
	expect(t, look((*host).underlayMTU, drops), selftest.Degraded, "beyond 1494 they are dropped")
	expect(t, look((*host).underlayMTU, inside), selftest.Degraded, "need 1542; beyond 1498")
	expect(t, look((*host).underlayMTU, learned), selftest.Degraded, "learned: "+lab.Uplink+" carries 1540")
	expect(t, look((*host).underlayMTU, tight, tight, tight, tight, tight), selftest.Degraded, "and 2 more")
	top.PE1.Run("ip", "route", "add", lab.PE2Source4.String()+"/32", "via", "10.0.1.254", "mtu", "1500")
	expect(t, look((*host).underlayMTU, fits), selftest.Degraded, "carries 1500")

	expect(t, look((*host).circuits, fits, learned), selftest.OK, "")
	expect(t, look((*host).circuits, pw("x", "absent0")), selftest.Degraded, "absent0 does not exist")
	expect(t, look((*host).xdp, fits), selftest.OK, lab.Circuit(0)+" n")
	top.PE1.Down(lab.Circuit(1))
	expect(t, look((*host).circuits, pw("x", lab.Circuit(1))), selftest.Degraded, lab.Circuit(1)+" is down")
	top.CE1.Down(lab.HostPort(0))
	// The kernel notices a moment later.
	err = lab.Await(5*time.Second, func() error {
		if f := look((*host).circuits, fits); f.result != selftest.Degraded || f.detail != lab.Circuit(0)+" has no carrier" {
			return fmt.Errorf("%+v", f)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRun has the host's checks before the kernel's, and the worst of them as result.
func TestRun(t *testing.T) {
	for result, want := range map[selftest.Result]selftest.Result{
		selftest.OK: selftest.OK, selftest.Degraded: selftest.Degraded, selftest.Skipped: selftest.Degraded, selftest.Failed: selftest.Failed,
	} {
		var told []string
		var asked selftest.Options
		o := Options{Progress: func(c selftest.Check) { told = append(told, c.Name) }}
		h := &host{proc: t.TempDir(), file: filepath.Join(t.TempDir(), "pe1.yaml")}
		content := "router: {source: 192.0.2.1}\nstate: {pins: " + lab.New(t).BPFFS() + "}\ndataplane: {attach: clsact}\n"
		if err := os.WriteFile(h.file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		modes := selftest.Modes{Attach: "clsact"}
		r := run(t.Context(), o, h, func(_ context.Context, o selftest.Options) selftest.Report {
			asked = o
			c := selftest.Check{Name: "frames", Result: result}
			o.Progress(c)
			return selftest.Report{Checks: []selftest.Check{{Name: "programs", Result: selftest.OK}, c}, Modes: modes}
		})
		if r.Result != want || asked.Modes != modes || r.Modes != modes {
			t.Errorf("%s gives %s, asked %+v, modes %+v: %+v", result, r.Result, asked.Modes, r.Modes, r.Checks)
		}
		var names []string
		for _, c := range checks {
			names = append(names, c.name)
		}
		if d := cmp.Diff(append(names, "frames"), told); d != "" {
			t.Errorf("told (-want +got):\n%s", d)
		}
		if n := len(checks); len(r.Checks) != n+2 || r.Checks[n].Name != "programs" || r.Checks[0].Proves == "" {
			t.Errorf("%+v", r.Checks)
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// asCommand makes the test binary be map_session.
const asCommand = "LONGWIRE_TEST_MAP_SESSION"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// side is one PE of a topology, with the pins of its own.
type side struct {
	*lab.PE
	pins string
}

func sides(top *lab.Topology) [2]side {
	return [2]side{{top.PE1, filepath.Join(top.BPFFS(), "pe1")}, {top.PE2, filepath.Join(top.BPFFS(), "pe2")}}
}

// call runs map_session on the PE.
func (s side) call(args ...string) (string, error) {
	argv := append([]string{"env", asCommand + "=1", os.Args[0]}, args...)
	return s.Try(append(argv, "--pins", s.pins)...)
}

func (s side) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.call(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s side) list(t *testing.T, args ...string) listing {
	t.Helper()
	var l listing
	if err := json.Unmarshal([]byte(s.must(t, append([]string{"list", "-o", "json"}, args...)...)), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// traceless fails when anything of ours is left on the PE.
func (s side) traceless(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(s.pins); !os.IsNotExist(err) {
		t.Errorf("%s: pins are left: %v", s.Role, err)
	}
	for _, dev := range s.Links() {
		if strings.HasPrefix(dev, helperPrefix) {
			t.Errorf("%s: %s is left", s.Role, dev)
		}
		s.programs(t, dev, 0)
	}
	if strings.Contains(s.Run("tc", "qdisc", "show"), "clsact") {
		t.Errorf("%s: a qdisc is left", s.Role)
	}
	if s.promiscuous(lab.Circuit(0)) {
		t.Errorf("%s: the circuit is still promiscuous", s.Role)
	}
}

// programs fails unless a device has so many. The kernel takes a program off
// soon after its link has gone, not at once.
func (s side) programs(t *testing.T, dev string, want int) {
	t.Helper()
	err := lab.Await(5*time.Second, func() error {
		if n := s.TCX(dev); n != want {
			return fmt.Errorf("%s: %d programs on %s, want %d", s.Role, n, dev, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func (s side) promiscuous(dev string) bool {
	return strings.Contains(s.Run("ip", "-d", "link", "show", dev), "promiscuity 1")
}

// variant is one way to write a session's command line.
type variant struct {
	v6            bool
	encapsulation string
	near, far     string // ports, "" or ":1702"
	cookies       [2]string
	sublayer      string
	indexes       bool
}

func (v variant) String() string {
	return fmt.Sprintf("ipv6=%v-%s-cookies=%d-%d-sublayer=%s", v.v6, v.encapsulation, len(v.cookies[0])/2, len(v.cookies[1])/2, v.sublayer)
}

// args are the flags of one end, 0 or 1.
func (v variant) args(end side, i int) []string {
	addresses, ports := [2]netip.Addr{lab.PE1Source4, lab.PE2Source4}, [2]string{v.near, v.far}
	if v.v6 {
		addresses = [2]netip.Addr{lab.PE1Source6, lab.PE2Source6}
	}
	write := func(i int) string {
		if v.v6 && ports[i] != "" {
			return "[" + addresses[i].String() + "]" + ports[i]
		}
		return addresses[i].String() + ports[i]
	}
	circuit, underlay := lab.Circuit(0), lab.Uplink
	if v.indexes {
		circuit, underlay = strconv.Itoa(end.Index(circuit)), strconv.Itoa(end.Index(underlay))
	}
	args := []string{
		"-l", write(i), "-p", write(1 - i), "-x", v.encapsulation, "-i", strconv.Itoa(11 + i), "-I", strconv.Itoa(12 - i),
		"-E", circuit, "-D", underlay, "--local-cookie", v.cookies[i], "--peer-cookie", v.cookies[1-i],
	}
	if v.sublayer != "" {
		args = append(args, "--sublayer", v.sublayer)
	}
	return args
}

var variants = []variant{
	{encapsulation: "ip"},
	{encapsulation: "udp", indexes: true},
	{v6: true, encapsulation: "ip", indexes: true, sublayer: "none", cookies: [2]string{"1122334455667788", "8877665544332211"}},
	{v6: true, encapsulation: "udp", near: ":1702", far: ":1703", sublayer: "default", cookies: [2]string{"deadbeef", ""}},
}

func pings(t *testing.T, top *lab.Topology) {
	t.Helper()
	for ce, far := range map[*lab.Namespace]int{top.CE1: 2, top.CE2: 1} {
		for _, to := range []netip.Addr{lab.Host4(far, 0), lab.Host6(far, 0)} {
			if err := ce.PingAll(to, 3); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSession joins two hosts by one call at each end, shows the sessions, and
// leaves nothing behind.
func TestSession(t *testing.T) {
	for _, v := range variants {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			top := lab.NewTopology(t, lab.Options{})
			ends := sides(top)
			for i, end := range ends {
				out := end.must(t, v.args(end, i)...)
				if want := fmt.Sprintf("session %d joins ac0 to ", 11+i); !strings.HasPrefix(out, want) {
					t.Errorf("said %q, want %q", out, want)
				}
			}
			pings(t, top)
			l := ends[0].list(t, "--cookies")
			if len(l.Sessions) != 1 {
				t.Fatalf("%d sessions listed", len(l.Sessions))
			}
			s := l.Sessions[0]
			sublayer := v.sublayer
			if sublayer == "" {
				sublayer = "default"
			}
			if s.Session != 11 || s.PeerSession != 12 || s.Circuit != lab.Circuit(0) || s.Underlay != lab.Uplink ||
				s.Encapsulation != v.encapsulation || s.Sublayer != sublayer || s.LocalCookie != v.cookies[0] || s.PeerCookie != v.cookies[1] {
				t.Errorf("listed %+v", s)
			}
			if s.EncapsulatedCount < 12 || s.DecapsulatedCount < 12 || len(s.Drops) != 0 {
				t.Errorf("counters %+v", s)
			}
			for _, end := range ends {
				end.must(t, "del", "--all")
				end.traceless(t)
				end.must(t, "del", "--all")
			}
			if err := top.CE1.Ping(lab.Host4(2, 0), 56, 0); err == nil {
				t.Error("it still forwards")
			}
		})
	}
}

// TestUpdate changes the peer's session id, which stops the traffic, and back.
func TestUpdate(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	ends := sides(top)
	v := variant{encapsulation: "ip"}
	for i, end := range ends {
		end.must(t, v.args(end, i)...)
	}
	pings(t, top)
	ends[0].must(t, append(v.args(ends[0], 0), "-I", "99")...)
	if err := top.CE1.Ping(lab.Host4(2, 0), 56, 0); err == nil {
		t.Error("a session that the far end does not know carries frames")
	}
	l := ends[1].list(t)
	if len(l.Sessions) != 1 || l.Drops["unknown_session"] == 0 {
		t.Errorf("far end lists %+v", l)
	}
	ends[0].must(t, v.args(ends[0], 0)...)
	pings(t, top)
	if l := ends[0].list(t); len(l.Sessions) != 1 || l.Sessions[0].PeerSession != 12 {
		t.Errorf("listed %+v", l.Sessions)
	}
}

// TestTwoSessions deletes them one after the other, by id and by circuit: the
// programs leave an interface with its last session.
func TestTwoSessions(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{Circuits: 2})
	end := sides(top)[0]
	v := variant{encapsulation: "udp"}
	end.must(t, v.args(end, 0)...)
	end.must(t, append(v.args(end, 0), "-i", "30", "-I", "31", "-E", lab.Circuit(1), "--local-cookie", "01020304")...)
	programs := func(circuit0, circuit1, uplink int) {
		t.Helper()
		end.programs(t, lab.Circuit(0), circuit0)
		end.programs(t, lab.Circuit(1), circuit1)
		end.programs(t, lab.Uplink, uplink)
		if on := end.promiscuous(lab.Circuit(0)); on != (circuit0 == 1) {
			t.Errorf("the first circuit is promiscuous: %v", on)
		}
	}
	programs(1, 1, 1)
	table := end.must(t, "list")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != 3 || len(strings.Fields(lines[0])) != len(strings.Fields(lines[2])) || !strings.Contains(table, "4-bytes") || strings.Contains(table, "01020304") {
		t.Errorf("table of two:\n%s", table)
	}
	end.must(t, "del", "-i", "11")
	programs(0, 1, 1)
	if _, err := end.call("del", "-i", "11"); err == nil || !strings.Contains(err.Error(), "there is no session 11") {
		t.Errorf("deleted twice: %v", err)
	}
	if out := end.must(t, "del", "-E", lab.Circuit(1)); out != "deleted session on ac1\n" {
		t.Errorf("said %q", out)
	}
	programs(0, 0, 0)
	if l := end.list(t); len(l.Sessions) != 0 {
		t.Errorf("listed %+v", l.Sessions)
	}
	end.must(t, "del", "--all")
	end.traceless(t)
}

// TestInterfaceReplaced clears up after a circuit that went away and came back
// under another index.
func TestInterfaceReplaced(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	end := sides(top)[0]
	v := variant{encapsulation: "ip"}
	end.must(t, v.args(end, 0)...)
	old := end.Index(lab.Circuit(0))
	end.DeleteLink(lab.Circuit(0))
	top.Veth(top.CE1, "again", end.Namespace, lab.Circuit(0), lab.DefaultMTU)
	if _, err := end.call(v.args(end, 0)...); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("on interface %d already", old)) {
		t.Errorf("the id of a session of old: %v", err)
	}
	if table := end.must(t, "list"); !strings.Contains(table, fmt.Sprintf(" %d ", old)) {
		t.Errorf("no index of what is gone:\n%s", table)
	}
	end.must(t, "del", "-E", strconv.Itoa(old))
	end.must(t, v.args(end, 0)...)
	end.must(t, "del", "--all")
	end.traceless(t)
}

// TestFailureLeavesNothing fails before, while and after the data plane is made.
func TestFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	end := sides(top)[0]
	v := variant{encapsulation: "ip"}
	if _, err := end.call(append(v.args(end, 0), "-E", "absent0")...); err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "absent0") {
		t.Errorf("an absent circuit: %v", err)
	}
	end.traceless(t)
	if _, err := end.call("list"); err != nil {
		t.Errorf("list of nothing: %v", err)
	}
	if _, err := end.call("del", "-i", "11"); err == nil || !strings.Contains(err.Error(), "there is no session 11") {
		t.Errorf("delete from nothing: %v", err)
	}
	end.traceless(t)
	elsewhere := side{end.PE, filepath.Join(top.Dir(), "no-bpffs")}
	if _, err := elsewhere.call(v.args(end, 0)...); err == nil || !strings.Contains(err.Error(), "is on no bpffs") {
		t.Errorf("no bpffs: %v", err)
	}
	elsewhere.traceless(t)
	// Without CAP_PERFMON the verifier refuses the programs, when maps exist.
	argv := append([]string{"setpriv", "--bounding-set", "-perfmon,-sys_admin", "--inh-caps", "-perfmon,-sys_admin", "env", asCommand + "=1", os.Args[0], "--pins", end.pins}, v.args(end, 0)...)
	if _, err := end.Try(argv...); err == nil || !strings.Contains(err.Error(), "CAP_PERFMON") {
		t.Errorf("without CAP_PERFMON: %v", err)
	}
	end.traceless(t)
}

// TestBusy does not touch what another process manages, and can still look.
func TestBusy(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	end := sides(top)[0]
	v := variant{encapsulation: "ip"}
	end.must(t, v.args(end, 0)...)
	var agent *tc.Plane
	err := end.Do(func() (err error) {
		agent, err = tc.Open(tc.Options{PinDir: end.pins})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{append(v.args(end, 0), "-I", "99"), {"del", "-i", "11"}, {"del", "--all"}} {
		_, err := end.call(args...)
		if err == nil || !strings.Contains(err.Error(), "another process manages this data plane") || !strings.Contains(err.Error(), "stop it") || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%v: %v", args, err)
		}
	}
	if l := end.list(t); len(l.Sessions) != 1 || l.Sessions[0].PeerSession != 12 {
		t.Errorf("listed %+v", l.Sessions)
	}
	if err := agent.Close(); err != nil {
		t.Error(err)
	}
	end.must(t, "del", "-i", "11")
}

// TestAgentsDataPlane leaves the sessions of an agent that has stopped alone,
// and lists them under their names.
func TestAgentsDataPlane(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	end := sides(top)[0]
	s := between(5, end.Index(lab.Circuit(0)), end.Index(lab.Uplink))
	s.receive.Pseudowire, s.transmit.Pseudowire = "customer-a", "customer-a"
	fallback := s.receive
	fallback.Session = 6
	err := end.Do(func() error {
		agent, err := tc.Open(tc.Options{PinDir: end.pins, Capacity: 64})
		if err != nil {
			return err
		}
		defer agent.Close()
		if err := agent.PutTransmit(s.transmit); err != nil {
			return err
		}
		if err := agent.PutReceive(fallback); err != nil {
			return err
		}
		return agent.PutReceive(s.receive)
	})
	if err != nil {
		t.Fatal(err)
	}
	v := variant{encapsulation: "ip"}
	for _, args := range [][]string{v.args(end, 0), {"del", "-i", "5"}, {"del", "--all"}} {
		if _, err := end.call(args...); err == nil || !strings.Contains(err.Error(), "customer-a") {
			t.Errorf("%v: %v", args, err)
		}
	}
	l := end.list(t)
	if len(l.Sessions) != 2 || l.Sessions[0].Session != 5 || l.Sessions[1].Session != 6 || l.Sessions[0].Pseudowire != "customer-a" || l.Sessions[0].Circuit != lab.Circuit(0) {
		t.Errorf("listed %+v", l.Sessions)
	}
}

// TestNetnsExec refuses to pin into mounts that end with the command.
func TestNetnsExec(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	end := sides(top)[0]
	v := variant{encapsulation: "ip"}
	argv := append([]string{"ip", "netns", "exec", end.Name, "env", asCommand + "=1", os.Args[0]}, v.args(end, 0)...)
	_, err := top.P.Try(argv...)
	if err == nil || !strings.Contains(err.Error(), "use nsenter --net=") {
		t.Errorf("error %v", err)
	}
	end.traceless(t)
	// A bpffs elsewhere is seen there too, and stays.
	if _, err := top.P.Try(append(argv, "--pins", end.pins)...); err != nil {
		t.Fatal(err)
	}
	far := sides(top)[1]
	far.must(t, v.args(far, 1)...)
	if err := top.CE1.Ping(lab.Host4(2, 0), 56, 5*time.Second); err != nil {
		t.Error(err)
	}
}

// TestAnotherNamespace does not take the pins of one namespace for those of
// another, whose interfaces have the same numbers, until they are given up.
func TestAnotherNamespace(t *testing.T) {
	t.Parallel()
	top := lab.NewTopology(t, lab.Options{})
	ends := sides(top)
	v := variant{encapsulation: "ip"}
	for i, end := range ends {
		end.must(t, v.args(end, i)...)
	}
	intruder := side{top.PE2, ends[0].pins}
	for _, args := range [][]string{v.args(intruder, 1), {"del", "-i", "11"}, {"del", "-E", lab.Circuit(0)}} {
		if _, err := intruder.call(args...); err == nil || !strings.Contains(err.Error(), "another network namespace") {
			t.Errorf("%v: %v", args, err)
		}
	}
	pings(t, top)
	if l := intruder.list(t); len(l.Sessions) != 1 || l.Sessions[0].Circuit != "" || l.Sessions[0].CircuitIndex != ends[0].Index(lab.Circuit(0)) {
		t.Errorf("listed %+v", l.Sessions)
	}
	intruder.must(t, "del", "--all")
	if _, err := os.Stat(ends[0].pins); !os.IsNotExist(err) {
		t.Errorf("pins are left: %v", err)
	}
	if !ends[1].promiscuous(lab.Circuit(0)) {
		t.Error("a circuit of the same number was taken for that of the other namespace")
	}
}

package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// exitStatus returns the exit status in an error of a command.
func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// TestBadConfig gives an agent files with one mistake each: every verb that reads
// the file refuses it with status 2, names file, line and key, and touches
// nothing.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	topo := lab.NewTopology(t, lab.Options{})
	agent := topo.Agent(longwire, topo.PE1, lab.Config{Router: lab.Router{ID: lab.PE1Source4, Source: []netip.Addr{lab.PE1Source4}}})
	state := fmt.Sprintf("state: {runtime: %s, pins: %s}\n", agent.Runtime, agent.Pins)
	tests := []struct {
		name, text, place, key string
	}{
		{"unknown key", state + "router: {source: 192.0.2.1, sauce: 192.0.2.1}\n", ":2", "router.sauce"},
		{"wrong type", state + "router: {source: 192.0.2.1}\npseudowires:\n- name: [a]\n", ":4", "pseudowires[0].name"},
		{"no YAML", state + "router: {source\n", ":", "YAML"},
		{"one interface twice", state + `router: {source: 192.0.2.1}
pseudowires:
- {name: a, interface: ac0, static: {remote: 192.0.2.2, local_session: 1, remote_session: 1}}
- {name: b, interface: ac0, static: {remote: 192.0.2.2, local_session: 2, remote_session: 2}}
`, ":5", "pseudowires[1].interface"},
		{"one session twice", state + `router: {source: 192.0.2.1}
pseudowires:
- {name: a, interface: ac0, static: {remote: 192.0.2.2, local_session: 1, remote_session: 1}}
- {name: b, interface: ac1, static: {remote: 192.0.2.2, local_session: 1, remote_session: 2}}
`, ":5", "pseudowires[1].static.local_session"},
		{"cookie of three bytes", state + `router: {source: 192.0.2.1}
pseudowires:
- {name: a, interface: ac0, static: {remote: 192.0.2.2, local_session: 1, remote_session: 1, local_cookie: "112233"}}
`, ":4", "pseudowires[0].static.local_cookie"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := topo.Write("bad.yaml", tt.text)
			for _, verb := range [][]string{{"config", "check", file}, {"agent", "-c", file}} {
				_, err := agent.Longwire(verb...)
				if status := exitStatus(err); status != 2 {
					t.Errorf("%v: exit status %d, want 2: %v", verb, status, err)
				}
				if err != nil && contains(err.Error(), file+tt.place, tt.key) != nil {
					t.Errorf("%v: %v, want %q and %q in it", verb, err, file+tt.place, tt.key)
				}
			}
		})
	}
	if left := agent.Leftovers(); len(left) != 0 {
		t.Errorf("a refused configuration left %v", left)
	}
}

// TestExamples shows that the printed example, and those of the manual, are
// configurations.
func TestExamples(t *testing.T) {
	t.Parallel()
	topo := lab.NewTopology(t, lab.Options{})
	agent := topo.Agent(longwire, topo.PE1, lab.Config{})
	printed, err := agent.Longwire("config", "example")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]string{"longwire config example": printed}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, page := range []string{"../../README.md", "../../docs/configuration.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		m := block.FindSubmatch(text)
		if m == nil {
			t.Fatalf("no example in %s", page)
		}
		examples[page] = string(m[1])
	}
	key := topo.Write("rr.key", "secret\n")
	for name, example := range examples {
		example = strings.ReplaceAll(example, "/etc/longwire/rr.key", key)
		if _, err := agent.Longwire("config", "check", topo.Write("example.yaml", example)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReload changes a running agent's configuration: a bad file changes
// nothing, a good one only what differs.
func TestReload(t *testing.T) {
	t.Parallel()
	stays, changes := wire{number: 0, static: true, cookie: 8}, wire{number: 1, static: true, cookie: 4}
	p := newPair(t, lab.Options{Circuits: 2}, []wire{stays, changes}, nil).launch()
	flow := p.Stream(p.CE1, lab.HostPort(0), p.CE2, lab.HostPort(0), 2*time.Millisecond)

	good := p.config[1]
	bad := good
	bad.Dataplane = &lab.Dataplane{Attach: "by magic"}
	p.agents[1].Configure(bad)
	if err := p.agents[1].Reload(); err == nil || contains(err.Error(), p.agents[1].File, "dataplane.attach") != nil {
		t.Errorf("a bad file: %v, want an error that names file and key", err)
	}
	p.pings(changes)

	changes.udp, changes.cookie = true, 8
	p.configure(func(side int, c *lab.Config) { c.Pseudowires[1] = changes.config(side) })
	for side := 1; side <= 2; side++ {
		if err := p.agents[side].Reload(); err != nil {
			t.Fatal(err)
		}
	}
	p.pings(changes)

	p.configure(func(_ int, c *lab.Config) { c.Pseudowires = c.Pseudowires[:1] })
	for side := 1; side <= 2; side++ {
		if err := p.agents[side].Reload(); err != nil {
			t.Fatal(err)
		}
		p.awaitAllUp(side)
	}
	p.silent(changes)
	if sent, lost := flow.Stop(); sent == 0 || lost != 0 {
		t.Errorf("the pseudowire that stayed lost %d of %d frames", lost, sent)
	}
}

// TestInterfaceAppears starts with a circuit that does not exist, makes it,
// deletes it and makes it again.
func TestInterfaceAppears(t *testing.T) {
	t.Parallel()
	w := wire{number: 1, static: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, nil)
	p.AddCircuit(2, w.number)
	p.agents[1].Launch()
	p.agents[2].Launch()
	p.await(1, w, "down", "interface_absent")
	for range 2 {
		p.AddCircuit(1, w.number)
		p.await(1, w, "up", "")
		p.pings(w)
		p.CE1.DeleteLink(lab.HostPort(w.number))
		p.await(1, w, "down", "interface_absent")
	}
}

// TestUninstall removes everything again, by both ways of attaching, with the
// agent running and with it killed.
func TestUninstall(t *testing.T) {
	for _, attach := range []string{"tcx", "clsact"} {
		t.Run(attach, func(t *testing.T) {
			t.Parallel()
			w := wire{static: true, cookie: 8}
			p := newPair(t, lab.Options{}, []wire{w}, nil)
			p.configure(func(_ int, c *lab.Config) { c.Dataplane = &lab.Dataplane{Attach: attach} }).launch()
			p.pings(w)
			p.agents[2].Daemon().Kill()
			for side := 1; side <= 2; side++ {
				if len(p.agents[side].Leftovers()) == 0 {
					t.Errorf("PE%d: nothing is installed, so the test shows nothing", side)
				}
				if err := p.agents[side].Uninstall(); err != nil {
					t.Error(err)
				}
				if left := p.agents[side].Leftovers(); len(left) != 0 {
					t.Errorf("PE%d: left behind: %v", side, left)
				}
				if err := p.agents[side].Uninstall(); err != nil {
					t.Errorf("PE%d: uninstalling what is not there: %v", side, err)
				}
			}
			p.silent(w)
		})
	}
}

// TestSecondAgent shows that one host has one agent.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	w := wire{static: true}
	p := newPair(t, lab.Options{}, []wire{w}, nil).launch()
	_, err := p.agents[1].Longwire("agent", "-c", p.agents[1].File)
	if exitStatus(err) != 1 || contains(err.Error(), fmt.Sprint(p.agents[1].Daemon().PID())) != nil {
		t.Errorf("second agent: %v, want status 1 and pid %d in it", err, p.agents[1].Daemon().PID())
	}
	p.pings(w)
}

// TestMissingCapability starts an agent that may do nothing: it says what it
// lacks.
func TestMissingCapability(t *testing.T) {
	t.Parallel()
	w := wire{static: true}
	p := newPair(t, lab.Options{}, []wire{w}, nil)
	_, err := p.PE1.Try("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", longwire, "agent", "-c", p.agents[1].File)
	if exitStatus(err) != 1 || contains(err.Error(), "CAP_") != nil {
		t.Errorf("without capabilities: %v, want status 1 and the capability's name", err)
	}
	if left := p.agents[1].Leftovers(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestProductionCapabilities runs the agents with the capabilities that the
// manual gives to a service, and with no other.
func TestProductionCapabilities(t *testing.T) {
	t.Parallel()
	const capabilities = "-all,+net_admin,+net_raw,+bpf,+perfmon,+net_bind_service"
	for _, attach := range []string{"tcx", "clsact"} {
		t.Run(attach, func(t *testing.T) {
			t.Parallel()
			recordOutside(t, "agents without more capabilities than they need, "+attach)
			wires := []wire{{number: 0, signalled: true, cookie: 8}, {number: 1, signalled: true, cookie: 8, v6: true, udp: true}}
			p := newPair(t, lab.Options{Circuits: len(wires)}, wires, byReflector)
			p.configure(func(side int, c *lab.Config) {
				c.Dataplane = &lab.Dataplane{Attach: attach}
				p.agents[side].Wrapper = []string{"setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities}
			})
			p.reflect()
			p.launch()
			for _, w := range wires {
				p.pings(w)
				if _, err := p.Transfer(p.CE1, p.CE2, lab.Host4(2, w.number), 5_000_000, 20*time.Second); err != nil {
					t.Errorf("%v: %v", w, err)
				}
			}
		})
	}
}

// TestCapacity fills the maps: what is there goes on, the rest says why not.
func TestCapacity(t *testing.T) {
	t.Parallel()
	wires := []wire{{number: 0, static: true}, {number: 1, static: true}, {number: 2, static: true}}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, nil)
	p.configure(func(side int, c *lab.Config) {
		if side == 1 {
			// One place is for drops that belong to no pseudowire.
			c.Dataplane = &lab.Dataplane{Capacity: 2}
		}
	})
	p.agents[1].Launch()
	p.agents[2].Launch()
	p.Poll(upTime, "two of three pseudowires up", func() error {
		rows, err := p.read(1)
		if err != nil {
			return err
		}
		count := map[string]int{}
		for _, row := range rows {
			count[row.State+" "+row.Reason]++
		}
		if count["up "] != 2 || count["blocked capacity"] != 1 {
			return fmt.Errorf("%v", count)
		}
		return nil
	})
	for name, row := range p.mustRead(1) {
		for _, w := range wires {
			if w.name() == name && row.State == "up" {
				p.pings(w)
			}
		}
	}
}

// TestCountersAndDrops shows that what is dropped is counted under its reason.
func TestCountersAndDrops(t *testing.T) {
	t.Parallel()
	good, bad := wire{number: 0, static: true, cookie: 8}, wire{number: 1, static: true, cookie: 8, udp: true}
	p := newPair(t, lab.Options{Circuits: 2}, []wire{good, bad}, nil)
	p.configure(func(side int, c *lab.Config) {
		if side == 2 {
			c.Pseudowires[1].Static.LocalCookie = "0000000000000001"
		}
	}).launch()
	p.pings(good)
	p.silent(bad)
	var rows []struct {
		Pseudowire   string            `json:"pseudowire"`
		EncapPackets uint64            `json:"encap_packets"`
		DecapPackets uint64            `json:"decap_packets"`
		Drops        map[string]uint64 `json:"drops"`
	}
	p.Poll(5*time.Second, "counters of PE2", func() error {
		if err := p.agents[2].Read("counters", &rows); err != nil {
			return err
		}
		for _, row := range rows {
			if row.Pseudowire == good.name() && (row.EncapPackets < 2 || row.DecapPackets < 2 || len(row.Drops) != 0) {
				return fmt.Errorf("%+v", row)
			}
			if row.Pseudowire == bad.name() && (row.DecapPackets != 0 || row.Drops["wrong_cookie"] == 0) {
				return fmt.Errorf("%+v", row)
			}
		}
		return nil
	})
	if len(rows) < 2 {
		t.Errorf("counters of %d pseudowires, want 2", len(rows))
	}
}

// TestBlocked signals far ends that may not be used: both ends say why, and other
// pseudowires are not touched.
func TestBlocked(t *testing.T) {
	t.Parallel()
	recordOutside(t, "far ends that may not be used are blocked, with the reason")
	mtu, word, fine := wire{number: 0, signalled: true, cookie: 8}, wire{number: 1, signalled: true, cookie: 8}, wire{number: 2, signalled: true, cookie: 8}
	p := newPair(t, lab.Options{Circuits: 3}, []wire{mtu, word, fine}, byReflector)
	p.configure(func(side int, c *lab.Config) {
		if side == 2 {
			c.Pseudowires[0].MTU = 1400
			c.Pseudowires[1].Sublayer = "default"
		}
	})
	p.reflect()
	p.agents[1].Launch()
	p.agents[2].Launch()
	for side := 1; side <= 2; side++ {
		if row := p.await(side, mtu, "blocked", "mtu_mismatch"); contains(row.Detail, "1400", "1500") != nil {
			t.Errorf("PE%d: %+v does not name both MTUs", side, row)
		}
		p.await(side, word, "blocked", "control_word_mismatch")
		p.await(side, fine, "up", "")
	}
	p.pings(fine)
	p.silent(mtu)
	p.silent(word)
}

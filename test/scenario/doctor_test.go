package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// health is what longwire doctor and longwire show agent say of checks.
type health struct {
	Result string        `json:"result"`
	Checks []healthCheck `json:"checks"`
}

type healthCheck struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Mode   string `json:"mode"`
	Detail string `json:"detail"`
}

// named returns a check.
func named(checks []healthCheck, name string) healthCheck {
	for _, c := range checks {
		if c.Name == name {
			return c
		}
	}
	return healthCheck{}
}

// doctor runs longwire doctor on PE1 by way of a wrapper, and returns its exit status
// and what it says.
func (p *pair) doctor(wrapper ...string) (int, health) {
	p.t.Helper()
	out, err := p.PE1.Try(append(wrapper, longwire, "doctor", "-c", p.agents[1].File, "-o", "json")...)
	status := 0
	if err != nil {
		status = exitStatus(err)
	}
	var h health
	if err := json.Unmarshal([]byte(out), &h); err != nil {
		p.t.Fatalf("doctor: status %d, %v: %s", status, err, out)
	}
	return status, h
}

// selfTest is what the agent of PE1 shows of its self-test.
func (p *pair) selfTest() []healthCheck {
	p.t.Helper()
	var shown struct {
		SelfTest []healthCheck `json:"selftest"`
	}
	if err := p.agents[1].Read("agent", &shown); err != nil {
		p.t.Fatal(err)
	}
	return shown.SelfTest
}

// TestDoctor looks at a host without an agent, and beside one under traffic. The agent
// has made the same test, once: its restart has not.
func TestDoctor(t *testing.T) {
	t.Parallel()
	w := wire{static: true}
	p := newPair(t, lab.Options{}, []wire{w}, nil)
	status, before := p.doctor()
	if status != 0 || before.Result != "ok" {
		t.Errorf("without an agent: status %d, %+v", status, before)
	}
	p.launch()
	file := p.agents[1].Runtime + "/selftest.json"
	first, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	flow := p.Stream(p.CE1, lab.HostPort(0), p.CE2, lab.HostPort(0), 2*time.Millisecond)
	status, beside := p.doctor()
	if sent, lost := flow.Stop(); lost != 0 || sent == 0 {
		t.Errorf("%d of %d frames lost while doctor ran", lost, sent)
	}
	running := named(beside.Checks, "agent").Detail
	if status != 0 || beside.Result != "ok" || !strings.Contains(running, fmt.Sprint(p.agents[1].Daemon().PID())) {
		t.Errorf("beside the agent, which %q: status %d, %+v", running, status, beside)
	}
	for _, c := range p.selfTest() {
		if c != named(beside.Checks, c.Name) || c.Result != "ok" {
			t.Errorf("the agent shows %+v, doctor %+v", c, named(beside.Checks, c.Name))
		}
	}
	p.agents[1].Daemon().Kill()
	p.agents[1].Launch()
	if again, err := os.Stat(file); err != nil || !os.SameFile(first, again) {
		t.Errorf("the restart has made the test again: %v", err)
	}
	if n := len(p.selfTest()); n < 10 {
		t.Errorf("after the restart %d checks are shown", n)
	}
	if err := p.agents[1].Uninstall(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after uninstall: %v", err)
	}
}

// TestDoctorFindsTheHolder names the program that has the port of BGP.
func TestDoctorFindsTheHolder(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, []wire{{signalled: true}}, byReflector)
	other := p.PE1.Start("other", reflector, "-router-id", "192.0.2.77", "-asn", "65000", "-client", lab.RRSource4.String())
	p.Poll(10*time.Second, "the other program listens", func() error {
		status, h := p.doctor()
		c := named(h.Checks, "bgp_port")
		if status != 1 || h.Result != "failed" || c.Result != "failed" || !strings.Contains(c.Detail, fmt.Sprintf("held by rr (pid %d)", other.PID())) {
			return fmt.Errorf("status %d, %+v", status, c)
		}
		return nil
	})
	other.Stop()
	p.agents[1].Launch()
	p.Poll(10*time.Second, "our worker listens", func() error {
		if c := named(secondOf(p.doctor()).Checks, "bgp_port"); c.Result != "ok" || !strings.Contains(c.Detail, "longwire bgp-worker") {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
}

func secondOf(_ int, h health) health { return h }

// withoutBTF is a wrapper in whose world the kernel shows no type information.
var withoutBTF = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /sys/kernel/btf && exec "$@"`, "sh"}

// TestWithoutBTF runs agents that cannot see the kernel's own view of a packet. They
// say so, and traffic is right in the mode that they choose, on wires without any
// offload too.
func TestWithoutBTF(t *testing.T) {
	t.Parallel()
	wires := encapsulations(0)
	for i := range wires {
		wires[i].static, wires[i].cookie = true, 8
	}
	p := newPair(t, lab.Options{Circuits: len(wires), NoUnderlayOffloads: true}, wires, nil)
	p.agents[1].Wrapper, p.agents[2].Wrapper = withoutBTF, withoutBTF
	p.launch()
	if err := contains(p.agents[1].Daemon().Log(), "check=kernel_context", "mode=no_kernel_context"); err != nil {
		t.Error(err)
	}
	for _, c := range p.selfTest() {
		if degraded := c.Name == "kernel_context"; degraded != (c.Result == "degraded") || !degraded && c.Result != "ok" {
			t.Errorf("%+v", c)
		}
	}
	status, h := p.doctor(withoutBTF...)
	if c := named(h.Checks, "kernel_context"); status != 3 || h.Result != "degraded" || c.Mode != "no_kernel_context" {
		t.Errorf("doctor: status %d, %+v", status, c)
	}
	for _, w := range wires {
		if _, err := p.Transfer(p.CE1, p.CE2, lab.Host4(2, w.number), 20_000_000, 30*time.Second); err != nil {
			t.Errorf("%v: %v", w, err)
		}
	}
}

// TestSelfTestWithProductionCapabilities makes the checks that need no namespace, says
// which ones it could not make, and forwards.
func TestSelfTestWithProductionCapabilities(t *testing.T) {
	t.Parallel()
	const capabilities = "-all,+net_admin,+bpf,+perfmon,+net_bind_service"
	w := wire{static: true, udp: true, v6: true}
	p := newPair(t, lab.Options{}, []wire{w}, nil)
	confined := []string{"setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities}
	p.agents[1].Wrapper = confined
	p.launch()
	for name, result := range map[string]string{"programs": "ok", "encapsulation": "ok", "attach": "ok", "frames": "skipped", "super_frames": "skipped"} {
		c := named(p.selfTest(), name)
		if c.Result != result || result == "skipped" && !strings.Contains(c.Detail, "CAP_SYS_ADMIN") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if err := contains(p.agents[1].Daemon().Log(), "some checks were not made", "CAP_SYS_ADMIN"); err != nil {
		t.Error(err)
	}
	if status, h := p.doctor(confined...); status != 3 || h.Result != "degraded" {
		t.Errorf("doctor: status %d, %+v", status, h)
	}
	p.pings(w)
	// What root has found is good for the confined agent too.
	if _, err := p.agents[1].Longwire("doctor", "-c", p.agents[1].File, "--remember"); err != nil {
		t.Error(err)
	}
	p.agents[1].Daemon().Stop()
	p.agents[1].Launch()
	for _, c := range p.selfTest() {
		if c.Result != "ok" {
			t.Errorf("after root: %+v", c)
		}
	}
	p.pings(w)
	if err := os.Remove(p.agents[1].Runtime + "/selftest.json"); err != nil {
		t.Error(err)
	}
	// With all capabilities of its own the agent makes the whole test.
	p.agents[1].Daemon().Stop()
	p.agents[1].Wrapper = nil
	p.agents[1].Launch()
	for _, c := range p.selfTest() {
		if c.Result != "ok" {
			t.Errorf("as root: %+v", c)
		}
	}
	p.pings(w)
}

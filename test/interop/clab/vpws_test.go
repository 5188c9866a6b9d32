package clab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/test/lab"
	"longwire/test/matrix"
)

// table is the name of our results in the matrix.
const table = "Containerlab"

// column asks every program for its version.
func (e *engine) column() (string, error) {
	docker, err := e.try("docker", "version", "--format", "{{.Server.Version}}")
	if err != nil {
		return "", err
	}
	docker, _, _ = strings.Cut(strings.TrimSpace(docker), "+")
	bgpd, err := e.try("docker", "run", "--rm", "--network", "none", "longwire/frr:local", "/usr/lib/frr/bgpd", "--version")
	if err != nil {
		return "", err
	}
	frr, ok := strings.CutPrefix(strings.SplitN(bgpd, "\n", 2)[0], "bgpd version ")
	if !ok {
		return "", fmt.Errorf("bgpd says of its version %q", bgpd)
	}
	return fmt.Sprintf("containerlab %s, Docker %s, FRR %s", containerlab.version, docker, frr), nil
}

// The pseudowires of vpws.clab.yml.
var (
	bothUp = []pseudowire{{"customer-a", "up", ""}, {"customer-b", "up", ""}}
	// customers are the far ends of customer-a and customer-b, as ce1 sees them.
	customers = []string{"198.18.0.2", "198.18.1.2"}
)

// TestVPWS deploys two PEs, a route reflector and two customers, as users do, and
// breaks what can break.
func TestVPWS(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.images(t)
	column, err := e.column()
	if err != nil {
		t.Fatal(err)
	}
	var tp *topology
	steps := []struct {
		row string
		run func(t *testing.T)
	}{
		{"deploy", func(t *testing.T) {
			if tp, err = e.deploy("vpws"); err != nil {
				tp = nil
				t.Fatal(err)
			}
		}},
		{"pseudowires up", func(t *testing.T) { tp.allUp(t) }},
		{"pings", func(t *testing.T) { tp.pings(t) }},
		{"agent killed: same sessions and cookies", func(t *testing.T) { tp.killBehindReflector(t) }},
		{"link cut", func(t *testing.T) { tp.cutCircuit(t); tp.cutUnderlay(t) }},
		{"agent killed: nothing lost, if PEs peer directly as well", func(t *testing.T) { tp.killBesidePeer(t) }},
		{"destroy", func(t *testing.T) { tp.destroy(t) }},
	}
	for i, step := range steps {
		ok := t.Run(step.row, func(t *testing.T) {
			matrix.Record(t, table, step.row, column)
			if i > 0 && tp == nil {
				t.Fatal("it was not deployed")
			}
			step.run(t)
		})
		if !ok && tp != nil {
			tp.show(t)
		}
	}
}

// show puts what a user would look at into the log of a failed test.
func (tp *topology) show(t *testing.T) {
	for _, pe := range []string{"pe1", "pe2"} {
		for _, argv := range [][]string{
			{"docker", "logs", "--tail", "30", tp.container(pe)},
			{"docker", "exec", tp.container(pe), "longwire", "show", "pseudowires"},
			{"docker", "exec", tp.container(pe), "longwire", "show", "neighbors"},
		} {
			out, err := tp.try(argv...)
			t.Logf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
}

func (tp *topology) allUp(t *testing.T) {
	t.Helper()
	tp.await(t, "pe1", bothUp...)
	tp.await(t, "pe2", bothUp...)
}

// pings goes through both pseudowires in both directions, with small packets and
// with the largest ones that the customers' ports take.
func (tp *topology) pings(t *testing.T) {
	for _, size := range []int{64, 1500} {
		for _, to := range customers {
			tp.ping(t, "ce1", to, size)
		}
		tp.ping(t, "ce2", "198.18.0.1", size)
		tp.ping(t, "ce2", "198.18.1.1", size)
	}
}

// killAgent kills an agent under traffic. Another one follows, and both ends go on
// with the sessions and cookies that they had. It returns how often the other end
// has given the far end up meanwhile.
func (tp *topology) killAgent(t *testing.T, flows ...*stream) (downs int) {
	t.Helper()
	before, killed := tp.sessions(t), tp.agent(t)
	downs = -tp.downs(t)
	tp.must(t, "pe1", "kill", "-KILL", killed)
	err := lab.Await(stateTime, func() error {
		out, err := tp.in("pe1", "longwire", "show", "agent", "-o", "json")
		if err == nil && strings.Contains(out, `"pid": `+killed+",") {
			err = errors.New("the agent lives")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tp.allUp(t)
	for _, flow := range flows {
		flow.stop(t)
	}
	if now := tp.agent(t); now == killed {
		t.Errorf("the agent still has process id %s", now)
	}
	err = lab.Await(stateTime, func() error { // until every session of BGP is back
		if diff := cmp.Diff(before, tp.sessions(t)); diff != "" {
			return fmt.Errorf("sessions (-before +after):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return downs + tp.downs(t)
}

// killBehindReflector kills an agent that is known through the reflector alone. FRR
// has no graceful restart for EVPN and withdraws its routes at once.
func (tp *topology) killBehindReflector(t *testing.T) {
	if downs := tp.killAgent(t); downs == 0 {
		t.Error("FRR has kept the routes of an agent that restarts, which docs/interop.md denies")
	}
	tp.pings(t)
}

// killBesidePeer kills an agent that has a session with the other PE as well: then
// nothing is lost.
func (tp *topology) killBesidePeer(t *testing.T) {
	for _, pe := range []string{"pe1", "pe2"} {
		tp.uncomment(t, pe)
	}
	for _, pe := range []string{"pe1", "pe2"} {
		err := lab.Await(stateTime, func() error {
			out, err := tp.in(pe, "longwire", "show", "neighbors", "-o", "json")
			if err == nil && strings.Count(out, `"established"`) != 2 {
				err = fmt.Errorf("sessions are not established: %s", out)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if downs := tp.killAgent(t, tp.stream(t, "ce1", customers[0]), tp.stream(t, "ce2", "198.18.1.1")); downs != 0 {
		t.Errorf("pe2 gave its far end up %d times", downs)
	}
}

// uncomment takes the neighbour that is commented out into a PE's configuration, as
// a user would, and lets the agent read it.
func (tp *topology) uncomment(t *testing.T, pe string) {
	t.Helper()
	path := tp.Path("users/vpws/" + pe + ".yaml")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	now := strings.Replace(string(old), "# - {", "- {", 1)
	if now == string(old) {
		t.Fatalf("%s has no neighbour that is commented out", path)
	}
	// In place, since it is the file that the container has, not its name.
	if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
	tp.must(t, pe, "longwire", "reload")
}

// downs returns how often pseudowires of pe2 have lost their far end so far.
func (tp *topology) downs(t *testing.T) int {
	t.Helper()
	log, err := tp.try("docker", "logs", tp.container("pe2"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(log, `msg="pseudowire is down"`)
}

// agent returns the process id of the agent of pe1, in its container.
func (tp *topology) agent(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(tp.must(t, "pe1", "cat", "/run/longwire/longwire.pid"))
}

// sessions returns what both PEs send and receive, and what the reflector has told
// each of the other.
func (tp *topology) sessions(t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, pe := range []string{"pe1", "pe2"} {
		for what, flags := range map[string][]string{"sessions": {"--cookies"}, "routes": nil} {
			out := tp.must(t, pe, append([]string{"longwire", "show", what, "-o", "json"}, flags...)...)
			var rows []map[string]any
			if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) == 0 {
				t.Fatalf("%s of %s: %v: %s", what, pe, err, out)
			}
			for _, row := range rows {
				delete(row, "since") // the time of the session that it came by
			}
			all[pe+" "+what] = rows
		}
	}
	return all
}

// cutCircuit cuts the link between a customer and its PE. The other pseudowire goes
// on.
func (tp *topology) cutCircuit(t *testing.T) {
	tp.must(t, "ce1", "ip", "link", "set", "eth1", "down")
	tp.await(t, "pe1", pseudowire{"customer-a", "down", "interface_down"}, bothUp[1])
	tp.await(t, "pe2", pseudowire{"customer-a", "down", "no_remote"}, bothUp[1])
	tp.ping(t, "ce1", customers[1], 1500)
	tp.must(t, "ce1", "ip", "link", "set", "eth1", "up")
	tp.allUp(t)
	tp.pings(t)
}

// cutUnderlay cuts the link between a PE and everybody else. Its agent goes on by
// what it knew; the reflector withdraws its routes from the other one.
func (tp *topology) cutUnderlay(t *testing.T) {
	tp.must(t, "rr", "ip", "link", "set", "eth1", "down")
	tp.await(t, "pe1", pseudowire{"customer-a", "stale", "peer_lost"}, pseudowire{"customer-b", "stale", "peer_lost"})
	tp.await(t, "pe2", pseudowire{"customer-a", "down", "no_remote"}, pseudowire{"customer-b", "down", "no_remote"})
	if out, err := tp.in("ce1", "ping", "-n", "-q", "-c", "1", "-W", "1", customers[0]); err == nil {
		t.Errorf("the link is not cut: %s", out)
	}
	tp.must(t, "rr", "ip", "link", "set", "eth1", "up")
	tp.allUp(t)
	tp.pings(t)
}

// destroy lets containerlab destroy the topology and looks for what it has left.
func (tp *topology) destroy(t *testing.T) {
	if err := tp.containerlab("destroy", "--cleanup"); err != nil {
		t.Fatal(err)
	}
	for what, argv := range map[string][]string{
		"containers":        {"docker", "ps", "--all", "--quiet"},
		"networks":          {"docker", "network", "ls", "--filter", "type=custom", "--quiet"},
		"namespaces":        {"ls", "-A", "/run/netns"},
		"ssh configuration": {"find", "/etc/ssh/ssh_config.d", "-name", "clab-*"},
	} {
		if out, err := tp.try(argv...); err != nil || out != "" {
			t.Errorf("%s are left: %v: %s", what, err, out)
		}
	}
	links, err := tp.try("ip", "-oneline", "link", "show")
	if err != nil || strings.Count(links, "\n") != 1 || !strings.Contains(links, " lo:") {
		t.Errorf("interfaces are left: %v: %s", err, links)
	}
	if _, err := os.Stat(tp.Path("users/clab-" + tp.name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the deployment is left: %v", err)
	}
	dirs, err := cgroups(tp.ID())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !strings.HasSuffix(dir, "/"+tp.ID()) { // dockerd's own, for all containers
			t.Errorf("the cgroup %s is left", dir)
		}
	}
}

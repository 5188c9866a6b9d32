package scenario

import (
	"flag"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"longwire/test/lab"
	"longwire/test/manual"
	results "longwire/test/matrix"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// bgpMode says who speaks BGP with the route reflectors.
var bgpMode = flag.String("bgp", "worker", "who speaks BGP on the PEs: our worker, or an operator's gobgpd or frr")

// outside is an operator's BGP daemon on a PE.
type outside struct {
	*lab.Daemon
	start func() *lab.Daemon
	frr   *frr.Router // nil if it is a gobgpd
}

// Restart starts the daemon again after it was killed or stopped.
func (o *outside) Restart() { o.Daemon = o.start() }

// giveAway hands a side's sessions with route reflectors over to an operator's
// daemon if the flag says so, and starts that. Neighbours that are PEs stay with
// the agent.
func (p *pair) giveAway(side int, config *lab.Config) {
	p.t.Helper()
	if *bgpMode == "worker" || config.BGP == nil || !areReflectors(config.BGP.Neighbors) {
		return
	}
	_, pe := p.Side(side)
	name := *bgpMode + "-" + pe.Role
	switch *bgpMode {
	case "gobgpd":
		server := gobgpd.Start(pe.Namespace, name, gobgpdBinary,
			p.manual("# /etc/gobgpd.toml of PE 1", side, config.BGP.Neighbors), "--graceful-restart")
		p.outside[side] = &outside{Daemon: server.Daemon, start: func() *lab.Daemon { server.Restart(); return server.Daemon }}
		config.BGP.Neighbors, config.BGP.Gobgpd = nil, "unix://"+server.Socket // of the lab, not of the manual
	case "frr":
		router := frr.Start(pe.Namespace, name, p.manual("! /etc/frr/frr.conf of PE 1", side, config.BGP.Neighbors))
		p.outside[side] = &outside{Daemon: router.Daemon, start: func() *lab.Daemon { router.Restart(); return router.Daemon }, frr: router}
		documented := p.documentedAgent("# /etc/longwire/longwire.yaml of PE 1, with FRR")
		config.Router.ID = netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + side)})
		config.BGP.Listen, config.BGP.Neighbors = documented.BGP.Listen, documented.BGP.Neighbors
	default:
		p.t.Fatalf("-bgp=%s: it is worker, gobgpd or frr", *bgpMode)
	}
}

// areReflectors says whether neighbours are route reflectors.
func areReflectors(neighbors []lab.Neighbor) bool {
	for _, n := range neighbors {
		if n.Address != lab.RRSource4 && n.Address != lab.RR2Source4 {
			return false
		}
	}
	return len(neighbors) > 0
}

// manual returns a configuration from the manual, named by its first line, for a
// side with these neighbours: what operators are told to write is what is tested.
func (p *pair) manual(title string, side int, neighbors []lab.Neighbor) string {
	p.t.Helper()
	config, err := manual.Block(title)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, n := range neighbors[1:] {
		config = another(config, neighbors[0].Address.String(), n.Address.String())
	}
	return regexp.MustCompile(`\b192\.0\.2\.1\b`).ReplaceAllString(config, fmt.Sprintf("192.0.2.%d", side))
}

// documentedAgent is the agent's configuration in the manual.
func (p *pair) documentedAgent(title string) (config lab.Config) {
	p.t.Helper()
	text, err := manual.Block(title)
	if err == nil {
		err = yaml.Unmarshal([]byte(text), &config)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", title, err)
	}
	return config
}

// another adds a neighbour like the one that there is: in gobgpd's file a section
// to the end, in FRR's a line after each line that names the other.
func another(config, like, address string) string {
	if _, section, found := strings.Cut(config, "[[neighbors]]"); found {
		return config + "[[neighbors]]" + strings.ReplaceAll(section, like, address)
	}
	var lines []string
	for line := range strings.Lines(config) {
		lines = append(lines, line)
		if strings.Contains(line, like) {
			lines = append(lines, strings.ReplaceAll(line, like, address))
		}
	}
	return strings.Join(lines, "")
}

// recordOutside notes a test's result in the matrix of daemons on the PE, if there
// is one.
func recordOutside(t results.TB, row string) {
	t.Helper()
	how := map[string]string{"gobgpd": "gRPC and BMP", "frr": "iBGP on the host"}[*bgpMode]
	if how == "" {
		return
	}
	column, err := version(*bgpMode)
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, kind := range reflectorKinds() {
		reflector, err := version(kind)
		if err != nil {
			t.Errorf("%v", err)
		}
		if reflector != "" {
			how += "; reflector " + reflector
		}
	}
	results.Record(t, "An outside BGP daemon on the PE", row, fmt.Sprintf("%s (%s)", column, how))
}

// TestAnother holds the configuration with two neighbours against what it is to be.
func TestAnother(t *testing.T) {
	for _, tt := range []struct{ config, want string }{
		{"a\n[[neighbors]]\n  x = \"1\"\n", "a\n[[neighbors]]\n  x = \"1\"\n[[neighbors]]\n  x = \"2\"\n"},
		{"a\nneighbor 1 x\nb\n neighbor 1 y\n", "a\nneighbor 1 x\nneighbor 2 x\nb\n neighbor 1 y\n neighbor 2 y\n"},
	} {
		if got := another(tt.config, "1", "2"); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestManualsAgents has longwire check the agents' configurations in the manual.
func TestManualsAgents(t *testing.T) {
	t.Parallel()
	topo := lab.NewTopology(t, lab.Options{})
	agent := topo.Agent(longwire, topo.PE1, lab.Config{})
	for _, with := range []string{"gobgpd", "FRR"} {
		text, err := manual.Block("# /etc/longwire/longwire.yaml of PE 1, with " + with)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Longwire("config", "check", topo.Write(with+".yaml", text)); err != nil {
			t.Errorf("with %s: %v", with, err)
		}
	}
}

package outside

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"longwire/test/lab"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// behindFRR gives PE1 the bgpd on its host as the only neighbour, and PE2 the route
// reflector's place.
func behindFRR(w *world, side int) *lab.BGP {
	if side == 1 {
		var documented lab.Config
		if err := yaml.Unmarshal([]byte(w.manual("# /etc/longwire/longwire.yaml of PE 1, with FRR")), &documented); err != nil {
			w.t.Fatal(err)
		}
		return documented.BGP
	}
	return &lab.BGP{Neighbors: []lab.Neighbor{
		{Address: lab.PE1Source4, ASN: 65000, LocalAddress: lab.PE2Source4.String(), HoldTime: "9s"},
	}}
}

// frr starts zebra and bgpd on PE1, with PE2 as bgpd's neighbour, and change as the
// last word on its configuration.
func (w *world) frr(change func(string) string) *frr.Router {
	w.t.Helper()
	config := strings.ReplaceAll(w.manual("! /etc/frr/frr.conf of PE 1"), lab.RRSource4.String(), lab.PE2Source4.String())
	w.config[1].Router.ID = netip.MustParseAddr("192.0.2.101")
	w.agents[1].Configure(w.config[1])
	return frr.StartWithZebra(w.PE1.Namespace, "bgpd", change(config))
}

// TestBesideZebra has FRR know all addresses of the host, as it does on a router
// that it runs: in a view bgpd takes no notice of them.
func TestBesideZebra(t *testing.T) {
	t.Parallel()
	record(t, "beside zebra, in a view", true)
	w := newWorld(t, behindFRR)
	w.frr(func(config string) string { return config })
	w.agents[1].Launch()
	w.agents[2].Launch()
	w.bothUp(0)
}

// TestDefaultInstanceBesideZebra shows why it has to be a view: the default
// instance refuses the agent's routes, since their next hop is an address of the
// host.
func TestDefaultInstanceBesideZebra(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behindFRR)
	// There the agent cannot be in 127.0.0.0/8 either.
	const peer, local = "192.0.2.201", "192.0.2.202"
	w.PE1.Address("lo", peer+"/32")
	w.PE1.Address("lo", local+"/32")
	w.config[1].BGP.Neighbors[0].Address = netip.MustParseAddr(local)
	w.config[1].BGP.Neighbors[0].LocalAddress = peer
	router := w.frr(func(config string) string {
		config = strings.ReplaceAll(config, " view longwire", "")
		config = strings.ReplaceAll(config, " neighbor 127.0.0.2 remote-as 65000\n", " neighbor agent peer-group\n"+
			" neighbor agent remote-as 65000\n neighbor agent update-source "+local+"\n"+
			" bgp listen range "+peer+"/32 peer-group agent\n")
		return "debug bgp updates\n" + strings.ReplaceAll(config, "neighbor 127.0.0.2", "neighbor agent")
	})
	w.agents[1].Launch()
	w.Poll(upTime, "bgpd refuses the agent's route", func() error {
		if !strings.Contains(router.Log(), "DENIED due to: martian or self next-hop") {
			return errors.New("not yet")
		}
		return nil
	})
	if n, err := router.Established(); err != nil || n != 1 {
		t.Errorf("%v", errors.Join(err, fmt.Errorf("%d sessions, want the agent's", n)))
	}
}

// TestGobgpdBehindFRR has a gobgpd between bgpd and the agent: it outlives the
// agent, so that nothing is lost when that is killed.
func TestGobgpdBehindFRR(t *testing.T) {
	t.Parallel()
	record(t, "gobgpd between bgpd and the agent: agent killed, no frame lost", true)
	w := newWorld(t, behindFRR)
	const between = "192.0.2.101"
	w.frr(func(config string) string { return config })
	w.config[1].BGP = &lab.BGP{Gobgpd: "unix://" + w.socket()}
	w.agents[1].Configure(w.config[1])
	config := w.manual("# /etc/gobgpd.toml of PE 1")
	for _, change := range [][2]string{
		{"[global.config]", "[global.config]\n  port = -1"},
		{lab.RRSource4.String(), "127.0.0.1"},
		{`local-address = "192.0.2.1"`, `local-address = "127.0.0.2"`},
		{`router-id = "192.0.2.1"`, `router-id = "` + between + `"`},
	} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("no %q in the manual's gobgpd.toml", change[0])
		}
		config = strings.Replace(config, change[0], change[1], 1)
	}
	gobgpd.Start(w.PE1.Namespace, "gobgpd", gobgpdBinary, config)
	w.agents[1].Launch()
	w.agents[2].Launch()
	w.bothUp(0)
	flow := w.Stream(w.CE2, lab.HostPort(0), w.CE1, lab.HostPort(0), 2*time.Millisecond)
	w.agents[1].Daemon().Kill()
	had := flow.Received()
	w.Poll(upTime, "traffic without the agent", func() error {
		if now := flow.Received(); now < had+1000 {
			return fmt.Errorf("%d frames", now-had)
		}
		return nil
	})
	w.agents[1].Launch()
	w.bothUp(0)
	if sent, lost := flow.Stop(); sent == 0 || lost != 0 {
		t.Errorf("%d of %d frames lost", lost, sent)
	}
}

package scenario

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"time"

	"longwire/test/lab"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// bgpMode says who speaks BGP with the route reflectors.
var bgpMode = flag.String("bgp", "worker", "who speaks BGP on the PEs: our worker, or an operator's gobgpd or frr")

// outside is an operator's BGP daemon on a PE.
type outside struct {
	*lab.Daemon
	start func() *lab.Daemon
}

// Restart starts the daemon again after it was killed or stopped.
func (o *outside) Restart() { o.Daemon = o.start() }

// giveAway hands a side's sessions with route reflectors over to an operator's
// daemon if the flag says so, and starts that. Other neighbours stay with the
// agent.
func (p *pair) giveAway(side int, config *lab.Config) {
	p.t.Helper()
	if *bgpMode == "worker" || config.BGP == nil || !areReflectors(config.BGP.Neighbors) {
		return
	}
	_, pe := p.Side(side)
	name := *bgpMode + "-" + pe.Role
	switch *bgpMode {
	case "gobgpd":
		server := gobgpd.Start(pe.Namespace, name, gobgpdBinary, p.manual("# /etc/gobgpd.toml of PE 1", side), "--graceful-restart")
		p.outside[side] = &outside{server.Daemon, func() *lab.Daemon { server.Restart(); return server.Daemon }}
		config.BGP.Neighbors, config.BGP.Gobgpd = nil, "unix://"+server.Socket
	case "frr":
		router := frr.Start(pe.Namespace, name, p.manual("! /etc/frr/frr.conf of PE 1", side))
		p.outside[side] = &outside{router.Daemon, func() *lab.Daemon { router.Restart(); return router.Daemon }}
		config.Router.ID = netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + side)})
		config.BGP.Listen = "none"
		local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		config.BGP.Neighbors = []lab.Neighbor{{Address: local, ASN: 65000, LocalAddress: local.String(), HoldTime: "9s"}}
	default:
		p.t.Fatalf("-bgp=%s: it is worker, gobgpd or frr", *bgpMode)
	}
}

// areReflectors says whether neighbours are in the network of the reflectors'
// addresses, and not the other PE.
func areReflectors(neighbors []lab.Neighbor) bool {
	for _, n := range neighbors {
		if n.Address == lab.PE1Source4 || n.Address == lab.PE2Source4 || n.Address.Is6() {
			return false
		}
	}
	return len(neighbors) > 0
}

// manual returns a configuration from the manual, named by its first line, for a
// side: what operators are told to write is what is tested.
func (p *pair) manual(title string, side int) string {
	p.t.Helper()
	text, err := os.ReadFile("../../docs/interop.md")
	if err != nil {
		p.t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\\w*\n(" + regexp.QuoteMeta(title) + "\n.*?)```").FindSubmatch(text)
	if block == nil {
		p.t.Fatalf("docs/interop.md has no block %q", title)
	}
	own := regexp.MustCompile(`\b192\.0\.2\.1\b`)
	return own.ReplaceAllString(string(block[1]), fmt.Sprintf("192.0.2.%d", side))
}

// backAfterFRR goes on after the agent of PE1 was killed behind FRR, which keeps
// no EVPN route of a neighbour that is lost: the far end stops, and all is as
// before soon after the agent is back.
func (p *pair) backAfterFRR(flows []*lab.Stream, wires []wire, before [3]map[string]pseudowire) {
	p.t.Helper()
	for _, w := range wires {
		p.await(2, w, "down", "no_remote")
	}
	p.agents[1].Launch()
	p.awaitAllUp(1)
	p.awaitAllUp(2)
	for _, flow := range flows {
		had := flow.Received()
		p.Poll(10*time.Second, "traffic", func() error {
			if got := flow.Received(); got < had+500 {
				return fmt.Errorf("%d frames more", got-had)
			}
			return nil
		})
	}
	p.sameSessions(before)
}

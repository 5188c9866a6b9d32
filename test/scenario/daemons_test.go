package scenario

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestOneOfTwoReflectors kills one of two route reflectors under traffic, then
// the other: nothing is lost, whoever speaks BGP on the PEs.
func TestOneOfTwoReflectors(t *testing.T) {
	t.Parallel()
	recordOutside(t, "one of two reflectors dies and returns, no frame lost")
	wires := []wire{{signalled: true, cookie: 8}}
	p := newPair(t, lab.Options{SecondReflector: true}, wires, byTwoReflectors)
	both := []*routeReflector{p.reflect(), p.reflectAgain()}
	p.launch()
	p.lossless(t, wires, func() {
		for _, rr := range both {
			p.awaitReceived(both, 1)
			rr.Kill()
			p.awaitReceived([]*routeReflector{rr}, 0)
			rr.Restart()
		}
		p.awaitReceived(both, 1)
	})
}

// awaitReceived waits until both PEs have as many routes of each reflector. bgpd
// also reflects a route to the client that sent it.
func (p *pair) awaitReceived(reflectors []*routeReflector, want int) {
	p.t.Helper()
	for side := 1; side <= 2; side++ {
		for _, rr := range reflectors {
			most := want
			if rr.kind == "frr" {
				most *= 2
			}
			p.Poll(upTime, fmt.Sprintf("PE%d has %d routes of %v", side, want, rr), func() error {
				got, err := p.received(side, rr.address)
				if err == nil && (got < want || got > most) {
					err = fmt.Errorf("%d", got)
				}
				return err
			})
		}
	}
}

// received counts the routes that a PE has in an established session with a
// reflector, by asking the agent, or bgpd when the agent knows bgpd alone.
func (p *pair) received(side int, reflector netip.Addr) (int, error) {
	if daemon := p.outside[side]; daemon != nil && daemon.frr != nil {
		var shown map[string]struct {
			State    string `json:"bgpState"`
			Families map[string]struct {
				Accepted int `json:"acceptedPrefixCounter"`
			} `json:"addressFamilyInfo"`
		}
		err := daemon.frr.JSON(&shown, fmt.Sprintf("show bgp view longwire neighbors %v", reflector))
		if err != nil || shown[reflector.String()].State != "Established" {
			return 0, err
		}
		return shown[reflector.String()].Families["l2VpnEvpn"].Accepted, nil
	}
	var shown []struct {
		Address  netip.Addr `json:"address"`
		State    string     `json:"state"`
		Received int        `json:"received"`
	}
	if err := p.agents[side].Read("neighbors", &shown); err != nil {
		return 0, err
	}
	for _, n := range shown {
		if n.Address == reflector && n.State == "established" {
			return n.Received, nil
		}
	}
	return 0, nil
}

// TestBGPStops stops what speaks BGP on PE1 in order, and starts it again: our
// worker with its agent, or an operator's daemon. gobgpd takes its leave in a way
// that makes others forget its routes.
func TestBGPStops(t *testing.T) {
	t.Parallel()
	if *bgpMode == "gobgpd" {
		interrupted(t, "daemon stopped", func(p *pair, _ *routeReflector) func() {
			p.outside[1].Stop()
			return p.outside[1].Restart
		})
		return
	}
	recordOutside(t, "daemon stopped and started again, no frame lost")
	survives(t, func(p *pair, _ *routeReflector) {
		if daemon := p.outside[1]; daemon != nil {
			daemon.Stop()
			daemon.Restart()
			return
		}
		p.agents[1].Daemon().Stop()
		p.agents[1].Launch()
	})
}

// interrupted breaks something of BGP that withdraws the route of PE1's circuit
// at PE2, and heals it: the pseudowire is down meanwhile, and then up with the
// sessions that it had.
func interrupted(t *testing.T, row string, breakIt func(*pair, *routeReflector) (heal func())) {
	t.Helper()
	recordOutside(t, row+" and started again: routes withdrawn, and back with the same sessions")
	w := wire{signalled: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, byReflector)
	rr := p.reflect()
	p.launch()
	before := [3]map[string]pseudowire{1: p.mustRead(1), 2: p.mustRead(2)}
	heal := breakIt(p, rr)
	p.await(2, w, "down", "no_remote")
	heal()
	p.awaitAllUp(1)
	p.awaitAllUp(2)
	p.pings(w)
	p.sameSessions(before)
}

// agentKilledRow is what the death of an agent comes to.
func agentKilledRow() string {
	if *bgpMode == "frr" {
		return "agent killed and started again: routes withdrawn, and back with the same sessions"
	}
	return "agent killed and started again, no frame lost"
}

// backAfterFRR goes on after the agent of PE1 was killed behind bgpd, which keeps
// no EVPN routes of a neighbour that is lost: the far end stops, and all is as
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
			if got := flow.Received(); got < had+100 {
				return fmt.Errorf("%d frames more", got-had)
			}
			return nil
		})
	}
	p.sameSessions(before)
}

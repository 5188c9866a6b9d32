package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestTwoReflectors makes both PEs clients of two route reflectors and disturbs
// these in every way, one at a time, under traffic: nothing is lost, the choice
// is the same before and after, and the pseudowire stays up.
func TestTwoReflectors(t *testing.T) {
	t.Parallel()
	wires := []wire{{signalled: true, cookie: 8}}
	p := newPair(t, lab.Options{SecondReflector: true}, wires, byTwoReflectors)
	// Among equals the lowest address of a neighbour is chosen.
	other, used := p.reflect(), p.reflectAgain()
	p.launch()
	p.awaitPaths(used, other)
	for _, step := range p.disturbances(used, other) {
		row(t, "two reflectors: "+step.row+", no frame lost", func(t *testing.T) {
			before := [3]int{1: p.changesOfState(1), 2: p.changesOfState(2)}
			p.lossless(t, wires, func() {
				step.take(t)
				p.awaitPaths(used, other)
			})
			for side := 1; side <= 2; side++ {
				if n := p.changesOfState(side) - before[side]; n != step.changes[side] {
					t.Errorf("the pseudowire of PE%d changed its state %d times, want %d", side, n, step.changes[side])
				}
			}
		})
	}
}

// disturbance is something that happens to two reflectors.
type disturbance struct {
	row  string
	take func(t *testing.T)
	// changes is how often the pseudowire of a side may change its state.
	changes [3]int
}

// disturbances lists what is done to two reflectors of which the first is in
// use.
func (p *pair) disturbances(used, other *routeReflector) []disturbance {
	all := []disturbance{
		{row: "the one in use dies and returns", take: func(*testing.T) { p.dies(used, other) }},
		{row: "the other one dies and returns", take: func(*testing.T) { p.dies(other, used) }},
		{row: "the one in use lags behind a change", take: func(t *testing.T) { p.lags(t, used) }},
	}
	if kinds := reflectorKinds(); kinds[0] != "rr" {
		all = append(all, disturbance{
			row:  "the one in use withdraws the route and announces it again",
			take: func(t *testing.T) { p.leaves(t, used, other) },
		})
		// bgpd forgets a client that restarts; with another reflector nothing is
		// lost for that. The client itself has stale routes meanwhile.
		if slices.Contains(kinds, "gobgpd") {
			all = append(all, disturbance{
				row: "a client's BGP restarts", take: func(*testing.T) { p.anotherWorker(1) }, changes: [3]int{1: 2},
			})
		}
	}
	return all
}

// path is a route, as "longwire show routes -o json" has it.
type path struct {
	Service    uint32     `json:"service"`
	Peer       netip.Addr `json:"peer"`
	Verdict    string     `json:"verdict"`
	StaleSince *time.Time `json:"stale_since"`
}

// awaitPaths waits until both PEs have the far end's first route from these
// reflectors and no others, fresh, and use the first one.
func (p *pair) awaitPaths(want ...*routeReflector) {
	p.t.Helper()
	for side := 1; side <= 2; side++ {
		p.Poll(upTime, fmt.Sprintf("PE%d uses the route of %v among %d", side, want[0], len(want)), func() error {
			var all []path
			if err := p.agents[side].Read("routes", &all); err != nil {
				return err
			}
			fresh := map[netip.Addr]string{}
			for _, one := range all {
				if one.Service == uint32(1000*(3-side)) && one.StaleSince == nil {
					fresh[one.Peer] = one.Verdict
				}
			}
			for i, r := range want {
				verdict := []string{"selected", "standby"}[min(i, 1)]
				if len(fresh) != len(want) || fresh[r.address] != verdict {
					return fmt.Errorf("%v", fresh)
				}
			}
			return nil
		})
	}
}

// dies kills a reflector, waits until the PEs do with the one that is left, and
// starts it again.
func (p *pair) dies(r, left *routeReflector) {
	p.t.Helper()
	r.Kill()
	p.awaitPaths(left)
	r.Restart()
}

// leaves takes PE2 from the clients of a reflector, so that it has no route of
// PE2 any more, and brings it back.
func (p *pair) leaves(t *testing.T, r, left *routeReflector) {
	t.Helper()
	both := p.config[2]
	for _, config := range []lab.Config{without(both, r), both} {
		p.agents[2].Configure(config)
		if err := p.agents[2].Reload(); err != nil {
			t.Fatal(err)
		}
		if len(config.BGP.Neighbors) == 1 {
			p.awaitPaths(left)
		}
	}
}

// without returns a configuration that lacks a reflector.
func without(c lab.Config, r *routeReflector) lab.Config {
	bgp := *c.BGP
	bgp.Neighbors = nil
	for _, n := range c.BGP.Neighbors {
		if n.Address != r.address {
			bgp.Neighbors = append(bgp.Neighbors, n)
		}
	}
	c.BGP = &bgp
	return c
}

// lags stops a reflector's clock while PE2 changes its session id: the two
// reflectors tell PE1 different things, and what is new counts.
func (p *pair) lags(t *testing.T, r *routeReflector) {
	t.Helper()
	r.Signal(syscall.SIGSTOP)
	defer r.Signal(syscall.SIGCONT)
	p.changeSessions(t)
	p.sends(1, p.sessions(2))
}

// changesOfState counts how often a pseudowire of a side has changed its state.
func (p *pair) changesOfState(side int) int {
	return strings.Count(p.agents[side].Daemon().Log(), `msg="pseudowire is `)
}

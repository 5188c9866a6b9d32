package scenario

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestTwoReflectors makes both PEs clients of two route reflectors and disturbs
// these in every way, one at a time, under traffic: nothing is lost, the choice
// is the same before and after, and no pseudowire is ever anything but up.
func TestTwoReflectors(t *testing.T) {
	t.Parallel()
	wires := []wire{{signalled: true, cookie: 8}}
	p := newPair(t, lab.Options{SecondReflector: true}, wires, byTwoReflectors)
	// Among equals the lowest address of a neighbour is chosen.
	other, used := p.reflect(), p.reflectAgain()
	p.launch()
	p.chosen(used, other)
	before := [3]int{1: p.changesOfState(1), 2: p.changesOfState(2)}
	for _, step := range []struct {
		row  string
		take func(t *testing.T)
	}{
		{"the one in use dies and returns", func(*testing.T) { p.dies(used, other) }},
		{"the other one dies and returns", func(*testing.T) { p.dies(other, used) }},
		{"the one in use withdraws the route and announces it again", func(t *testing.T) { p.leaves(t, used, other) }},
		{"the one in use lags behind a change", func(t *testing.T) { p.lags(t, used, other) }},
	} {
		row(t, "two reflectors: "+step.row+", no frame lost", func(t *testing.T) {
			p.lossless(t, wires, func() {
				step.take(t)
				p.chosen(used, other)
			})
		})
	}
	for side := 1; side <= 2; side++ {
		if now := p.changesOfState(side); now != before[side] {
			t.Errorf("pseudowires of PE%d changed their state %d times", side, now-before[side])
		}
	}
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

// chosen waits until both PEs have a route from both reflectors, and use that of
// the first.
func (p *pair) chosen(used, other *routeReflector) {
	p.t.Helper()
	p.awaitPaths(used, other)
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
func (p *pair) lags(t *testing.T, r, _ *routeReflector) {
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

package scenario

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// upTime is how long a pseudowire may take to come up: BGP included, on a busy
// machine.
const upTime = 90 * time.Second

// pseudowire is a row of "longwire show pseudowires -o json".
type pseudowire struct {
	Name          string `json:"name"`
	State         string `json:"state"`
	Reason        string `json:"reason"`
	Detail        string `json:"detail"`
	Source        string `json:"source"`
	Remote        string `json:"remote"`
	LocalSession  uint32 `json:"local_session"`
	RemoteSession uint32 `json:"remote_session"`
}

// pair is a topology with an agent on each PE.
type pair struct {
	*lab.Topology
	t       *testing.T
	agents  [3]*lab.Agent // by side, 1 and 2
	config  [3]lab.Config
	outside [3]*outside
}

// newPair makes the topology and the configurations, and starts nothing. bgp
// may be nil; it is called for each side.
func newPair(t *testing.T, options lab.Options, wires []wire, bgp func(side int) (asn uint32, section *lab.BGP)) *pair {
	t.Helper()
	p := &pair{Topology: lab.NewTopology(t, options), t: t}
	for side := 1; side <= 2; side++ {
		_, pe := p.Side(side)
		config := lab.Config{Router: lab.Router{ID: pe.Source4, Source: []netip.Addr{pe.Source4, pe.Source6}}}
		if bgp != nil {
			config.Router.ASN, config.BGP = bgp(side)
			p.giveAway(side, &config)
		}
		for _, w := range wires {
			config.Pseudowires = append(config.Pseudowires, w.config(side))
		}
		p.config[side] = config
		p.agents[side] = p.Agent(longwire, pe, config)
	}
	return p
}

// configure changes the configuration of both sides before they are started.
func (p *pair) configure(change func(side int, config *lab.Config)) *pair {
	p.t.Helper()
	for side := 1; side <= 2; side++ {
		change(side, &p.config[side])
		p.agents[side].Configure(p.config[side])
	}
	return p
}

// launch starts both agents and waits until every pseudowire of both is up.
func (p *pair) launch() *pair {
	p.t.Helper()
	p.agents[1].Launch()
	p.agents[2].Launch()
	p.awaitAllUp(1)
	p.awaitAllUp(2)
	return p
}

// read returns the pseudowires of a side by name.
func (p *pair) read(side int) (map[string]pseudowire, error) {
	var rows []pseudowire
	if err := p.agents[side].Read("pseudowires", &rows); err != nil {
		return nil, err
	}
	byName := make(map[string]pseudowire, len(rows))
	for _, row := range rows {
		byName[row.Name] = row
	}
	return byName, nil
}

// mustRead is read for an agent that runs.
func (p *pair) mustRead(side int) map[string]pseudowire {
	p.t.Helper()
	rows, err := p.read(side)
	if err != nil {
		p.t.Fatal(err)
	}
	return rows
}

// awaitAllUp waits until every pseudowire of a side is up.
func (p *pair) awaitAllUp(side int) {
	p.t.Helper()
	p.Poll(upTime, fmt.Sprintf("pseudowires of PE%d up", side), func() error {
		rows, err := p.read(side)
		if err != nil {
			return err
		}
		if len(rows) != len(p.config[side].Pseudowires) {
			return fmt.Errorf("%d of %d pseudowires shown", len(rows), len(p.config[side].Pseudowires))
		}
		for _, row := range rows {
			if row.State != "up" {
				return fmt.Errorf("%+v", row)
			}
		}
		return nil
	})
}

// await waits until a pseudowire of a side has a state, and a reason if it is
// not empty, and returns it.
func (p *pair) await(side int, w wire, state, reason string) pseudowire {
	p.t.Helper()
	var row pseudowire
	p.Poll(upTime, fmt.Sprintf("%s of PE%d %s(%s)", w.name(), side, state, reason), func() error {
		rows, err := p.read(side)
		if err != nil {
			return err
		}
		row = rows[w.name()]
		if row.State != state || reason != "" && row.Reason != reason {
			return fmt.Errorf("%+v", row)
		}
		return nil
	})
	return row
}

// awaitSource waits until a pseudowire of a side is up by the given source.
func (p *pair) awaitSource(side int, w wire, source string) {
	p.t.Helper()
	p.Poll(upTime, fmt.Sprintf("%s of PE%d %s", w.name(), side, source), func() error {
		rows, err := p.read(side)
		if err == nil && (rows[w.name()].State != "up" || rows[w.name()].Source != source) {
			err = fmt.Errorf("%+v", rows[w.name()])
		}
		return err
	})
}

// pings checks that the customers of a wire reach each other, both families.
func (p *pair) pings(w wire) {
	p.t.Helper()
	for _, to := range []netip.Addr{lab.Host4(2, w.number), lab.Host6(2, w.number)} {
		if err := p.CE1.Ping(to, 1400, 5*time.Second); err != nil {
			p.t.Errorf("%v: %v", w, oneLine(err.Error()))
		}
	}
}

// silent checks that nothing crosses a wire.
func (p *pair) silent(w wire) {
	p.t.Helper()
	if err := p.CE1.Ping(lab.Host4(2, w.number), 56, 0); err == nil {
		p.t.Errorf("%v still carries traffic", w)
	}
}

// contains says whether every word is in the text.
func contains(text string, words ...string) error {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return fmt.Errorf("%q is not in %q", word, text)
		}
	}
	return nil
}

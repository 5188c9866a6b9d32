package fake

import (
	"maps"

	"longwire/dataplane"
)

// Counters implements dataplane.CounterReader.
func (p *Plane) Counters() (map[string]dataplane.Counters, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.do(Call{Op: OpCounters}, nil); err != nil {
		return nil, err
	}
	clone := make(map[string]dataplane.Counters, len(p.counters))
	for pseudowire, c := range p.counters {
		c.Drops = maps.Clone(c.Drops)
		clone[pseudowire] = c
	}
	return clone, nil
}

// SetCounters sets the totals of a pseudowire; "" is for the drops that belong
// to none.
func (p *Plane) SetCounters(pseudowire string, c dataplane.Counters) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Drops = maps.Clone(c.Drops)
	p.counters[pseudowire] = c
}

package fake

import (
	"time"

	"longwire/dataplane"
)

type lease struct {
	hop     dataplane.NextHop
	expires time.Time
}

// Lease implements dataplane.NextHops.
func (p *Plane) Lease(flow dataplane.Flow, hop dataplane.NextHop) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.do(Call{Op: OpLease, Flow: flow, NextHop: hop}, func() error {
		p.leases[flow] = lease{hop: hop, expires: p.now().Add(dataplane.LeaseDuration)}
		return nil
	})
}

// Revoke implements dataplane.NextHops.
func (p *Plane) Revoke(flow dataplane.Flow) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.do(Call{Op: OpRevoke, Flow: flow}, func() error {
		delete(p.leases, flow)
		return nil
	})
}

// Leases returns the next hops whose lease runs.
func (p *Plane) Leases() map[dataplane.Flow]dataplane.NextHop {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := map[dataplane.Flow]dataplane.NextHop{}
	for flow, l := range p.leases {
		if p.now().Before(l.expires) {
			live[flow] = l.hop
		}
	}
	return live
}

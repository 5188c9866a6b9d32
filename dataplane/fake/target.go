package fake

import "longwire/dataplane"

// State returns what the plane forwards, without recording a call.
func (p *Plane) State() dataplane.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cloneState(p.state)
}

// SetState replaces what the plane forwards behind its user's back, as another
// program with access to the maps could. Capacity does not bind it.
func (p *Plane) SetState(s dataplane.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = cloneState(s)
}

// Read implements dataplane.Target.
func (p *Plane) Read() (dataplane.State, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.do(Call{Op: OpRead}, nil); err != nil {
		return dataplane.State{}, err
	}
	return cloneState(p.state), nil
}

// PutReceive implements dataplane.Target.
func (p *Plane) PutReceive(r dataplane.Receive) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{Op: OpPutReceive, Pseudowire: r.Pseudowire, Session: r.Session, Circuit: r.Circuit}
	return p.do(c, func() error {
		if _, replace := p.state.Receive[r.Session]; !replace {
			if err := p.room(len(p.state.Receive)); err != nil {
				return err
			}
		}
		p.state.Receive[r.Session] = r
		return nil
	})
}

// PutTransmit implements dataplane.Target.
func (p *Plane) PutTransmit(t dataplane.Transmit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{Op: OpPutTransmit, Pseudowire: t.Pseudowire, Session: t.Session, Circuit: t.Circuit.IfIndex}
	return p.do(c, func() error {
		if _, replace := p.state.Transmit[t.Circuit]; !replace {
			if err := p.room(len(p.state.Transmit)); err != nil {
				return err
			}
		}
		p.state.Transmit[t.Circuit] = t
		return nil
	})
}

// DeleteTransmit implements dataplane.Target.
func (p *Plane) DeleteTransmit(circuit dataplane.Circuit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{Op: OpDeleteTransmit, Pseudowire: p.state.Transmit[circuit].Pseudowire, Circuit: circuit.IfIndex}
	return p.do(c, func() error {
		delete(p.state.Transmit, circuit)
		return nil
	})
}

// DeleteReceive implements dataplane.Target.
func (p *Plane) DeleteReceive(id dataplane.SessionID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{Op: OpDeleteReceive, Pseudowire: p.state.Receive[id].Pseudowire, Session: id}
	return p.do(c, func() error {
		delete(p.state.Receive, id)
		return nil
	})
}

package fake

import "longwire/dataplane"

// SetAdmission implements dataplane.Admitter.
func (p *Plane) SetAdmission(a dataplane.Admission) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.do(Call{Op: OpAdmission}, func() error {
		p.admission = a
		return nil
	})
}

// Admission returns the admission set last.
func (p *Plane) Admission() dataplane.Admission {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.admission
}

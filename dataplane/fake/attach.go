package fake

import (
	"maps"
	"slices"

	"longwire/dataplane"
)

// attachment is one program that an interface carries, or has lost.
type attachment struct {
	op   Op
	lost bool
}

// Attach implements dataplane.Attacher. An attachment that was lost since it
// was made counts as repaired; only changes are recorded as calls.
func (p *Plane) Attach(want dataplane.Attachments) (repaired int, failed map[int]error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[int]Op{}
	for _, ifindex := range want.Underlays {
		wanted[ifindex] = OpAttachUnderlay
	}
	for _, ifindex := range want.Circuits {
		wanted[ifindex] = OpAttachCircuit
	}
	failed = map[int]error{}
	for _, ifindex := range slices.Sorted(maps.Keys(wanted)) {
		have, next := p.attached[ifindex], attachment{op: wanted[ifindex]}
		if have == next {
			continue
		}
		err := p.do(Call{Op: next.op, Circuit: ifindex}, func() error { p.attached[ifindex] = next; return nil })
		if err != nil {
			failed[ifindex] = err
		} else if have.lost && have.op == next.op {
			repaired++
		}
	}
	p.detachOthers(wanted, failed)
	return repaired, failed
}

func (p *Plane) detachOthers(wanted map[int]Op, failed map[int]error) {
	for _, ifindex := range slices.Sorted(maps.Keys(p.attached)) {
		if _, ok := wanted[ifindex]; ok {
			continue
		}
		err := p.do(Call{Op: OpDetach, Circuit: ifindex}, func() error { delete(p.attached, ifindex); return nil })
		if err != nil {
			failed[ifindex] = err
		}
	}
}

// Attached returns the interfaces that carry programs, sorted.
func (p *Plane) Attached() dataplane.Attachments {
	p.mu.Lock()
	defer p.mu.Unlock()
	var a dataplane.Attachments
	for _, ifindex := range slices.Sorted(maps.Keys(p.attached)) {
		switch have := p.attached[ifindex]; {
		case have.lost:
		case have.op == OpAttachCircuit:
			a.Circuits = append(a.Circuits, ifindex)
		default:
			a.Underlays = append(a.Underlays, ifindex)
		}
	}
	return a
}

// Detach takes the program off an interface behind its user's back.
func (p *Plane) Detach(ifindex int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.attached[ifindex]; ok {
		p.attached[ifindex] = attachment{op: have.op, lost: true}
	}
}

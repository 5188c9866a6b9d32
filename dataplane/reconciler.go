package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Reconciler makes a Target forward what is desired. It is level-triggered:
// every pass reads what the kernel has and mends the difference, whoever caused
// it. It is not safe for concurrent use.
type Reconciler struct {
	target Target
	grace  time.Duration
	// undesired says since when a session has been in the kernel without being
	// wanted. It is the one thing remembered between passes, because the kernel
	// does not know it; losing it, as a restart does, only lengthens the grace.
	undesired map[SessionID]time.Time
}

// NewReconciler returns a Reconciler for a target. A receive session that is no
// longer desired is kept for grace, so that frames which the far end sent before
// it learnt of the change still arrive.
func NewReconciler(target Target, grace time.Duration) *Reconciler {
	return &Reconciler{target: target, grace: grace, undesired: map[SessionID]time.Time{}}
}

// Report is the outcome of one pass.
type Report struct {
	// Applied counts the changes that the target took.
	Applied int
	// Failed has the first failure of each pseudowire that is not as desired.
	// It matches ErrCapacity where the map was full.
	Failed map[string]error
	// Next is when a pass is due to delete sessions whose grace is over; zero
	// when no session waits.
	Next time.Time
	// Err is set when the target could not be read; nothing was changed then.
	Err error
}

// Reconcile makes one pass. A failure of one pseudowire does not keep the
// others from being served: it is reported and the pass goes on.
func (r *Reconciler) Reconcile(desired State, now time.Time) Report {
	actual, err := r.target.Read()
	if err != nil {
		return Report{Err: fmt.Errorf("read the sessions of the data plane: %w", err)}
	}
	kept, next := r.retain(desired, actual, now)
	p := newPass(r.target, actual.Transmit)
	p.run(Diff(State{Receive: kept, Transmit: desired.Transmit}, actual))
	// Deletes come last, so a full map may have room only now.
	if p.freed && len(p.refused) > 0 {
		p.retry()
	}
	return Report{Applied: p.applied, Failed: p.failures(), Next: next}
}

// retain returns the desired sessions and with them those of the kernel whose
// grace is not over, and when the first of these is due.
func (r *Reconciler) retain(desired, actual State, now time.Time) (map[SessionID]Receive, time.Time) {
	kept := maps.Clone(desired.Receive)
	if kept == nil {
		kept = map[SessionID]Receive{}
	}
	owners := circuitOwners(desired)
	undesired := map[SessionID]time.Time{}
	var next time.Time
	for id, have := range actual.Receive {
		if _, ok := desired.Receive[id]; ok {
			continue
		}
		since, seen := r.undesired[id]
		if !seen {
			since = now
		}
		undesired[id] = since
		due := since.Add(r.grace)
		// An interface that now serves others is another customer's: no late
		// frame may reach it.
		others := owners[have.Circuit]
		if !due.After(now) || len(others) > 0 && !others[have.Pseudowire] {
			continue
		}
		kept[id] = have
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	r.undesired = undesired
	return kept, next
}

// circuitOwners returns the pseudowires that each interface is to serve.
func circuitOwners(desired State) map[int]map[string]bool {
	owners := map[int]map[string]bool{}
	own := func(ifindex int, pseudowire string) {
		if owners[ifindex] == nil {
			owners[ifindex] = map[string]bool{}
		}
		owners[ifindex][pseudowire] = true
	}
	for _, receive := range desired.Receive {
		own(receive.Circuit, receive.Pseudowire)
	}
	for circuit, transmit := range desired.Transmit {
		own(circuit.IfIndex, transmit.Pseudowire)
	}
	return owners
}

// pass is the work of one Reconcile.
type pass struct {
	target  Target
	sending map[Circuit]Transmit // what the kernel had of each circuit
	applied int
	// freed says that a delete has made room.
	freed bool
	// refused are the changes to try again once there is room, and full why, by
	// pseudowire.
	refused []Op
	full    map[string]error
	// failed are the failures that room does not cure, by pseudowire, and deaf
	// the pseudowires that cannot receive because of one.
	failed map[string]error
	deaf   map[string]bool
}

func newPass(target Target, sending map[Circuit]Transmit) *pass {
	return &pass{target: target, sending: sending, full: map[string]error{}, failed: map[string]error{}, deaf: map[string]bool{}}
}

func (p *pass) run(ops []Op) {
	for _, op := range ops {
		pseudowire := op.Pseudowire()
		// Sending before we can receive would lose the answers.
		if op.Kind == OpPutTransmit && op.Transmit.Session != 0 {
			if p.deaf[pseudowire] {
				p.close(op.Transmit)
				continue
			}
			if p.full[pseudowire] != nil {
				p.refused = append(p.refused, op)
				p.close(op.Transmit)
				continue
			}
		}
		p.note(op, op.apply(p.target))
	}
}

// close closes a circuit that may not send yet, so that its frames reach neither
// the host nor the far end of another pseudowire that had it. What its own
// pseudowire sends already goes on: a full map is no reason to cut it.
func (p *pass) close(wanted Transmit) {
	have, ok := p.sending[wanted.Circuit]
	if ok && have.Pseudowire == wanted.Pseudowire {
		return
	}
	closed := wanted.Closed()
	// A failure adds nothing: the pseudowire is reported already.
	if p.target.PutTransmit(closed) == nil {
		p.applied++
		p.sending[closed.Circuit] = closed
	}
}

func (p *pass) note(op Op, err error) {
	switch pseudowire := op.Pseudowire(); {
	case err == nil:
		p.applied++
		p.freed = p.freed || op.Kind == OpDeleteTransmit || op.Kind == OpDeleteReceive
	case errors.Is(err, ErrCapacity):
		p.refused = append(p.refused, op)
		keepFirst(p.full, pseudowire, err)
	default:
		keepFirst(p.failed, pseudowire, err)
		p.deaf[pseudowire] = p.deaf[pseudowire] || op.Kind == OpPutReceive
	}
}

// retry tries what the full map refused once more, in the order it had.
func (p *pass) retry() {
	ops := p.refused
	p.refused, p.full = nil, map[string]error{}
	p.run(ops)
}

// failures returns the first failure of each pseudowire.
func (p *pass) failures() map[string]error {
	all := maps.Clone(p.failed)
	for pseudowire, err := range p.full {
		keepFirst(all, pseudowire, err)
	}
	return all
}

func keepFirst(errs map[string]error, pseudowire string, err error) {
	if errs[pseudowire] == nil {
		errs[pseudowire] = err
	}
}

package dataplane

import (
	"fmt"
	"maps"
	"slices"
)

// OpKind says what an Op does.
type OpKind uint8

// The kinds, in the order in which Diff puts them.
const (
	OpPutReceive OpKind = iota
	OpPutTransmit
	OpDeleteTransmit
	OpDeleteReceive
)

// String returns the kind in words, "put receive".
func (k OpKind) String() string {
	switch k {
	case OpPutReceive:
		return "put receive"
	case OpPutTransmit:
		return "put transmit"
	case OpDeleteTransmit:
		return "delete transmit"
	case OpDeleteReceive:
		return "delete receive"
	}
	return fmt.Sprintf("OpKind(%d)", uint8(k))
}

// Op is one change of one entry. Only the member that its kind names is set:
// the new entry of a put, the old entry of a delete.
type Op struct {
	Kind     OpKind
	Receive  Receive
	Transmit Transmit
}

// Pseudowire returns the pseudowire whose entry changes; of a delete, the one
// that had it.
func (o Op) Pseudowire() string {
	if o.Kind == OpPutReceive || o.Kind == OpDeleteReceive {
		return o.Receive.Pseudowire
	}
	return o.Transmit.Pseudowire
}

// String returns the change in words, "put receive 1012 of customer-a".
func (o Op) String() string {
	if o.Kind == OpPutReceive || o.Kind == OpDeleteReceive {
		return fmt.Sprintf("%v %d of %s", o.Kind, o.Receive.Session, o.Receive.Pseudowire)
	}
	if o.Transmit.Pseudowire == "" {
		return fmt.Sprintf("%v on circuit %v of the host", o.Kind, o.Transmit.Circuit)
	}
	return fmt.Sprintf("%v on circuit %v of %s", o.Kind, o.Transmit.Circuit, o.Transmit.Pseudowire)
}

// apply makes the change and says which one failed.
func (o Op) apply(target Target) error {
	var err error
	switch o.Kind {
	case OpPutReceive:
		err = target.PutReceive(o.Receive)
	case OpPutTransmit:
		err = target.PutTransmit(o.Transmit)
	case OpDeleteTransmit:
		err = target.DeleteTransmit(o.Transmit.Circuit)
	case OpDeleteReceive:
		err = target.DeleteReceive(o.Receive.Session)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", o, err)
	}
	return nil
}

// Diff returns the changes that turn actual into desired, in the order in which
// they are safe: put receive, put transmit, delete transmit, delete receive,
// each sorted by its key.
//
// The order follows the customer's conversation. A frame that we send is
// answered within microseconds, so we must be able to receive before we send,
// and must stop sending before we stop receiving; otherwise the answers are
// lost. Puts come before deletes so that a pseudowire that moves to another
// circuit or session is never without either. An entry that differs is one put,
// which the kernel applies atomically, never a delete and a put.
func Diff(desired, actual State) []Op {
	var ops []Op
	for _, id := range slices.Sorted(maps.Keys(desired.Receive)) {
		if have, ok := actual.Receive[id]; !ok || have != desired.Receive[id] {
			ops = append(ops, Op{Kind: OpPutReceive, Receive: desired.Receive[id]})
		}
	}
	for _, circuit := range sortedCircuits(desired.Transmit) {
		if have, ok := actual.Transmit[circuit]; !ok || have != desired.Transmit[circuit] {
			ops = append(ops, Op{Kind: OpPutTransmit, Transmit: desired.Transmit[circuit]})
		}
	}
	for _, circuit := range sortedCircuits(actual.Transmit) {
		if _, ok := desired.Transmit[circuit]; !ok {
			ops = append(ops, Op{Kind: OpDeleteTransmit, Transmit: actual.Transmit[circuit]})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(actual.Receive)) {
		if _, ok := desired.Receive[id]; !ok {
			ops = append(ops, Op{Kind: OpDeleteReceive, Receive: actual.Receive[id]})
		}
	}
	return ops
}

func sortedCircuits(m map[Circuit]Transmit) []Circuit {
	return slices.SortedFunc(maps.Keys(m), Circuit.Compare)
}

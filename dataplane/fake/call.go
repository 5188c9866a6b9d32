package fake

import (
	"fmt"

	"longwire/dataplane"
)

// Op names a method of the data plane.
type Op string

// The operations that a Plane records and that a Fault may fail.
const (
	OpRead           Op = "read"
	OpPutReceive     Op = "put receive"
	OpPutTransmit    Op = "put transmit"
	OpDeleteTransmit Op = "delete transmit"
	OpDeleteReceive  Op = "delete receive"
	OpIdentity       Op = "identity"
	OpForget         Op = "forget"
	OpRotate         Op = "rotate"
	OpRetire         Op = "retire"
	OpAdmission      Op = "admission"
	OpAttachCircuit  Op = "attach circuit"
	OpAttachUnderlay Op = "attach underlay"
	OpDetach         Op = "detach"
	OpLease          Op = "lease"
	OpRevoke         Op = "revoke"
	OpCounters       Op = "counters"
)

// Call is one operation as it was asked for. Members that the operation does
// not have are zero; a delete has the pseudowire of the entry that it found.
type Call struct {
	Op         Op
	Pseudowire string
	Session    dataplane.SessionID
	Circuit    int // ifindex; of an attachment, the interface
	Flow       dataplane.Flow
	NextHop    dataplane.NextHop
	Err        error // what the caller was given
}

// String returns the call in words, "put receive 7 on 3 of customer-a".
func (c Call) String() string {
	s := string(c.Op)
	if c.Session != 0 {
		s += fmt.Sprintf(" %d", c.Session)
	}
	if c.Circuit != 0 {
		s += fmt.Sprintf(" on %d", c.Circuit)
	}
	if c.Pseudowire != "" {
		s += " of " + c.Pseudowire
	}
	if c.Flow.Remote.IsValid() {
		s += fmt.Sprintf(" for %v to %v", c.Flow.Local, c.Flow.Remote)
	}
	if c.Err != nil {
		s += ": " + c.Err.Error()
	}
	return s
}

// Fault decides whether a call fails: it returns the error to give the caller,
// or nil to let the call through. The call then changes nothing. It must not
// call the Plane.
type Fault func(Call) error

// On fails every call of one operation.
func On(op Op, err error) Fault {
	return When(func(c Call) bool { return c.Op == op }, err)
}

// When fails every call that matches.
func When(match func(Call) bool, err error) Fault {
	return func(c Call) error {
		if match(c) {
			return err
		}
		return nil
	}
}

// Times lets a fault fail n calls and no more.
func Times(n int, fault Fault) Fault {
	return func(c Call) error {
		if n == 0 {
			return nil
		}
		err := fault(c)
		if err != nil {
			n--
		}
		return err
	}
}

// After lets a fault begin after it has spared n calls that it would fail.
func After(n int, fault Fault) Fault {
	return func(c Call) error {
		err := fault(c)
		if err != nil && n > 0 {
			n--
			return nil
		}
		return err
	}
}

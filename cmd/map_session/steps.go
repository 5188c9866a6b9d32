package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"longwire/dataplane"
)

// step is one change and what takes it back. Either may be absent.
type step struct{ do, undo func() error }

// perform makes all changes. When one fails those before it are taken back, the
// last one first, and the error says so when even that fails.
func perform(steps []step) error {
	for i, s := range steps {
		if s.do == nil {
			continue
		}
		err := s.do()
		if err == nil {
			continue
		}
		for _, done := range slices.Backward(steps[:i]) {
			if done.undo == nil {
				continue
			}
			if undoErr := done.undo(); undoErr != nil {
				err = errors.Join(err, fmt.Errorf("take back what was done: %w", undoErr))
			}
		}
		return err
	}
	return nil
}

// attach puts the programs on the interfaces of the sessions after a change, and
// no others. It fails, with the programs where they were before the change,
// when an interface of the changed session cannot be served or one that is no
// longer needed cannot be freed; those of other sessions may be gone for long.
func (e editor) attach(before, after []entry, changed mark) error {
	exists, err := e.host.interfaces()
	if err != nil {
		return err
	}
	_, failed := e.plane.Attach(wanted(after, exists))
	var errs []error
	for _, ifindex := range slices.Sorted(maps.Keys(failed)) {
		_, there := exists[ifindex]
		if there || ifindex == 0 || ifindex == changed.circuit || ifindex == changed.underlay {
			errs = append(errs, fmt.Errorf("interface %d: %w", ifindex, failed[ifindex]))
		}
	}
	if len(errs) > 0 {
		// What cannot be put back either is among what has just failed.
		_, _ = e.plane.Attach(wanted(before, exists))
	}
	return errors.Join(errs...)
}

// wanted lists the interfaces of sessions that exist.
func wanted(all []entry, exists map[int]string) dataplane.Attachments {
	circuits, underlays := map[int]bool{}, map[int]bool{}
	for _, o := range all {
		if _, ok := exists[o.circuit]; ok {
			circuits[o.circuit] = true
		}
		if _, ok := exists[o.underlay]; ok {
			underlays[o.underlay] = true
		}
	}
	return dataplane.Attachments{
		Circuits:  slices.Sorted(maps.Keys(circuits)),
		Underlays: slices.Sorted(maps.Keys(underlays)),
	}
}

// admit has unknown sessions counted where the sessions after a change receive.
func (e editor) admit(before, after []entry) step {
	set := func(all []entry) func() error {
		return func() error { return e.plane.SetAdmission(admission(all)) }
	}
	return step{do: set(after), undo: set(before)}
}

// admission lists the endpoints of the sessions.
func admission(all []entry) dataplane.Admission {
	var a dataplane.Admission
	for _, o := range all {
		if o.receive == nil {
			continue
		}
		at := dataplane.Endpoint{Address: o.receive.Local}
		if o.receive.AcceptUDP {
			at.Port = o.receive.LocalPort
		}
		if !slices.Contains(a.Endpoints, at) {
			a.Endpoints = append(a.Endpoints, at)
		}
	}
	return a
}

// promiscuous makes a circuit take every frame, as the end of a cable does, or
// only its own again. It does nothing unless needed, nor to an interface that
// is gone.
func (e editor) promiscuous(ifindex int, on, needed bool) step {
	if !needed {
		return step{}
	}
	set := func(on bool) error {
		exists, err := e.host.interfaces()
		if _, there := exists[ifindex]; err != nil || !there {
			return err
		}
		return e.host.setPromiscuous(ifindex, on)
	}
	return step{do: func() error { return set(on) }, undo: func() error { return set(!on) }}
}

func (e editor) restoreReceive(r dataplane.Receive, old entry) error {
	if old.receive == nil {
		return e.plane.DeleteReceive(r.Session)
	}
	return e.plane.PutReceive(*old.receive)
}

func (e editor) restoreTransmit(t dataplane.Transmit, old entry) error {
	if old.transmit == nil {
		return e.plane.DeleteTransmit(t.Circuit)
	}
	return e.plane.PutTransmit(*old.transmit)
}

// forget frees the counters of a name, unless it goes on as another.
func (e editor) forget(name, other string) error {
	if name == "" || name == other {
		return nil
	}
	return e.plane.Forget(name)
}

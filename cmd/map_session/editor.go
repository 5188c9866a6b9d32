package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"longwire/dataplane"
)

// plane is what an editor needs of the data plane.
type plane interface {
	dataplane.Target
	dataplane.Attacher
	dataplane.Admitter
	dataplane.CounterReader
	Forget(pseudowire string) error
}

// host is what an editor needs of the rest of the host.
type host struct {
	netns          func() (uint64, error)         // our network namespace
	interfaces     func() (map[int]string, error) // names by index
	promiscuous    func(ifindex int) (bool, error)
	setPromiscuous func(ifindex int, on bool) error
}

// editor adds and deletes sessions, each wholly or not at all.
type editor struct {
	plane plane
	host  host
}

// errForeign is returned when the maps hold what map_session did not make.
var errForeign = errors.New("the data plane is a longwire agent's")

// entry is one session as the maps hold it. A direction is absent when a call was
// killed on its way.
type entry struct {
	mark
	name     string
	receive  *dataplane.Receive
	transmit *dataplane.Transmit
}

// title names a session to people.
func (e entry) title() string {
	if e.receive == nil {
		return fmt.Sprintf("half a session on interface %d", e.circuit)
	}
	return fmt.Sprintf("session %d", e.receive.Session)
}

// entries joins the two directions of each session, sorted by circuit. An agent
// may have several sessions that receive for one that transmits.
func entries(state dataplane.State) []entry {
	transmits := map[string]dataplane.Transmit{}
	for _, t := range state.Transmit {
		transmits[t.Pseudowire] = t
	}
	deaf := maps.Clone(transmits)
	var all []entry
	for _, id := range slices.Sorted(maps.Keys(state.Receive)) {
		r := state.Receive[id]
		e := entry{name: r.Pseudowire, receive: &r}
		if t, ok := transmits[r.Pseudowire]; ok {
			e.transmit = &t
		}
		delete(deaf, r.Pseudowire)
		all = append(all, e)
	}
	for _, name := range slices.Sorted(maps.Keys(deaf)) {
		t := deaf[name]
		all = append(all, entry{name: name, transmit: &t})
	}
	for i, e := range all {
		all[i].mark, _ = parseMark(e.name)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.circuit, b.circuit) })
	return all
}

// read returns the sessions, which must all be ours: what an agent has made it
// also takes away, and it would not leave ours alone.
func (e editor) read() ([]entry, error) {
	state, err := e.plane.Read()
	if err != nil {
		return nil, fmt.Errorf("read the sessions: %w", err)
	}
	counters, err := e.plane.Counters()
	if err != nil {
		return nil, err
	}
	return entries(state), foreign(slices.Sorted(maps.Keys(counters)))
}

// foreign fails when a pseudowire is not ours; "" stands for none.
func foreign(names []string) error {
	for _, name := range names {
		if _, ours := parseMark(name); !ours && name != "" {
			return fmt.Errorf("%w: it knows the pseudowire %s; longwire uninstall removes it", errForeign, name)
		}
	}
	return nil
}

// add makes a session, or changes the one with its id on its circuit.
func (e editor) add(s session) error {
	before, err := e.read()
	if err != nil {
		return err
	}
	old, err := predecessor(before, s)
	if err != nil {
		return err
	}
	fresh := entry{receive: &s.receive, transmit: &s.transmit}
	if fresh.mark, err = e.markOf(s, old); err != nil {
		return err
	}
	fresh.name = fresh.String()
	s.receive.Pseudowire, s.transmit.Pseudowire = fresh.name, fresh.name
	after := slices.DeleteFunc(slices.Clone(before), func(o entry) bool { return o.name == old.name })
	after = append(after, fresh)
	steps := []step{
		{undo: func() error { return e.forget(fresh.name, old.name) }},
		{do: func() error { return e.plane.PutReceive(s.receive) }, undo: func() error { return e.restoreReceive(s.receive, old) }},
		{do: func() error { return e.plane.PutTransmit(s.transmit) }, undo: func() error { return e.restoreTransmit(s.transmit, old) }},
		e.promiscuous(fresh.circuit, true, old.name == "" && fresh.promiscuous),
		e.admit(before, after),
		{do: func() error { return e.attach(before, after, fresh.mark) }},
	}
	if err := perform(steps); err != nil {
		return err
	}
	return e.forget(old.name, fresh.name)
}

// markOf returns the mark of a session that changes old, if there is an old one.
func (e editor) markOf(s session, old entry) (mark, error) {
	netns, err := e.host.netns()
	if err != nil {
		return mark{}, err
	}
	m := mark{netns: netns, circuit: s.circuit.Index, underlay: s.underlay.Index, promiscuous: old.promiscuous}
	if old.name == "" {
		on, err := e.host.promiscuous(m.circuit)
		if err != nil {
			return mark{}, err
		}
		m.promiscuous = !on
	}
	return m, nil
}

// predecessor returns the session that s changes, an empty one if there is none,
// and fails when s would take something from another.
func predecessor(all []entry, s session) (entry, error) {
	var old entry
	for _, o := range all {
		sameID := o.receive != nil && o.receive.Session == s.receive.Session
		sameCircuit := o.circuit == s.circuit.Index
		switch {
		case sameCircuit && (sameID || o.receive == nil):
			old = o
		case sameCircuit:
			return old, fmt.Errorf("%s belongs to %s: delete that first", s.circuit.Name, o.title())
		case sameID:
			return old, fmt.Errorf("%s is on interface %d already: delete it first", o.title(), o.circuit)
		case o.circuit == s.underlay.Index:
			return old, fmt.Errorf("%s is no underlay: it is the circuit of %s", s.underlay.Name, o.title())
		case o.underlay == s.circuit.Index:
			return old, fmt.Errorf("%s is no circuit: it is the underlay of %s", s.circuit.Name, o.title())
		}
	}
	return old, nil
}

// del deletes the sessions that match; what names them in the error when there
// is none.
func (e editor) del(what string, match func(entry) bool) error {
	before, err := e.read()
	if err != nil {
		return err
	}
	var steps []step
	var after, gone []entry
	for _, o := range before {
		if !match(o) {
			after = append(after, o)
			continue
		}
		gone = append(gone, o)
		if o.transmit != nil {
			steps = append(steps, step{func() error { return e.plane.DeleteTransmit(o.transmit.Circuit) }, func() error { return e.plane.PutTransmit(*o.transmit) }})
		}
		if o.receive != nil {
			steps = append(steps, step{func() error { return e.plane.DeleteReceive(o.receive.Session) }, func() error { return e.plane.PutReceive(*o.receive) }})
		}
		steps = append(steps, e.promiscuous(o.circuit, false, o.promiscuous))
	}
	if len(gone) == 0 {
		return fmt.Errorf("there is no %s", what)
	}
	steps = append(steps, e.admit(before, after), step{do: func() error { return e.attach(before, after, mark{}) }})
	if err := perform(steps); err != nil {
		return err
	}
	var errs []error
	for _, o := range gone {
		errs = append(errs, e.forget(o.name, ""))
	}
	return errors.Join(errs...)
}

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane/fake"
)

var errInjected = errors.New("injected")

// faults are all the ways in which a change can fail on its way.
func faults() map[string]func(*world) {
	on := func(op fake.Op, times int) func(*world) {
		return func(w *world) { w.Fail(fake.Times(times, fake.On(op, errInjected))) }
	}
	return map[string]func(*world){
		"read":             on(fake.OpRead, 1),
		"counters":         on(fake.OpCounters, 1),
		"put receive":      on(fake.OpPutReceive, 1),
		"put transmit":     on(fake.OpPutTransmit, 1),
		"delete receive":   on(fake.OpDeleteReceive, 1),
		"delete transmit":  on(fake.OpDeleteTransmit, 1),
		"attach circuit":   on(fake.OpAttachCircuit, 1),
		"attach underlay":  on(fake.OpAttachUnderlay, 1),
		"detach":           on(fake.OpDetach, 1),
		"promiscuous mode": func(w *world) { w.refuse = errInjected },
	}
}

// TestNeverHalfDone fails each change at each point: what was there before is
// there afterwards, or the change was made.
func TestNeverHalfDone(t *testing.T) {
	moved := between(1, 5, 4)
	moved.transmit.Session = 4711
	changes := []struct {
		name   string
		before []session
		change func(editor) error
		// failing are the faults that the change meets.
		failing string
	}{
		{"first", nil, func(e editor) error { return e.add(between(1, 5, 3)) },
			"read, counters, put receive, put transmit, attach circuit, attach underlay, promiscuous mode"},
		{"second", []session{between(2, 6, 3)}, func(e editor) error { return e.add(between(1, 5, 3)) },
			"read, counters, put receive, put transmit, attach circuit, promiscuous mode"},
		{"change", []session{between(1, 5, 3), between(2, 6, 3)}, func(e editor) error { return e.add(moved) },
			"read, counters, put receive, put transmit, attach underlay"},
		{"delete one of two", []session{between(1, 5, 3), between(2, 6, 4)},
			func(e editor) error { return e.del("it", func(o entry) bool { return o.circuit == 5 }) },
			"read, counters, delete receive, delete transmit, detach, promiscuous mode"},
		{"delete both", []session{between(1, 5, 3), between(2, 6, 4)},
			func(e editor) error { return e.del("it", func(entry) bool { return true }) },
			"read, counters, delete receive, delete transmit, detach, promiscuous mode"},
	}
	for _, c := range changes {
		for fault, inject := range faults() {
			t.Run(c.name+"/"+fault, func(t *testing.T) {
				w := newWorld()
				w.add(t, c.before...)
				before := w.snapshot()
				inject(w)
				err := c.change(w.editor())
				w.Heal()
				w.refuse = nil
				meets := strings.Contains(", "+c.failing+", ", ", "+fault+", ")
				if meets != errors.Is(err, errInjected) || !meets && err != nil {
					t.Fatalf("error %v, want one: %v", err, meets)
				}
				if !meets {
					return
				}
				if diff := cmp.Diff(before, w.snapshot(), compare); diff != "" {
					t.Errorf("half done (-before +after):\n%s", diff)
				}
				if err := c.change(w.editor()); err != nil {
					t.Errorf("once more: %v", err)
				}
			})
		}
	}
}

// TestNameTakenBack gives the slot of a session that failed to the next one.
func TestNameTakenBack(t *testing.T) {
	w := newWorld()
	w.Fail(fake.On(fake.OpPutTransmit, errInjected))
	if err := w.editor().add(between(1, 5, 3)); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	writes := w.Writes()
	if last := writes[len(writes)-1]; last != "forget of "+(mark{testNetns, 5, 3, true}).String() {
		t.Errorf("last write %q", last)
	}
}

// TestUndoFails says both that it failed and that it left something.
func TestUndoFails(t *testing.T) {
	w := newWorld()
	stuck := errors.New("stuck")
	w.Fail(fake.On(fake.OpPutTransmit, errInjected))
	w.Fail(fake.On(fake.OpDeleteReceive, stuck))
	err := w.editor().add(between(1, 5, 3))
	if !errors.Is(err, errInjected) || !errors.Is(err, stuck) || !strings.Contains(err.Error(), "take back what was done") {
		t.Errorf("error %v", err)
	}
}

func TestPerform(t *testing.T) {
	var did strings.Builder
	note := func(s string, err error) func() error {
		return func() error { did.WriteString(s); return err }
	}
	steps := []step{
		{do: note("a", nil), undo: note("A", nil)},
		{undo: note("B", nil)},
		{do: note("c", nil)},
		{do: note("d", errInjected), undo: note("D", nil)},
		{do: note("e", nil)},
	}
	if err := perform(steps); !errors.Is(err, errInjected) || did.String() != "acdBA" {
		t.Errorf("error %v, did %q", err, did.String())
	}
}

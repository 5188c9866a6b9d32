package dataplane_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"longwire/dataplane"
)

// comparable types of package dataplane and netip compare with ==.
var compareState = cmp.Options{
	cmp.Comparer(func(a, b dataplane.Receive) bool { return a == b }),
	cmp.Comparer(func(a, b dataplane.Transmit) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func words(ops []dataplane.Op) []string {
	var s []string
	for _, op := range ops {
		s = append(s, op.String())
	}
	return s
}

func receive(id dataplane.SessionID, pseudowire string, circuit int) dataplane.Receive {
	return dataplane.Receive{Session: id, Pseudowire: pseudowire, Circuit: circuit}
}

func transmit(circuit int, pseudowire string, session dataplane.SessionID) dataplane.Transmit {
	return dataplane.Transmit{Circuit: dataplane.Port(circuit), Pseudowire: pseudowire, Session: session}
}

// state makes a state of receives and transmits.
func state(entries ...any) dataplane.State {
	s := dataplane.State{
		Receive:  map[dataplane.SessionID]dataplane.Receive{},
		Transmit: map[dataplane.Circuit]dataplane.Transmit{},
	}
	for _, entry := range entries {
		switch e := entry.(type) {
		case dataplane.Receive:
			s.Receive[e.Session] = e
		case dataplane.Transmit:
			s.Transmit[e.Circuit] = e
		}
	}
	return s
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name            string
		desired, actual dataplane.State
		want            []string
	}{
		{"nothing", state(), state(), nil},
		{"nil maps", dataplane.State{}, dataplane.State{}, nil},
		{
			"new pseudowires, sorted by key",
			state(transmit(4, "b", 21), receive(12, "b", 4), transmit(3, "a", 20), receive(11, "a", 3)),
			state(),
			[]string{"put receive 11 of a", "put receive 12 of b", "put transmit on circuit 3 of a", "put transmit on circuit 4 of b"},
		},
		{
			"already there",
			state(receive(11, "a", 3), transmit(3, "a", 20)),
			state(receive(11, "a", 3), transmit(3, "a", 20)),
			nil,
		},
		{
			"a change is one put",
			state(receive(11, "a", 3), transmit(3, "a", 22)),
			state(receive(11, "a", 3), transmit(3, "a", 20)),
			[]string{"put transmit on circuit 3 of a"},
		},
		{
			"removal stops sending first",
			state(),
			state(receive(11, "a", 3), transmit(3, "a", 20)),
			[]string{"delete transmit on circuit 3 of a", "delete receive 11 of a"},
		},
		{
			"a move to another circuit and session",
			state(receive(12, "a", 4), transmit(4, "a", 20)),
			state(receive(11, "a", 3), transmit(3, "a", 20)),
			[]string{"put receive 12 of a", "put transmit on circuit 4 of a", "delete transmit on circuit 3 of a", "delete receive 11 of a"},
		},
		{
			"a circuit taken over by another pseudowire",
			state(receive(12, "b", 3), transmit(3, "b", 21)),
			state(receive(11, "a", 3), transmit(3, "a", 20)),
			[]string{"put receive 12 of b", "put transmit on circuit 3 of b", "delete receive 11 of a"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, words(dataplane.Diff(tt.desired, tt.actual))); d != "" {
				t.Errorf("ops (-want +got):\n%s", d)
			}
		})
	}
}

func TestDiffOpsCarryTheEntry(t *testing.T) {
	old, wanted := transmit(3, "old", 7), receive(11, "new", 4)
	ops := dataplane.Diff(state(wanted), state(old))
	if len(ops) != 2 {
		t.Fatalf("ops = %v, want two", words(ops))
	}
	if ops[0].Receive != wanted || ops[0].Pseudowire() != "new" {
		t.Errorf("put carries %+v", ops[0])
	}
	if ops[1].Transmit != old || ops[1].Pseudowire() != "old" {
		t.Errorf("delete carries %+v", ops[1])
	}
}

// perform makes a change of an Op on a state.
func perform(s dataplane.State, op dataplane.Op) {
	switch op.Kind {
	case dataplane.OpPutReceive:
		s.Receive[op.Receive.Session] = op.Receive
	case dataplane.OpPutTransmit:
		s.Transmit[op.Transmit.Circuit] = op.Transmit
	case dataplane.OpDeleteTransmit:
		delete(s.Transmit, op.Transmit.Circuit)
	case dataplane.OpDeleteReceive:
		delete(s.Receive, op.Receive.Session)
	}
}

func cloned(s dataplane.State) dataplane.State {
	return dataplane.State{Receive: maps.Clone(s.Receive), Transmit: maps.Clone(s.Transmit)}
}

func TestDiffReachesDesiredFromAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired, actual := drawState(t), drawKernelState(t)
		ops := dataplane.Diff(desired, actual)
		got := cloned(actual)
		for _, op := range ops {
			perform(got, op)
		}
		if d := cmp.Diff(desired, got, compareState); d != "" {
			t.Fatalf("after %v (-want +got):\n%s", words(ops), d)
		}
		if rest := dataplane.Diff(desired, got); len(rest) > 0 {
			t.Fatalf("a second diff is not empty: %v", words(rest))
		}
		if d := cmp.Diff(words(ops), words(dataplane.Diff(desired, actual))); d != "" {
			t.Fatalf("not deterministic:\n%s", d)
		}
	})
}

// TestDiffKeepsTheConversation checks the order at every point on the way: a
// pseudowire that begins to send can receive, and one that still sends has not
// lost a session yet.
func TestDiffKeepsTheConversation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired, actual := drawState(t), drawKernelState(t)
		now := cloned(actual)
		for _, op := range dataplane.Diff(desired, actual) {
			perform(now, op)
			if op.Kind == dataplane.OpPutTransmit {
				for id, want := range desired.Receive {
					if want.Pseudowire == op.Pseudowire() && now.Receive[id] != want {
						t.Fatalf("%v before receive %d is there", op, id)
					}
				}
			}
			if op.Kind == dataplane.OpDeleteReceive {
				for circuit := range now.Transmit {
					if _, ok := desired.Transmit[circuit]; !ok {
						t.Fatalf("%v while circuit %v still sends", op, circuit)
					}
				}
			}
		}
	})
}

// TestDiffNeverInterrupts checks that an entry that is there before and after
// is there at every point between.
func TestDiffNeverInterrupts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired, actual := drawState(t), drawKernelState(t)
		now := cloned(actual)
		for _, op := range dataplane.Diff(desired, actual) {
			perform(now, op)
			for id := range desired.Receive {
				if _, before := actual.Receive[id]; before && now.Receive[id] == (dataplane.Receive{}) {
					t.Fatalf("%v interrupts receive %d", op, id)
				}
			}
			for circuit := range desired.Transmit {
				if _, before := actual.Transmit[circuit]; before && now.Transmit[circuit] == (dataplane.Transmit{}) {
					t.Fatalf("%v interrupts circuit %v", op, circuit)
				}
			}
		}
	})
}

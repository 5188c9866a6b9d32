package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

const testNetns = 4026531840

// world is a host in memory: a data plane and the interfaces 3 to 8, of which
// the last is promiscuous before anybody asks.
type world struct {
	*fake.Plane
	names       map[int]string
	promiscuous map[int]bool
	refuse      error // of promiscuous mode
}

func newWorld() *world {
	w := &world{Plane: fake.New(), names: map[int]string{}, promiscuous: map[int]bool{8: true}}
	for i := 3; i <= 8; i++ {
		w.names[i] = fmt.Sprintf("eth%d", i)
	}
	return w
}

func (w *world) editor() editor {
	return editor{plane: w, host: host{
		netns:       func() (uint64, error) { return testNetns, nil },
		interfaces:  func() (map[int]string, error) { return maps.Clone(w.names), nil },
		promiscuous: func(i int) (bool, error) { return w.promiscuous[i], nil },
		setPromiscuous: func(i int, on bool) error {
			if w.refuse == nil {
				w.promiscuous[i] = on
			}
			return w.refuse
		},
	}}
}

// Counters knows every name that has an entry, as the kernel's maps do.
func (w *world) Counters() (map[string]dataplane.Counters, error) {
	all, err := w.Plane.Counters()
	if err != nil {
		return nil, err
	}
	for _, e := range entries(w.State()) {
		all[e.name] = dataplane.Counters{}
	}
	return all, nil
}

// snapshot is all that a change may change.
type snapshot struct {
	State       dataplane.State
	Attached    dataplane.Attachments
	Promiscuous map[int]bool
}

func (w *world) snapshot() snapshot {
	on := maps.Clone(w.promiscuous)
	maps.DeleteFunc(on, func(_ int, on bool) bool { return !on })
	return snapshot{w.State(), w.Attached(), on}
}

func (w *world) add(t *testing.T, sessions ...session) {
	t.Helper()
	for _, s := range sessions {
		if err := w.editor().add(s); err != nil {
			t.Fatal(err)
		}
	}
}

// between makes a session of an id over a circuit and an underlay.
func between(id dataplane.SessionID, circuit, underlay int) session {
	near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	return session{
		circuit:  &net.Interface{Index: circuit, Name: fmt.Sprintf("eth%d", circuit)},
		underlay: &net.Interface{Index: underlay, Name: fmt.Sprintf("eth%d", underlay)},
		receive:  dataplane.Receive{Session: id, Circuit: circuit, Local: near, Remote: far, AcceptIP: true},
		transmit: dataplane.Transmit{Circuit: dataplane.Port(circuit), Session: id + 1000, Local: near, Remote: far, TTL: 64},
	}
}

// TestAddAndDelete follows two sessions on one underlay through their lives.
func TestAddAndDelete(t *testing.T) {
	w := newWorld()
	w.add(t, between(1, 5, 3), between(2, 8, 3))
	first, second := mark{testNetns, 5, 3, true}.String(), mark{testNetns, 8, 3, false}.String()
	s := w.State()
	if len(s.Receive) != 2 || s.Receive[1].Pseudowire != first || s.Transmit[dataplane.Port(8)].Pseudowire != second {
		t.Errorf("state %+v", s)
	}
	want := dataplane.Attachments{Circuits: []int{5, 8}, Underlays: []int{3}}
	if diff := cmp.Diff(want, w.Attached()); diff != "" || !w.promiscuous[5] {
		t.Errorf("promiscuous %v, attached (-want +got):\n%s", w.promiscuous, diff)
	}
	byID := func(id dataplane.SessionID) func(entry) bool {
		return func(o entry) bool { return o.receive != nil && o.receive.Session == id }
	}
	if err := w.editor().del("session 1", byID(1)); err != nil {
		t.Fatal(err)
	}
	want = dataplane.Attachments{Circuits: []int{8}, Underlays: []int{3}}
	if diff := cmp.Diff(want, w.Attached()); diff != "" || w.promiscuous[5] {
		t.Errorf("after the first: promiscuous %v, attached (-want +got):\n%s", w.promiscuous, diff)
	}
	if err := w.editor().del("session 1", byID(1)); err == nil || err.Error() != "there is no session 1" {
		t.Errorf("deleted twice: %v", err)
	}
	if err := w.editor().del("session 2", byID(2)); err != nil {
		t.Fatal(err)
	}
	// The mode that eth8 had before us is not ours to take away.
	empty := snapshot{State: fake.New().State(), Promiscuous: map[int]bool{8: true}}
	if diff := cmp.Diff(empty, w.snapshot(), compare); diff != "" {
		t.Errorf("after both (-want +got):\n%s", diff)
	}
}

// TestOrder hears before it speaks, and the other way round at the end.
func TestOrder(t *testing.T) {
	w := newWorld()
	w.add(t, between(1, 5, 3))
	name := mark{testNetns, 5, 3, true}.String()
	want := []string{
		"put receive 1 on 5 of " + name, "put transmit 1001 on 5 of " + name,
		"admission", "attach underlay on 3", "attach circuit on 5",
	}
	if diff := cmp.Diff(want, w.Writes()); diff != "" {
		t.Errorf("add (-want +got):\n%s", diff)
	}
	if got, want := w.Admission(), []dataplane.Endpoint{{Address: between(1, 5, 3).receive.Local}}; !slices.Equal(got.Endpoints, want) {
		t.Errorf("endpoints %v, want %v", got.Endpoints, want)
	}
	w.Reset()
	if err := w.editor().del("it", func(entry) bool { return true }); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"delete transmit on 5 of " + name, "delete receive 1 of " + name,
		"admission", "detach on 3", "detach on 5", "forget of " + name,
	}
	if diff := cmp.Diff(want, w.Writes()); diff != "" {
		t.Errorf("delete (-want +got):\n%s", diff)
	}
}

// TestChange replaces the values of a session in place, each direction by one
// put, and moves it to another underlay.
func TestChange(t *testing.T) {
	w := newWorld()
	w.add(t, between(1, 5, 3), between(2, 6, 3))
	w.Reset()
	changed := between(1, 5, 4)
	changed.transmit.Session = 4711
	changed.receive.Cookie = cookie(t, 1, 2, 3, 4)
	w.add(t, changed)
	s := w.State()
	if len(s.Receive) != 2 || len(s.Transmit) != 2 || s.Receive[1].Cookie.Len() != 4 || s.Transmit[dataplane.Port(5)].Session != 4711 {
		t.Errorf("state %+v", s)
	}
	want := dataplane.Attachments{Circuits: []int{5, 6}, Underlays: []int{3, 4}}
	if diff := cmp.Diff(want, w.Attached()); diff != "" {
		t.Errorf("attached (-want +got):\n%s", diff)
	}
	for _, call := range w.Writes() {
		if strings.HasPrefix(call, "delete") || strings.HasPrefix(call, "detach") {
			t.Errorf("a change made a gap: %s", call)
		}
	}
	if last := w.Writes()[len(w.Writes())-1]; last != "forget of "+(mark{testNetns, 5, 3, true}).String() {
		t.Errorf("the old name is not forgotten: %s", last)
	}
	// The mode is still ours to take away.
	if err := w.editor().del("it", func(o entry) bool { return o.circuit == 5 }); err != nil || w.promiscuous[5] {
		t.Errorf("promiscuous mode stays: %v, error %v", w.promiscuous, err)
	}
}

// TestHalfSession is what a killed call leaves; the same call again completes it.
func TestHalfSession(t *testing.T) {
	for _, half := range []string{"receive", "transmit"} {
		w := newWorld()
		w.add(t, between(1, 5, 3))
		s := w.State()
		if half == "receive" {
			clear(s.Transmit)
		} else {
			clear(s.Receive)
		}
		w.SetState(s)
		w.add(t, between(1, 5, 3))
		if s := w.State(); len(s.Receive) != 1 || len(s.Transmit) != 1 {
			t.Errorf("%s alone was not completed: %+v", half, s)
		}
	}
}

func TestConflicts(t *testing.T) {
	tests := []struct {
		name string
		s    session
		want string
	}{
		{"circuit taken", between(9, 5, 3), "eth5 belongs to session 1: delete that first"},
		{"id taken", between(1, 6, 3), "session 1 is on interface 5 already: delete it first"},
		{"underlay is a circuit", between(9, 6, 5), "eth5 is no underlay: it is the circuit of session 1"},
		{"circuit is an underlay", between(9, 3, 4), "eth3 is no circuit: it is the underlay of session 1"},
	}
	for _, tt := range tests {
		w := newWorld()
		w.add(t, between(1, 5, 3))
		before := w.snapshot()
		if err := w.editor().add(tt.s); err == nil || err.Error() != tt.want {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
		if diff := cmp.Diff(before, w.snapshot(), compare); diff != "" {
			t.Errorf("%s changed something:\n%s", tt.name, diff)
		}
	}
}

// TestForeign leaves the data plane of an agent alone, whatever it holds.
func TestForeign(t *testing.T) {
	for _, known := range []string{"session", "name"} {
		w := newWorld()
		if known == "session" {
			s := between(7, 7, 3)
			s.receive.Pseudowire = "customer-a"
			if err := w.PutReceive(s.receive); err != nil {
				t.Fatal(err)
			}
		} else {
			w.SetCounters("customer-a", dataplane.Counters{})
		}
		w.Reset()
		all := func(entry) bool { return true }
		for verb, err := range map[string]error{"add": w.editor().add(between(1, 5, 3)), "del": w.editor().del("all", all)} {
			if !errors.Is(err, errForeign) || !strings.Contains(err.Error(), "customer-a") {
				t.Errorf("%s beside a %s: %v", verb, known, err)
			}
		}
		if writes := w.Writes(); len(writes) != 0 {
			t.Errorf("changed: %v", writes)
		}
	}
}

// TestInterfaceGone does not mind what other sessions have lost.
func TestInterfaceGone(t *testing.T) {
	w := newWorld()
	w.add(t, between(1, 5, 3), between(2, 6, 4))
	delete(w.names, 5)
	delete(w.names, 3)
	w.Fail(fake.When(func(c fake.Call) bool { return c.Circuit == 5 && c.Op == fake.OpAttachCircuit }, errors.New("no such device")))
	w.add(t, between(3, 7, 4))
	want := dataplane.Attachments{Circuits: []int{6, 7}, Underlays: []int{4}}
	if diff := cmp.Diff(want, w.Attached()); diff != "" {
		t.Errorf("attached (-want +got):\n%s", diff)
	}
	if err := w.editor().del("it", func(o entry) bool { return o.circuit == 5 }); err != nil {
		t.Errorf("delete the session of an interface that is gone: %v", err)
	}
	if !w.promiscuous[5] {
		t.Error("the mode of an interface that is gone was set")
	}
}

// TestWanted attaches nothing twice.
func TestWanted(t *testing.T) {
	all := []entry{{mark: mark{testNetns, 6, 3, true}}, {mark: mark{testNetns, 5, 3, true}}, {mark: mark{testNetns, 7, 4, false}}}
	got := wanted(all, map[int]string{5: "a", 6: "b", 3: "c", 4: "d"})
	if !slices.Equal(got.Circuits, []int{5, 6}) || !slices.Equal(got.Underlays, []int{3, 4}) {
		t.Errorf("%+v", got)
	}
}

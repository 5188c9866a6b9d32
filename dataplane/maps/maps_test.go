package maps_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"longwire/dataplane"
	"longwire/dataplane/maps"
	"longwire/test/lab"
)

var compare = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateComparable(dataplane.Cookie{})}

func open(t *testing.T, dir string, capacity uint32) *maps.Maps {
	t.Helper()
	m, err := maps.Open(maps.Options{PinDir: dir, Capacity: capacity})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func free(dataplane.SessionID) bool { return false }

func receive(session dataplane.SessionID, name string) dataplane.Receive {
	return dataplane.Receive{
		Session: session, Pseudowire: name, Circuit: int(session), AcceptIP: true,
		Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2"),
	}
}

func transmit(circuit int, name string) dataplane.Transmit {
	return dataplane.Transmit{
		Circuit: dataplane.Port(circuit), Pseudowire: name, Session: 5, TTL: 64,
		Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::2"),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSurvivesReopening is an agent that dies and comes back: sessions, names,
// identities and counters' slots are those of before.
func TestSurvivesReopening(t *testing.T) {
	dir := filepath.Join(lab.New(t).BPFFS(), "pins")
	m := open(t, dir, 64)
	for i, name := range []string{"a", "b", "c"} {
		must(t, m.PutReceive(receive(dataplane.SessionID(i+1), name)))
		must(t, m.PutTransmit(transmit(i+1, name)))
	}
	identity, err := m.Identity("a", free)
	must(t, err)
	before, err := m.Read()
	must(t, err)
	must(t, m.Close())

	m = open(t, dir, 64)
	after, err := m.Read()
	must(t, err)
	if diff := cmp.Diff(before, after, compare); diff != "" {
		t.Errorf("state changed (-before +after):\n%s", diff)
	}
	if len(after.Receive) != 3 || len(after.Transmit) != 3 || after.Receive[2].Pseudowire != "b" {
		t.Errorf("read %d receives, %d transmits, session 2 is of %q", len(after.Receive), len(after.Transmit), after.Receive[2].Pseudowire)
	}
	again, err := m.Identity("a", free)
	if err != nil || again != identity {
		t.Errorf("identity %v became %v, error %v", identity, again, err)
	}
}

// TestIdentity gives every pseudowire its own session and a random cookie, and
// never an id that something else uses.
func TestIdentity(t *testing.T) {
	m := open(t, lab.New(t).BPFFS(), 64)
	a, err := m.Identity("a", free)
	must(t, err)
	b, err := m.Identity("b", free)
	must(t, err)
	if a.Session == b.Session || a.Cookie == b.Cookie || a.Cookie.Len() != 8 || a.Session <= 0xffff {
		t.Errorf("identities %v and %v", a, b)
	}
	moved, err := m.Identity("a", func(id dataplane.SessionID) bool { return id == a.Session })
	if err != nil || moved.Session == a.Session || moved.Cookie == a.Cookie {
		t.Errorf("a reserved id was kept: %v, error %v", moved, err)
	}
	must(t, m.Forget("a"))
	must(t, m.Forget("never known"))
	if fresh, err := m.Identity("a", free); err != nil || fresh == moved {
		t.Errorf("a forgotten identity came back: %v, error %v", fresh, err)
	}
	for _, name := range []string{"", string(make([]byte, 64)), "a\x00b"} {
		if _, err := m.Identity(name, free); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
}

// TestCapacity leaves what exists alone when a map is full, and takes new
// sessions again when there is room.
func TestCapacity(t *testing.T) {
	const capacity = 4
	m := open(t, lab.New(t).BPFFS(), capacity)
	for i := 1; i < capacity; i++ {
		must(t, m.PutReceive(receive(dataplane.SessionID(i), string(rune('a'+i)))))
	}
	must(t, m.PutTransmit(transmit(100, "the last")))
	if err := m.PutTransmit(transmit(101, "one too many")); !errors.Is(err, dataplane.ErrCapacity) {
		t.Errorf("a pseudowire too many: %v", err)
	}
	must(t, m.PutReceive(receive(101, "b"))) // a second session of one that has a slot
	if err := m.PutReceive(receive(102, "b")); !errors.Is(err, dataplane.ErrCapacity) {
		t.Errorf("a session too many: %v", err)
	}
	changed := receive(1, "b")
	changed.AcceptUDP = true
	must(t, m.PutReceive(changed)) // a full map can still be changed in place
	must(t, m.DeleteReceive(101))
	must(t, m.DeleteReceive(101))
	must(t, m.PutReceive(receive(102, "b")))
	state, err := m.Read()
	must(t, err)
	if len(state.Receive) != capacity || !state.Receive[1].AcceptUDP {
		t.Errorf("%d sessions, the first is %+v", len(state.Receive), state.Receive[1])
	}
}

// TestOtherLayout refuses maps of another size and leaves them as they are.
func TestOtherLayout(t *testing.T) {
	dir := lab.New(t).BPFFS()
	m := open(t, dir, 64)
	must(t, m.PutReceive(receive(1, "a")))
	if _, err := maps.Open(maps.Options{PinDir: dir, Capacity: 128}); !errors.Is(err, maps.ErrLayout) {
		t.Errorf("another capacity: %v", err)
	}
	state, err := m.Read()
	if err != nil || len(state.Receive) != 1 {
		t.Errorf("%d sessions left, error %v", len(state.Receive), err)
	}
	must(t, m.Close())
	must(t, maps.Unpin(dir))
	must(t, maps.Unpin(dir))
	must(t, open(t, dir, 128).PutReceive(receive(1, "a")))
}

// TestForgetClearsCounters gives the next owner of a slot a clean record.
func TestForgetClearsCounters(t *testing.T) {
	m := open(t, lab.New(t).BPFFS(), 64)
	must(t, m.PutReceive(receive(1, "a")))
	must(t, m.Forget("a"))
	all, err := m.Counters()
	must(t, err)
	if _, there := all["a"]; there || len(all) != 1 {
		t.Errorf("counters of %v, want those of nobody alone", all)
	}
}

// TestManyFlows gives a flow without an index the kernel's routing: nothing
// fails, and sessions long gone do not hold indexes for ever.
func TestManyFlows(t *testing.T) {
	const capacity = 8
	m := open(t, lab.New(t).BPFFS(), capacity)
	for i := range 10 * capacity {
		tx := transmit(1, "a")
		tx.Remote = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i + 1)})
		must(t, m.PutTransmit(tx))
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, dataplane.NextHop{IfIndex: 1, MTU: 1500}))
		must(t, m.Revoke(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}))
	}
}

// TestCapacityOfPorts gives every pseudowire that there is room for a VLAN of a
// port of its own, of which the rest is the host's.
func TestCapacityOfPorts(t *testing.T) {
	const capacity = 8
	m := open(t, lab.New(t).BPFFS(), capacity)
	want := map[dataplane.Circuit]bool{}
	for i := 1; i <= capacity; i++ {
		vlan := transmit(i, string(rune('a'+i)))
		vlan.Circuit.VLANs.Outer = "100"
		for _, tx := range []dataplane.Transmit{{Circuit: dataplane.Port(i), Shared: true, ToHost: true}, vlan} {
			must(t, m.PutTransmit(tx))
			want[tx.Circuit] = true
		}
	}
	state, err := m.Read()
	must(t, err)
	for circuit := range want {
		if _, ok := state.Transmit[circuit]; !ok {
			t.Errorf("circuit %v is missing", circuit)
		}
	}
}

// TestManyPseudowires gives out all of the default capacity quickly enough for
// a first start.
func TestManyPseudowires(t *testing.T) {
	m := open(t, lab.New(t).BPFFS(), maps.DefaultCapacity)
	seen := map[dataplane.SessionID]bool{}
	for i := range maps.DefaultCapacity {
		id, err := m.Identity(fmt.Sprint(i), free)
		must(t, err)
		if seen[id.Session] {
			t.Fatalf("session id %d twice", id.Session)
		}
		seen[id.Session] = true
	}
	if _, err := m.Identity("one too many", free); !errors.Is(err, dataplane.ErrCapacity) {
		t.Errorf("beyond the capacity: %v", err)
	}
	must(t, m.Forget("4711"))
	_, err := m.Identity("one too many", free)
	must(t, err)
}

// TestPins leaves maps and programs behind for the next agent and for whoever
// looks, replaces the programs, and takes all of it away again.
func TestPins(t *testing.T) {
	dir := filepath.Join(lab.New(t).BPFFS(), "pins")
	want := []string{
		"counters", "drops", "endpoints", "events", "identities", "next_hops", "ports",
		"prog-decap", "prog-encap", "prog-resolve_next_hop", "prog-segment",
		"prog-xdp_decap", "prog-xdp_decap_large", "prog-xdp_encap", "prog-xdp_encap_large",
		"receive_copies", "receives", "sequences", "settings", "transmit_copies", "transmits", "vlans",
	}
	var before ebpf.ProgramID
	for range 2 {
		must(t, open(t, dir, 64).Close())
		if diff := cmp.Diff(want, names(t, dir)); diff != "" {
			t.Errorf("pins (-want +got):\n%s", diff)
		}
		prog, err := ebpf.LoadPinnedProgram(filepath.Join(dir, "prog-encap"), nil)
		must(t, err)
		info, err := prog.Info()
		must(t, err)
		if id, ok := info.ID(); !ok || id == before {
			t.Errorf("pinned program %d is the one of before", id)
		} else {
			before = id
		}
		must(t, prog.Close())
	}
	must(t, maps.Unpin(dir))
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

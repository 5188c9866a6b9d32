package maps_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// wantPorts compares the ports in the map with those expected.
func wantPorts(t *testing.T, m *maps.Maps, when string, want ...maps.Port) {
	t.Helper()
	ports := map[int]maps.Port{}
	for _, p := range want {
		ports[p.IfIndex] = p
	}
	got, err := m.Ports()
	must(t, err)
	if diff := cmp.Diff(ports, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// TestPorts replaces the ports as a whole, again and again, and keeps them when
// the map is opened anew.
func TestPorts(t *testing.T) {
	dir := filepath.Join(lab.New(t).BPFFS(), "pins")
	m := open(t, dir, 64)
	const places = 4096
	circuit := maps.Port{IfIndex: 3, MAC: [6]byte{2, 3, 4, 5, 6, 7}, Largest: 1518}
	underlay := maps.Port{IfIndex: 4, Underlay: true, MAC: [6]byte{2, 3, 4, 5, 6, 8}, Largest: 9018}
	moved, silent := underlay, circuit
	moved.MAC[0], silent.Largest = 6, 0
	rival := maps.Port{IfIndex: 3 + places, Largest: 1518}
	wantPorts(t, m, "new")
	for _, row := range []struct {
		name      string
		ports     []maps.Port
		have      []maps.Port
		displaced int
	}{
		{name: "two", ports: []maps.Port{underlay, circuit}, have: []maps.Port{circuit, underlay}},
		{name: "the same", ports: []maps.Port{circuit, underlay}, have: []maps.Port{circuit, underlay}},
		{name: "changed", ports: []maps.Port{silent, moved}, have: []maps.Port{silent, moved}},
		{name: "one place for two", ports: []maps.Port{rival, circuit}, have: []maps.Port{circuit}, displaced: rival.IfIndex},
		{name: "the place is free", ports: []maps.Port{rival}, have: []maps.Port{rival}},
		{name: "none"},
		{name: "again", ports: []maps.Port{circuit}, have: []maps.Port{circuit}},
	} {
		failed := m.SetPorts(row.ports)
		if row.displaced == 0 && len(failed) > 0 || row.displaced != 0 && (len(failed) != 1 || !errors.Is(failed[row.displaced], maps.ErrPlace)) {
			t.Errorf("%s: failed: %v", row.name, failed)
		}
		wantPorts(t, m, row.name, row.have...)
	}
	must(t, m.Close())
	wantPorts(t, open(t, dir, 64), "opened again", circuit)
}

// TestPortTooLarge keeps what fits the map's 16 bits: there is no larger frame.
func TestPortTooLarge(t *testing.T) {
	m := open(t, filepath.Join(lab.New(t).BPFFS(), "pins"), 64)
	if failed := m.SetPorts([]maps.Port{{IfIndex: 1, Largest: 65535 + 18}}); len(failed) > 0 {
		t.Fatal(failed)
	}
	wantPorts(t, m, "a loopback device", maps.Port{IfIndex: 1, Largest: 65535})
}

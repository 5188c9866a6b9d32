package maps_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"longwire/bpf"
	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// TestReadOnly sees what the owner of the maps has written, also what it writes
// later, and can change nothing.
func TestReadOnly(t *testing.T) {
	dir := filepath.Join(lab.New(t).BPFFS(), "pins")
	m := open(t, dir, 64)
	must(t, m.PutReceive(receive(7, "a")))
	must(t, m.PutTransmit(transmit(7, "a")))
	view, err := maps.OpenReadOnly(dir)
	must(t, err)
	defer func() { must(t, view.Close()) }()
	must(t, m.PutTransmit(transmit(8, "a")))
	want, err := m.Read()
	must(t, err)
	got, err := view.Read()
	must(t, err)
	if diff := cmp.Diff(want, got, compare); diff != "" || len(got.Transmit) != 2 {
		t.Errorf("read-only view (-owner +view):\n%s", diff)
	}
	all, err := view.Counters()
	must(t, err)
	if _, ok := all["a"]; !ok {
		t.Errorf("counters of %v, want those of a", all)
	}
	if view.Capacity() != 64 {
		t.Errorf("capacity %d, want 64", view.Capacity())
	}
	if err := view.PutReceive(receive(9, "a")); !errors.Is(err, os.ErrPermission) {
		t.Errorf("put a session: %v", err)
	}
	if err := view.DeleteReceive(7); !errors.Is(err, os.ErrPermission) {
		t.Errorf("delete a session: %v", err)
	}
}

// TestReadOnlyOfNothing creates nothing.
func TestReadOnlyOfNothing(t *testing.T) {
	dir := filepath.Join(lab.New(t).BPFFS(), "pins")
	if _, err := maps.OpenReadOnly(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

// TestReadOnlyOfOtherLayout does not guess what values of another version mean.
func TestReadOnlyOfOtherLayout(t *testing.T) {
	dir := filepath.Join(lab.New(t).BPFFS(), "pins")
	open(t, dir, 64)
	settings, err := ebpf.LoadPinnedMap(filepath.Join(dir, bpf.LongwireMapSettings), nil)
	must(t, err)
	defer func() { must(t, settings.Close()) }()
	must(t, settings.Put(uint32(0), bpf.LongwireSettings{Layout: 4711}))
	if _, err := maps.OpenReadOnly(dir); !errors.Is(err, maps.ErrLayout) {
		t.Errorf("error %v", err)
	}
}

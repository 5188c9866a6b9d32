package maps

import (
	"testing"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"longwire/bpf"
	"longwire/test/lab"
)

func TestCopiesFor(t *testing.T) {
	for capacity, want := range map[uint32]uint32{1: 2, 2: 4, 3: 8, 64: 128, 16384: 32768, 16385: 65536, 32768: 65536, 1 << 22: 65536} {
		if got := copiesFor(capacity); got != want {
			t.Errorf("copiesFor(%d) = %d, want %d", capacity, got, want)
		}
	}
}

// valid checks what find.h relies on: every copy with a key is the hash's value.
// It returns the keys that have one.
func valid(t *rapid.T, m *Maps) map[uint32]bool {
	found := map[uint32]bool{}
	err := each(m.objects.ReceiveCopies, func(place uint32, c bpf.LongwireReceiveCopy) error {
		if c.Key == 0 {
			return nil
		}
		found[c.Key] = true
		var v bpf.LongwireReceive
		if err := m.objects.Receives.Lookup(c.Key, &v); err != nil || v != c.Value {
			t.Errorf("copy of session %d at place %d: %+v, the hash has %+v (%v)", c.Key, place, c.Value, v, err)
		}
		if m.receives.at(c.Key) != place {
			t.Errorf("copy of session %d is at place %d", c.Key, place)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCopies puts and removes sessions in any order, many of which share a
// place, and settles now and then, as a new process does as well.
func TestCopies(t *testing.T) {
	dir := lab.New(t).BPFFS()
	m, err := Open(Options{PinDir: dir, Capacity: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	const places = 16
	rapid.Check(t, func(t *rapid.T) {
		model := map[uint32]uint32{}
		// changed are the places where a copy was cleared since the last settling:
		// a program may still be reading there.
		changed := map[uint32]bool{}
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			key := rapid.Uint32Range(1, 3*places).Draw(t, "key")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				if _, there := model[key]; len(model) == 8 && !there {
					continue
				}
				hadCopy := valid(t, m)[key]
				model[key] = rapid.Uint32().Draw(t, "circuit")
				check(m.receives.put(key, bpf.LongwireReceive{Circuit: model[key]}, "a session"))
				changed[key%places] = changed[key%places] || hadCopy
				if changed[key%places] && valid(t, m)[key] {
					t.Errorf("session %d has a copy where a program may still read the old one", key)
				}
			case 2:
				changed[key%places] = changed[key%places] || valid(t, m)[key]
				check(m.receives.remove(key, "a session"))
				delete(model, key)
			case 3:
				check(m.settle())
				clear(changed)
			case 4:
				check(m.receives.adopt())
				clear(changed)
			}
			valid(t, m)
		}
		check(m.settle())
		valid(t, m)
		for key := range model {
			check(m.receives.remove(key, "a session"))
		}
		check(m.settle())
	})
}

// TestCopyWaits changes a session in use: its old copy is gone at once, and the
// new one comes when the programs have ended.
func TestCopyWaits(t *testing.T) {
	m, err := Open(Options{PinDir: lab.New(t).BPFFS(), Capacity: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	has := func(key, circuit uint32) bool {
		var c bpf.LongwireReceiveCopy
		if err := m.objects.ReceiveCopies.Lookup(m.receives.at(key), &c); err != nil {
			t.Fatal(err)
		}
		return c.Key == key && c.Value.Circuit == circuit
	}
	put := func(key, circuit uint32) {
		if err := m.receives.put(key, bpf.LongwireReceive{Circuit: circuit}, "a session"); err != nil {
			t.Fatal(err)
		}
	}
	if put(5, 1); !has(5, 1) {
		t.Error("a new session has no copy")
	}
	if put(5, 2); has(5, 1) || has(5, 2) {
		t.Error("a changed session has a copy before the programs have ended")
	}
	if put(5, 3); has(5, 3) {
		t.Error("a session changed twice has a copy before the programs have ended")
	}
	if err := m.settle(); err != nil || !has(5, 3) {
		t.Errorf("settled: %v; the changed session has no copy", err)
	}
	if err := m.receives.remove(5, "a session"); err != nil || has(5, 3) {
		t.Errorf("removed: %v; the copy is still there", err)
	}
	// What was left by a writer that was killed is found at the next start.
	if err := m.objects.ReceiveCopies.Update(uint32(6), bpf.LongwireReceiveCopy{Key: 6, Value: bpf.LongwireReceive{Circuit: 9}}, ebpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	if err := m.receives.adopt(); err != nil || has(6, 9) {
		t.Errorf("adopted: %v; a copy without a session is still there", err)
	}
}

// TestCopyWaitsAnywhere settles where membarrier(2) is refused, as it is on
// machines with nohz_full.
func TestCopyWaitsAnywhere(t *testing.T) {
	m, err := Open(Options{PinDir: lab.New(t).BPFFS(), Capacity: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	for circuit := range uint32(2) {
		if err := m.receives.put(5, bpf.LongwireReceive{Circuit: circuit}, "a session"); err != nil {
			t.Fatal(err)
		}
	}
	result := make(chan error)
	go func() { result <- lab.WithoutMembarrier(m.settle) }()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

package maps

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"longwire/bpf"
	"longwire/dataplane"
)

// maxName is the longest pseudowire name in bytes: the key ends with a zero.
const maxName = 63

func nameKey(pseudowire string) (bpf.LongwireIdentityKey, error) {
	var k bpf.LongwireIdentityKey
	if pseudowire == "" || len(pseudowire) > maxName || strings.ContainsRune(pseudowire, 0) {
		return k, fmt.Errorf("pseudowire name %q must have 1 to %d bytes, none of them zero", pseudowire, maxName)
	}
	copy(k.Name[:], pseudowire)
	return k, nil
}

// adoptSlots learns the slots and session ids that the maps know.
func (m *Maps) adoptSlots() error {
	m.slots, m.taken, m.sessions, m.places = map[string]uint32{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}
	err := each(m.objects.Identities, func(k bpf.LongwireIdentityKey, v bpf.LongwireIdentity) error {
		name, _, _ := strings.Cut(string(k.Name[:]), "\x00")
		m.remember(name, v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the identities map: %w", err)
	}
	return nil
}

// remember keeps at hand what the identities map says of a pseudowire.
func (m *Maps) remember(name string, v bpf.LongwireIdentity) {
	m.slots[name] = v.Slot
	m.taken[v.Slot] = true
	m.sessions[v.Session] = true
	m.places[m.receives.at(v.Session)] = true
}

// names returns the pseudowires by slot.
func (m *Maps) names() map[uint32]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[uint32]string, len(m.slots))
	for name, slot := range m.slots {
		names[slot] = name
	}
	return names
}

// slot returns the counters' slot of a pseudowire, taking one the first time.
func (m *Maps) slot(pseudowire string) (uint32, error) {
	if pseudowire == "" {
		return 0, nil // what belongs to no pseudowire
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if slot, ok := m.slots[pseudowire]; ok {
		return slot, nil
	}
	slot, err := m.freeSlot()
	if err != nil {
		return 0, err
	}
	return slot, m.putIdentity(pseudowire, bpf.LongwireIdentity{Slot: slot})
}

// freeSlot finds a slot that no pseudowire has; 0 is for drops without one. It
// begins where the last search ended, so that many in a row are cheap.
func (m *Maps) freeSlot() (uint32, error) {
	slots := m.objects.Counters.MaxEntries()
	for range slots - 1 {
		m.lastSlot = m.lastSlot%(slots-1) + 1
		if !m.taken[m.lastSlot] {
			return m.lastSlot, nil
		}
	}
	return 0, fmt.Errorf("find a counter slot: %w", dataplane.ErrCapacity)
}

func (m *Maps) putIdentity(pseudowire string, v bpf.LongwireIdentity) error {
	key, err := nameKey(pseudowire)
	if err != nil {
		return err
	}
	if err := put(m.objects.Identities, key, v, "identity of "+pseudowire); err != nil {
		return err
	}
	m.remember(pseudowire, v)
	return nil
}

// Identity implements dataplane.IdentityStore.
func (m *Maps) Identity(pseudowire string, reserved func(dataplane.SessionID) bool) (dataplane.Identity, error) {
	key, err := nameKey(pseudowire)
	if err != nil {
		return dataplane.Identity{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var v bpf.LongwireIdentity
	err = m.objects.Identities.Lookup(key, &v)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return dataplane.Identity{}, fmt.Errorf("read the identity of %s: %w", pseudowire, err)
	}
	known := err == nil
	if !known {
		if v.Slot, err = m.freeSlot(); err != nil {
			return dataplane.Identity{}, err
		}
	}
	if v.Session == 0 || reserved(dataplane.SessionID(v.Session)) {
		delete(m.sessions, v.Session)
		v.Session = m.newSession(reserved)
		// crypto/rand never fails on Linux: it would end the process first.
		_, _ = rand.Read(v.Cookie[:])
		known = false
	}
	if !known {
		if err := m.putIdentity(pseudowire, v); err != nil {
			return dataplane.Identity{}, err
		}
	}
	return decodeIdentity(v)
}

// newSession draws a session id that nothing uses, if it can one whose copy has a
// place of its own. Small numbers are left to static sessions, which people
// write by hand.
func (m *Maps) newSession(reserved func(dataplane.SessionID) bool) uint32 {
	const attempts = 64 // to find a free place
	var b [4]byte
	for n := 0; ; n++ {
		_, _ = rand.Read(b[:])
		id := binary.NativeEndian.Uint32(b[:])
		var v bpf.LongwireReceive
		inUse := m.sessions[id] || m.objects.Receives.Lookup(id, &v) == nil
		if n < attempts && m.places[m.receives.at(id)] {
			continue
		}
		if id > 0xffff && !inUse && !reserved(dataplane.SessionID(id)) {
			return id
		}
	}
}

// Forget implements dataplane.IdentityStore. It also clears the counters, since
// the slot may serve another pseudowire next.
func (m *Maps) Forget(pseudowire string) error {
	key, err := nameKey(pseudowire)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	slot, ok := m.slots[pseudowire]
	if !ok {
		return nil
	}
	var v bpf.LongwireIdentity
	if err := m.objects.Identities.Lookup(key, &v); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("read the identity of %s: %w", pseudowire, err)
	}
	if err := m.clearCounters(slot); err != nil {
		return err
	}
	if err := remove(m.objects.Identities, key, "identity of "+pseudowire); err != nil {
		return err
	}
	delete(m.slots, pseudowire)
	delete(m.taken, slot)
	delete(m.sessions, v.Session)
	delete(m.places, m.receives.at(v.Session))
	return nil
}

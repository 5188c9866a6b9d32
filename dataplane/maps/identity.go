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

// adoptSlots learns the slots of the pseudowires that the maps know.
func (m *Maps) adoptSlots() error {
	m.slots = map[string]uint32{}
	err := each(m.objects.Identities, func(k bpf.LongwireIdentityKey, v bpf.LongwireIdentity) error {
		name, _, _ := strings.Cut(string(k.Name[:]), "\x00")
		m.slots[name] = v.Slot
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the identities map: %w", err)
	}
	return nil
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

// freeSlot finds a slot that no pseudowire has; 0 is for drops without one.
func (m *Maps) freeSlot() (uint32, error) {
	taken := make(map[uint32]bool, len(m.slots))
	for _, slot := range m.slots {
		taken[slot] = true
	}
	for slot := uint32(1); slot < m.objects.Counters.MaxEntries(); slot++ {
		if !taken[slot] {
			return slot, nil
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
	m.slots[pseudowire] = v.Slot
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
		if v.Session, err = m.newSession(reserved); err != nil {
			return dataplane.Identity{}, err
		}
		// crypto/rand never fails on Linux: it would end the process first.
		_, _ = rand.Read(v.Cookie[:])
		known = false
	}
	if !known {
		if err := m.putIdentity(pseudowire, v); err != nil {
			return dataplane.Identity{}, err
		}
	}
	cookie, err := dataplane.NewCookie(v.Cookie[:])
	return dataplane.Identity{Session: dataplane.SessionID(v.Session), Cookie: cookie}, err
}

// newSession draws a session id that nothing uses. Small numbers are left to
// static sessions, which people write by hand.
func (m *Maps) newSession(reserved func(dataplane.SessionID) bool) (uint32, error) {
	taken := map[uint32]bool{}
	err := each(m.objects.Identities, func(_ bpf.LongwireIdentityKey, v bpf.LongwireIdentity) error {
		taken[v.Session] = true
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the identities map: %w", err)
	}
	var b [4]byte
	for {
		_, _ = rand.Read(b[:])
		id := binary.NativeEndian.Uint32(b[:])
		var v bpf.LongwireReceive
		inUse := m.objects.Receives.Lookup(id, &v) == nil
		if id > 0xffff && !taken[id] && !inUse && !reserved(dataplane.SessionID(id)) {
			return id, nil
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
	if err := m.clearCounters(slot); err != nil {
		return err
	}
	if err := remove(m.objects.Identities, key, "identity of "+pseudowire); err != nil {
		return err
	}
	delete(m.slots, pseudowire)
	return nil
}

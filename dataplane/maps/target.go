package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"longwire/bpf"
	"longwire/dataplane"
)

var errE2BIG error = unix.E2BIG

// Read implements dataplane.Target: it returns what the kernel forwards now.
func (m *Maps) Read() (dataplane.State, error) {
	state := dataplane.State{
		Receive:  map[dataplane.SessionID]dataplane.Receive{},
		Transmit: map[dataplane.Circuit]dataplane.Transmit{},
	}
	names := m.names()
	err := each(m.objects.Receives, func(id uint32, v bpf.LongwireReceive) error {
		r, err := decodeReceive(id, v, names[v.Slot])
		state.Receive[r.Session] = r
		return err
	})
	if err != nil {
		return state, fmt.Errorf("read the receives map: %w", err)
	}
	circuits, err := m.readVLANs()
	if err != nil {
		return state, err
	}
	err = each(m.objects.Transmits, func(key uint32, v bpf.LongwireTransmit) error {
		c, ok := dataplane.Port(int(key)), true
		if key >= transmitVLANs {
			c, ok = circuits[key]
		}
		if !ok {
			return nil // no frame leads here
		}
		t, err := decodeTransmit(c, v, names[v.Slot])
		state.Transmit[c] = t
		if err != nil {
			return fmt.Errorf("circuit %v: %w", c, err)
		}
		return nil
	})
	if err != nil {
		return state, fmt.Errorf("read the transmits map: %w", err)
	}
	return state, nil
}

// PutReceive implements dataplane.Target.
func (m *Maps) PutReceive(r dataplane.Receive) error {
	slot, err := m.slot(r.Pseudowire)
	if err != nil {
		return err
	}
	v, err := encodeReceive(r, slot)
	if err != nil {
		return err
	}
	return m.receives.put(uint32(r.Session), v, fmt.Sprintf("session %d", r.Session))
}

// PutTransmit implements dataplane.Target. The entry comes before the VLANs
// that lead to it.
func (m *Maps) PutTransmit(t dataplane.Transmit) error {
	slot, err := m.slot(t.Pseudowire)
	if err != nil {
		return err
	}
	nextHop := uint32(noNextHop)
	if t.Session != 0 {
		nextHop = m.nextHopIndex(dataplane.Flow{Local: t.Local, Remote: t.Remote})
	}
	v, err := encodeTransmit(t, slot, nextHop)
	if err != nil {
		return err
	}
	key := transmitKey(t.Circuit, slot)
	if err := m.transmits.put(key, v, fmt.Sprintf("circuit %v", t.Circuit)); err != nil {
		return err
	}
	if key < transmitVLANs {
		return nil
	}
	return m.putVLANs(t.Circuit, key)
}

// DeleteReceive implements dataplane.Target.
func (m *Maps) DeleteReceive(id dataplane.SessionID) error {
	return m.receives.remove(uint32(id), fmt.Sprintf("session %d", id))
}

// DeleteTransmit implements dataplane.Target.
func (m *Maps) DeleteTransmit(c dataplane.Circuit) error {
	if c.VLANs != (dataplane.VLANs{}) {
		return m.deleteCircuit(c)
	}
	return m.transmits.remove(uint32(c.IfIndex), fmt.Sprintf("circuit %v", c))
}

func put[K, V any](m *ebpf.Map, key K, value V, what string) error {
	err := m.Put(key, value)
	if full(err) {
		return fmt.Errorf("put %s: %w", what, dataplane.ErrCapacity)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", what, explain(err))
	}
	return nil
}

func remove[K any](m *ebpf.Map, key K, what string) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete %s: %w", what, explain(err))
	}
	return nil
}

// batchSize is how many entries one system call reads.
const batchSize = 1024

// each calls f for every entry of a hash map, read by batches: five times
// faster than one by one.
func each[K, V any](m *ebpf.Map, f func(K, V) error) error {
	keys, values := make([]K, batchSize), make([]V, batchSize)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			if err := f(keys[i], values[i]); err != nil {
				return err
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look up a batch: %w", err)
		}
	}
}

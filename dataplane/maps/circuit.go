package maps

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"longwire/bpf"
	"longwire/dataplane"
)

// transmitVLANs is TRANSMIT_VLANS of the C source: it marks the keys of
// circuits that are some VLANs of a port. The slot makes them unique, as a
// pseudowire has one circuit.
const transmitVLANs = 1 << 31

// vlanIndex remembers which VLANs each key of transmits was given last, so that
// moving a circuit takes back exactly the entries that it no longer has.
type vlanIndex struct {
	mu       sync.Mutex
	circuits map[uint32]dataplane.Circuit // by key of transmits
	keys     map[dataplane.Circuit]uint32
}

func (x *vlanIndex) set(key uint32, c dataplane.Circuit) {
	x.forget(key)
	x.circuits[key], x.keys[c] = c, key
}

func (x *vlanIndex) forget(key uint32) {
	if old, ok := x.circuits[key]; ok && x.keys[old] == key {
		delete(x.keys, old)
	}
	delete(x.circuits, key)
}

// transmitKey returns the key of a circuit's encapsulation.
func transmitKey(c dataplane.Circuit, slot uint32) uint32 {
	if c.VLANs == (dataplane.VLANs{}) {
		return uint32(c.IfIndex)
	}
	return transmitVLANs | slot
}

// adoptVLANs learns which VLANs each circuit has.
func (m *Maps) adoptVLANs() error {
	circuits, err := m.readVLANs()
	if err != nil {
		return err
	}
	m.vlans = vlanIndex{circuits: map[uint32]dataplane.Circuit{}, keys: map[dataplane.Circuit]uint32{}}
	for key, c := range circuits {
		m.vlans.set(key, c)
	}
	return nil
}

// readVLANs returns the circuits that are some VLANs of a port, by key of
// transmits, as the kernel has them.
func (m *Maps) readVLANs() (map[uint32]dataplane.Circuit, error) {
	type group struct {
		ifindex int
		inner   uint16
		outer   []uint16
	}
	groups := map[uint32]*group{}
	err := each(m.objects.Vlans, func(k bpf.LongwireVlanKey, key uint32) error {
		if groups[key] == nil {
			groups[key] = &group{ifindex: int(k.Circuit), inner: k.Inner}
		}
		groups[key].outer = append(groups[key].outer, k.Outer)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the vlans map: %w", err)
	}
	circuits := make(map[uint32]dataplane.Circuit, len(groups))
	for key, g := range groups {
		vids, err := dataplane.NewVIDs(g.outer...)
		if err != nil {
			return nil, fmt.Errorf("read the vlans map: interface %d: %w", g.ifindex, err)
		}
		circuits[key] = dataplane.Circuit{IfIndex: g.ifindex, VLANs: dataplane.VLANs{Outer: vids, Inner: g.inner}}
	}
	return circuits, nil
}

// putVLANs points the VLANs of a circuit to its key, whoever had them, and takes
// back those that the key has no longer.
func (m *Maps) putVLANs(c dataplane.Circuit, key uint32) error {
	m.vlans.mu.Lock()
	defer m.vlans.mu.Unlock()
	before, owner := m.vlans.circuits[key], m.vlans.keys[c]
	for vid := range c.VLANs.Outer.All() {
		if err := put(m.objects.Vlans, vlanKey(c, vid), key, fmt.Sprintf("circuit %v", c)); err != nil {
			return err
		}
	}
	m.vlans.set(key, c)
	if owner != 0 && owner != key {
		// Another pseudowire had this very circuit: nothing leads to its entry now.
		m.vlans.forget(owner)
		m.vlans.keys[c] = key
		if err := m.transmits.remove(owner, fmt.Sprintf("circuit %v", c)); err != nil {
			return err
		}
	}
	if before == c {
		return nil
	}
	return m.deleteVLANs(before, key)
}

// deleteVLANs removes those entries of a circuit that point to key and that the
// key does not have, or any key's if key is 0.
func (m *Maps) deleteVLANs(c dataplane.Circuit, key uint32) error {
	for vid := range c.VLANs.Outer.All() {
		var k uint32
		err := m.objects.Vlans.Lookup(vlanKey(c, vid), &k)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read circuit %v: %w", c, err)
		}
		if key != 0 && k != key || hasVLAN(m.vlans.circuits[k], c, vid) {
			continue
		}
		if err := remove(m.objects.Vlans, vlanKey(c, vid), fmt.Sprintf("circuit %v", c)); err != nil {
			return err
		}
	}
	return nil
}

// hasVLAN says whether the circuit wanted includes the VLAN vid of c.
func hasVLAN(wanted, c dataplane.Circuit, vid uint16) bool {
	if wanted.IfIndex != c.IfIndex || wanted.VLANs.Inner != c.VLANs.Inner {
		return false
	}
	for v := range wanted.VLANs.Outer.All() {
		if v == vid {
			return true
		}
	}
	return false
}

// deleteCircuit removes a circuit that is some VLANs of a port.
func (m *Maps) deleteCircuit(c dataplane.Circuit) error {
	m.vlans.mu.Lock()
	defer m.vlans.mu.Unlock()
	key, known := m.vlans.keys[c]
	if !known {
		// Its pseudowire has another circuit already; what somebody else left
		// of this one goes.
		return m.deleteVLANs(c, 0)
	}
	m.vlans.forget(key)
	if err := m.deleteVLANs(c, key); err != nil {
		return err
	}
	return m.transmits.remove(key, fmt.Sprintf("circuit %v", c))
}

func vlanKey(c dataplane.Circuit, vid uint16) bpf.LongwireVlanKey {
	return bpf.LongwireVlanKey{Circuit: uint32(c.IfIndex), Outer: vid, Inner: c.VLANs.Inner}
}

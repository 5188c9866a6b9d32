package maps

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"longwire/bpf"
)

// ErrPlace is returned for a port whose place in the map another one has.
var ErrPlace = errors.New("another interface has its place in the map of XDP ports")

// Port is an interface that XDP programs run on.
type Port struct {
	IfIndex int
	// Underlay tells an interface where packets for us arrive from a circuit.
	Underlay bool
	MAC      [6]byte // what is addressed to another one is not for us
	// Largest is the largest frame that an XDP program may send out of it, in
	// bytes from the Ethernet header on, at most 65,535; 0 = none at all.
	Largest int
}

// SetPorts makes the ports exactly these. Frames of other interfaces, and to
// them, are left to the tc programs from now on. It reports every port that it
// could not set, by ifindex, and under 0 what went wrong beyond that.
func (m *Maps) SetPorts(ports []Port) map[int]error {
	failed := map[int]error{}
	wanted := map[uint32]bpf.LongwirePort{}
	places := m.objects.Ports.MaxEntries()
	ports = slices.SortedFunc(slices.Values(ports), func(a, b Port) int { return cmp.Compare(a.IfIndex, b.IfIndex) })
	for _, p := range ports {
		place := uint32(p.IfIndex) % places
		if other, taken := wanted[place]; taken {
			failed[p.IfIndex] = fmt.Errorf("%w: interface %d", ErrPlace, other.Ifindex)
			continue
		}
		wanted[place] = encodePort(p)
	}
	var changed []uint32
	err := each(m.objects.Ports, func(place uint32, v bpf.LongwirePort) error {
		if v != wanted[place] {
			changed = append(changed, place)
		}
		return nil
	})
	if err != nil {
		failed[0] = fmt.Errorf("read the ports map: %w", err)
		return failed
	}
	for _, place := range changed {
		// Nobody may see half of two interfaces, since a write is no single step.
		for _, v := range []bpf.LongwirePort{{}, wanted[place]} {
			if err := m.objects.Ports.Put(place, v); err != nil {
				failed[int(wanted[place].Ifindex)] = fmt.Errorf("write the ports map: %w", err)
			}
		}
	}
	return failed
}

// Ports returns the ports by ifindex.
func (m *Maps) Ports() (map[int]Port, error) {
	ports := map[int]Port{}
	err := each(m.objects.Ports, func(_ uint32, v bpf.LongwirePort) error {
		if v.Ifindex != 0 {
			p := decodePort(v)
			ports[p.IfIndex] = p
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the ports map: %w", err)
	}
	return ports, nil
}

// encodePort keeps the address as native loads from a packet give it.
func encodePort(p Port) bpf.LongwirePort {
	v := bpf.LongwirePort{
		Ifindex: uint32(p.IfIndex), Largest: uint16(min(p.Largest, 0xffff)), Role: bpf.LongwirePortRolePORT_CIRCUIT,
		MacFirst: binary.NativeEndian.Uint32(p.MAC[:]), MacLast: binary.NativeEndian.Uint16(p.MAC[4:]),
	}
	if p.Underlay {
		v.Role = bpf.LongwirePortRolePORT_UNDERLAY
	}
	return v
}

// decodePort is the inverse of encodePort.
func decodePort(v bpf.LongwirePort) Port {
	p := Port{IfIndex: int(v.Ifindex), Largest: int(v.Largest), Underlay: v.Role == bpf.LongwirePortRolePORT_UNDERLAY}
	binary.NativeEndian.PutUint32(p.MAC[:], v.MacFirst)
	binary.NativeEndian.PutUint16(p.MAC[4:], v.MacLast)
	return p
}

package maps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"longwire/bpf"
	"longwire/dataplane"
)

// noNextHop is the index that is never leased.
const noNextHop = 0

// adoptFlows learns which index each flow has.
func (m *Maps) adoptFlows() error {
	m.flows, m.indexes = map[dataplane.Flow]uint32{}, map[uint32]bool{}
	err := each(m.objects.Transmits, func(_ uint32, v bpf.LongwireTransmit) error {
		t, err := decodeTransmit(dataplane.Circuit{}, v, "")
		if v.NextHop != noNextHop {
			m.flows[dataplane.Flow{Local: t.Local, Remote: t.Remote}] = v.NextHop
			m.indexes[v.NextHop] = true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the transmits map: %w", err)
	}
	return nil
}

// nextHopIndex returns the index of a flow, taking one the first time. When all
// are taken the flow has none, which is slower and just as right.
func (m *Maps) nextHopIndex(f dataplane.Flow) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := m.flows[f]; ok {
		return i
	}
	i := m.freeIndex()
	if i == noNextHop {
		// Flows of sessions long gone may hold indexes.
		if m.adoptFlows() != nil {
			return noNextHop
		}
		i = m.freeIndex()
	}
	// The one that had this index before may still have a lease.
	if i == noNextHop || m.writeNextHop(i, bpf.LongwireNextHop{}) != nil {
		return noNextHop
	}
	m.flows[f], m.indexes[i] = i, true
	return i
}

// freeIndex finds an index that no flow has. It begins where the last search
// ended, so that many in a row are cheap.
func (m *Maps) freeIndex() uint32 {
	n := m.objects.NextHops.MaxEntries()
	for range n - 1 {
		m.lastIndex = m.lastIndex%(n-1) + 1
		if !m.indexes[m.lastIndex] {
			return m.lastIndex
		}
	}
	return noNextHop
}

// Lease implements dataplane.NextHops. The order of the writes is that of
// struct next_hop in the C source: a program that reads in between trusts
// nothing.
func (m *Maps) Lease(f dataplane.Flow, nh dataplane.NextHop) error {
	i := m.nextHopIndex(f)
	if i == noNextHop {
		return nil
	}
	var old bpf.LongwireNextHop
	if err := m.objects.NextHops.Lookup(i, &old); err != nil {
		return fmt.Errorf("read next hop %d: %w", i, err)
	}
	v := encodeNextHop(nh)
	v.Expires = old.Expires
	if v != old {
		if err := m.writeNextHop(i, clearLease(old)); err != nil {
			return err
		}
		if err := m.writeNextHop(i, clearLease(v)); err != nil {
			return err
		}
	}
	now, err := m.ticks()
	if err != nil {
		return err
	}
	v.Expires = now + uint64(dataplane.LeaseDuration/m.tick)
	// Leases are renewed all the time, so this is the time to catch up.
	return errors.Join(m.writeNextHop(i, v), m.settle())
}

// Revoke implements dataplane.NextHops.
func (m *Maps) Revoke(f dataplane.Flow) error {
	i := m.nextHopIndex(f)
	if i == noNextHop {
		return nil
	}
	var v bpf.LongwireNextHop
	if err := m.objects.NextHops.Lookup(i, &v); err != nil {
		return fmt.Errorf("read next hop %d: %w", i, err)
	}
	if v.Expires == 0 {
		return nil
	}
	return m.writeNextHop(i, clearLease(v))
}

func clearLease(v bpf.LongwireNextHop) bpf.LongwireNextHop {
	v.Expires = 0
	return v
}

func (m *Maps) writeNextHop(i uint32, v bpf.LongwireNextHop) error {
	if err := m.objects.NextHops.Put(i, v); err != nil {
		return fmt.Errorf("write next hop %d: %w", i, err)
	}
	return nil
}

func encodeNextHop(nh dataplane.NextHop) bpf.LongwireNextHop {
	var macs [12]byte
	copy(macs[:], nh.Destination[:])
	copy(macs[6:], nh.Source[:])
	return bpf.LongwireNextHop{
		MacFirst: binary.NativeEndian.Uint64(macs[:]),
		MacLast:  binary.NativeEndian.Uint32(macs[8:]),
		Ifindex:  uint32(nh.IfIndex),
		Mtu:      uint32(nh.MTU),
	}
}

// ticks reads the clock by which the programs see leases end. It costs them one
// load, but no system call tells it, so a program of ours does.
func (m *Maps) ticks() (uint64, error) {
	packet := make([]byte, clockPacketLength)
	_, out, err := m.objects.ReadClock.Test(packet)
	if err != nil {
		return 0, fmt.Errorf("read the clock of the programs: %w", err)
	}
	return binary.NativeEndian.Uint64(out), nil
}

// clockPacketLength is the least that the kernel takes for a test run.
const clockPacketLength = 14

// clockTick returns how long a tick of that clock is: the resolution of the
// kernel's coarse clocks.
func clockTick() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0, fmt.Errorf("read the resolution of the kernel's clock: %w", err)
	}
	if ts.Nano() <= 0 {
		return 0, fmt.Errorf("the kernel's clock has a resolution of %d ns", ts.Nano())
	}
	return time.Duration(ts.Nano()), nil
}

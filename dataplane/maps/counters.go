package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"longwire/bpf"
	"longwire/dataplane"
)

// drops are the words for the reasons of the C source, which a test holds
// together with them.
var drops = map[bpf.LongwireDropReason]dataplane.Drop{
	bpf.LongwireDropReasonDROP_UNSPECIFIED:         dataplane.DropUnspecified,
	bpf.LongwireDropReasonDROP_NO_SESSION:          dataplane.DropNoSession,
	bpf.LongwireDropReasonDROP_TOO_BIG:             dataplane.DropTooBig,
	bpf.LongwireDropReasonDROP_TOO_MANY_TAGS:       dataplane.DropTooManyTags,
	bpf.LongwireDropReasonDROP_NO_ROUTE:            dataplane.DropNoRoute,
	bpf.LongwireDropReasonDROP_NO_HELPER:           dataplane.DropNoHelper,
	bpf.LongwireDropReasonDROP_NO_MEMORY:           dataplane.DropNoMemory,
	bpf.LongwireDropReasonDROP_UNKNOWN_SESSION:     dataplane.DropUnknownSession,
	bpf.LongwireDropReasonDROP_NO_REMOTE:           dataplane.DropNoRemote,
	bpf.LongwireDropReasonDROP_WRONG_SOURCE:        dataplane.DropWrongSource,
	bpf.LongwireDropReasonDROP_WRONG_ENCAPSULATION: dataplane.DropWrongEncapsulation,
	bpf.LongwireDropReasonDROP_WRONG_COOKIE:        dataplane.DropWrongCookie,
	bpf.LongwireDropReasonDROP_VCCV:                dataplane.DropVCCV,
	bpf.LongwireDropReasonDROP_MALFORMED:           dataplane.DropMalformed,
	bpf.LongwireDropReasonDROP_BAD_CHECKSUM:        dataplane.DropBadChecksum,
	bpf.LongwireDropReasonDROP_FRAGMENT:            dataplane.DropFragment,
	bpf.LongwireDropReasonDROP_IP_OPTIONS:          dataplane.DropIPOptions,
	bpf.LongwireDropReasonDROP_L2CP:                dataplane.DropL2CP,
	bpf.LongwireDropReasonDROP_LOOP:                dataplane.DropLoop,
	bpf.LongwireDropReasonDROP_CONTROL_MESSAGE:     dataplane.DropControl,
	bpf.LongwireDropReasonDROP_WRONG_VERSION:       dataplane.DropWrongVersion,
	bpf.LongwireDropReasonDROP_DUPLICATE:           dataplane.DropDuplicate,
	bpf.LongwireDropReasonDROP_LATE:                dataplane.DropLate,
	bpf.LongwireDropReasonDROP_CONGESTION:          dataplane.DropCongestion,
}

// Counters implements dataplane.CounterReader.
func (m *Maps) Counters() (map[string]dataplane.Counters, error) {
	names := m.names()
	all := make(map[string]dataplane.Counters, len(names)+1)
	all[""] = dataplane.Counters{Drops: map[dataplane.Drop]uint64{}}
	for slot, name := range names {
		var perCPU []bpf.LongwireSessionCounters
		if err := m.objects.Counters.Lookup(slot, &perCPU); err != nil {
			return nil, fmt.Errorf("read the counters of %s: %w", name, err)
		}
		c := dataplane.Counters{Drops: map[dataplane.Drop]uint64{}}
		for _, v := range perCPU {
			c.EncapPackets += v.EncapPackets
			c.EncapBytes += v.EncapBytes
			c.DecapPackets += v.DecapPackets
			c.DecapBytes += v.DecapBytes
		}
		if err := m.addEvents(&c, slot); err != nil {
			return nil, fmt.Errorf("read the events of %s: %w", name, err)
		}
		all[name] = c
	}
	err := m.eachDrop(func(k bpf.LongwireDropKey, n uint64) error {
		// A slot without a pseudowire counts among the drops of nobody.
		all[names[k.Slot]].Drops[drops[k.Reason]] += n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the drops map: %w", err)
	}
	return all, nil
}

// addEvents adds up over all CPUs what happened to a pseudowire now and then.
func (m *Maps) addEvents(c *dataplane.Counters, slot uint32) error {
	var perCPU []bpf.LongwireSessionEvents
	if err := m.objects.Events.Lookup(slot, &perCPU); err != nil {
		return err
	}
	for _, v := range perCPU {
		c.Fragmented += v.Fragmented
		c.Answered += v.Answered
		c.PreviousCookie += v.PreviousCookie
		c.SequenceGaps += v.SequenceGaps
		c.SequenceResets += v.SequenceResets
	}
	return nil
}

// eachDrop calls f with the sum over all CPUs of every drop counter.
func (m *Maps) eachDrop(f func(bpf.LongwireDropKey, uint64) error) error {
	var (
		key    bpf.LongwireDropKey
		perCPU []uint64
	)
	it := m.objects.Drops.Iterate()
	for it.Next(&key, &perCPU) {
		var n uint64
		for _, v := range perCPU {
			n += v
		}
		if err := f(key, n); err != nil {
			return err
		}
	}
	return it.Err()
}

// clearCounters sets everything that a slot has counted back to nothing.
func (m *Maps) clearCounters(slot uint32) error {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the processors: %w", err)
	}
	if err := m.objects.Counters.Put(slot, make([]bpf.LongwireSessionCounters, n)); err != nil {
		return fmt.Errorf("clear the counters: %w", err)
	}
	if err := m.objects.Events.Put(slot, make([]bpf.LongwireSessionEvents, n)); err != nil {
		return fmt.Errorf("clear the events: %w", err)
	}
	if err := m.objects.Sequences.Put(slot, bpf.LongwireSequence{}); err != nil {
		return fmt.Errorf("clear the sequence numbers: %w", err)
	}
	for reason := range drops {
		err := m.objects.Drops.Delete(bpf.LongwireDropKey{Slot: slot, Reason: reason})
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("clear the drop counters: %w", err)
		}
	}
	return nil
}

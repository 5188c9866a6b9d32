package maps

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/cilium/ebpf"

	"longwire/bpf"
)

// maxCopies bounds the arrays of copies: a host with more sessions pays for the
// hash with some of them.
const maxCopies = 1 << 16

// copiesFor returns how many copies maps of a capacity have: twice the sessions,
// so that few share a place, and a power of two.
func copiesFor(capacity uint32) uint32 {
	return min(maxCopies, uint32(1)<<bits.Len32(2*capacity-1))
}

// copies keeps an array of copies in step with a hash, as find.h of the C source
// says. V is the hash's value and C the array's.
type copies[V, C comparable] struct {
	array, hash *ebpf.Map
	make        func(key uint32, v V) C
	take        func(C) (key uint32, v V)

	mu sync.Mutex
	// stale are the places whose copy a program may still be reading, and the
	// keys that are to have the place afterwards.
	stale map[uint32]uint32
}

// at returns the place of a key.
func (c *copies[V, C]) at(key uint32) uint32 { return key % c.array.MaxEntries() }

// put changes the hash. A copy of the old value goes first; the new one is
// written at once if nobody can be reading there, else by settle.
func (c *copies[V, C]) put(key uint32, v V, what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.clear(key); err != nil {
		return err
	}
	if err := put(c.hash, key, v, what); err != nil {
		return err
	}
	place := c.at(key)
	if _, busy := c.stale[place]; busy {
		c.stale[place] = key
		return nil
	}
	return c.write(place, key, v)
}

// remove deletes from the hash, and the copy before that.
func (c *copies[V, C]) remove(key uint32, what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.clear(key); err != nil {
		return err
	}
	return remove(c.hash, key, what)
}

// clear takes away the copy of a key, if there is one.
func (c *copies[V, C]) clear(key uint32) error {
	place := c.at(key)
	var old C
	if err := c.array.Lookup(place, &old); err != nil {
		return fmt.Errorf("read a copy: %w", err)
	}
	have, v := c.take(old)
	if have != key {
		return nil
	}
	if err := c.array.Put(place, c.make(0, v)); err != nil {
		return fmt.Errorf("clear a copy: %w", err)
	}
	c.stale[place] = 0
	return nil
}

// write makes a copy at a place that nobody reads, the key last, unless another
// key has the place.
func (c *copies[V, C]) write(place, key uint32, v V) error {
	var old C
	if err := c.array.Lookup(place, &old); err != nil {
		return fmt.Errorf("read a copy: %w", err)
	}
	if have, _ := c.take(old); have != 0 && have != key {
		return nil
	}
	for _, k := range []uint32{0, key} {
		if err := c.array.Put(place, c.make(k, v)); err != nil {
			return fmt.Errorf("write a copy: %w", err)
		}
	}
	return nil
}

// settle writes the copies that had to wait. It waits itself, some milliseconds,
// until every program that may have seen an old one has ended.
func (c *copies[V, C]) settle() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stale) == 0 {
		return nil
	}
	if err := awaitReaders(); err != nil {
		return err
	}
	var errs []error
	for place, key := range c.stale {
		delete(c.stale, place)
		if key == 0 {
			continue
		}
		var v V
		err := c.hash.Lookup(key, &v)
		if err == nil {
			err = c.write(place, key, v)
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// adopt clears every copy that is not its hash's value, as a writer that was
// killed at the wrong moment or an older version may have left.
func (c *copies[V, C]) adopt() error {
	c.stale = map[uint32]uint32{}
	return each(c.array, func(place uint32, copied C) error {
		key, v := c.take(copied)
		if key == 0 {
			return nil
		}
		var now V
		err := c.hash.Lookup(key, &now)
		if err == nil && now == v || err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		return c.clear(key)
	})
}

// awaitReaders returns when every program that was running has ended. The kernel
// waits for that whenever a map inside a map is replaced (Linux 5.0,
// maybe_wait_bpf_programs), on every kernel and in some milliseconds;
// membarrier(2) does not with nohz_full.
func awaitReaders() error {
	spec := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	inner, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("wait for the programs: %w", err)
	}
	defer inner.Close()
	outer, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: spec})
	if err != nil {
		return fmt.Errorf("wait for the programs: %w", err)
	}
	defer outer.Close()
	if err := outer.Update(uint32(0), inner, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("wait for the programs: %w", err)
	}
	return nil
}

func newReceiveCopies(o *bpf.LongwireObjects) *copies[bpf.LongwireReceive, bpf.LongwireReceiveCopy] {
	return &copies[bpf.LongwireReceive, bpf.LongwireReceiveCopy]{
		array: o.ReceiveCopies, hash: o.Receives,
		make: func(key uint32, v bpf.LongwireReceive) bpf.LongwireReceiveCopy {
			return bpf.LongwireReceiveCopy{Key: key, Value: v}
		},
		take: func(c bpf.LongwireReceiveCopy) (uint32, bpf.LongwireReceive) { return c.Key, c.Value },
	}
}

func newTransmitCopies(o *bpf.LongwireObjects) *copies[bpf.LongwireTransmit, bpf.LongwireTransmitCopy] {
	return &copies[bpf.LongwireTransmit, bpf.LongwireTransmitCopy]{
		array: o.TransmitCopies, hash: o.Transmits,
		make: func(key uint32, v bpf.LongwireTransmit) bpf.LongwireTransmitCopy {
			return bpf.LongwireTransmitCopy{Key: key, Value: v}
		},
		take: func(c bpf.LongwireTransmitCopy) (uint32, bpf.LongwireTransmit) { return c.Key, c.Value },
	}
}

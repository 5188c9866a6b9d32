package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/cilium/ebpf"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// What many sessions cost the agent: the time to change and to read them, and
// the memory. The maps have room for exactly as many; nothing is attached.

// upkeep is that for one number of sessions.
type upkeep struct {
	add, replace, remove, read time.Duration // of all sessions
	kernel, process            uint64        // bytes of all sessions, in maps and on the heap
}

// upkeepHeader are the columns of the table.
var upkeepHeader = []string{
	"", "added/s", "replaced/s", "deleted/s", "read, ms", "kernel, B/session", "process, B/session",
}

// leastForMemory is from how many sessions on it says anything what the process
// takes for each: below, it is mostly what the maps take at all.
const leastForMemory = 1000

// measureUpkeep repeats the measurement as often as there are passes and returns
// the medians.
func measureUpkeep(w *world, s scale) string {
	lines := [][]string{{"Maps: sessions changed each second, one full read, and memory"}, upkeepHeader}
	for _, n := range crowds {
		w.Logf("maps with %s", crowdName(n))
		var samples []upkeep
		for range s.fills {
			u, err := w.upkeep(n)
			w.must(err, "change "+crowdName(n))
			samples = append(samples, u)
		}
		lines = append(lines, upkeepLine(n, samples))
	}
	return align(lines)
}

// upkeepLine is a line of the table.
func upkeepLine(n int, samples []upkeep) []string {
	rate := func(of func(upkeep) time.Duration) string {
		var rates []float64
		for _, u := range samples {
			rates = append(rates, float64(n)/of(u).Seconds())
		}
		return number(median(rates), 0)
	}
	share := func(of func(upkeep) uint64) string {
		var shares []float64
		for _, u := range samples {
			shares = append(shares, float64(of(u))/float64(n))
		}
		return number(median(shares), 0)
	}
	var reads []float64
	for _, u := range samples {
		reads = append(reads, u.read.Seconds()*1e3)
	}
	process := "-"
	if n >= leastForMemory {
		process = share(func(u upkeep) uint64 { return u.process })
	}
	return []string{
		crowdName(n),
		rate(func(u upkeep) time.Duration { return u.add }),
		rate(func(u upkeep) time.Duration { return u.replace }),
		rate(func(u upkeep) time.Duration { return u.remove }),
		number(median(reads), 2),
		share(func(u upkeep) uint64 { return u.kernel }),
		process,
	}
}

// leastChanges is how many changes are timed at the least.
const leastChanges = 1000

// upkeep takes one sample. What was made is removed at once.
func (w *world) upkeep(n int) (u upkeep, err error) {
	dir, err := os.MkdirTemp(w.lab.BPFFS(), "upkeep")
	if err != nil {
		return u, fmt.Errorf("make a directory for pins: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	f := &filling{count: max(1, leastChanges/n)}
	for place, i := range shuffled(n) {
		f.sessions = append(f.sessions, carriers[0].member(i))
		f.replacements = append(f.replacements, f.sessions[place])
		f.replacements[place].version++
	}
	before := heapBytes()
	f.maps, err = maps.Open(maps.Options{PinDir: dir, Capacity: uint32(n)})
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, f.maps.Close(), maps.Unpin(dir)) }()
	u.add, u.replace, u.remove, err = f.times(func() error {
		u.process = heapBytes() - before
		if u.kernel, err = pinnedBytes(dir); err != nil {
			return err
		}
		u.read, err = f.read()
		return err
	})
	return u, err
}

// filling is maps with the sessions that are put into them.
type filling struct {
	maps                   *maps.Maps
	count                  int // of repetitions
	sessions, replacements []session
}

// times returns how long it takes to add, replace and remove all sessions. It
// calls full when they are there for the first time.
func (f *filling) times(full func() error) (add, replace, remove time.Duration, err error) {
	for i := range f.count {
		took, failed := f.each(f.sessions, f.put)
		add, err = add+took, errors.Join(err, failed)
		if i == 0 {
			err = errors.Join(err, full())
		}
		took, failed = f.each(f.replacements, f.put)
		replace, err = replace+took, errors.Join(err, failed)
		took, failed = f.each(f.sessions, f.remove)
		remove, err = remove+took, errors.Join(err, failed)
	}
	count := time.Duration(f.count)
	return add / count, replace / count, remove / count, err
}

// read returns how long it takes to read all sessions, once.
func (f *filling) read() (time.Duration, error) {
	begin := time.Now()
	state, err := f.maps.Read()
	took := time.Since(begin)
	if n := len(f.sessions); err == nil && (len(state.Receive) != n || len(state.Transmit) != n) {
		err = fmt.Errorf("%d and %d entries of %d", len(state.Receive), len(state.Transmit), n)
	}
	return took, err
}

// each does the same to all sessions, until it fails.
func (f *filling) each(all []session, do func(int, session) error) (time.Duration, error) {
	begin := time.Now()
	for i, s := range all {
		if err := do(firstCircuit+i, s); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

func (f *filling) put(circuit int, s session) error {
	if err := s.receive(f.maps, circuit); err != nil {
		return err
	}
	return s.transmit(f.maps, circuit)
}

func (f *filling) remove(circuit int, s session) error {
	if err := f.maps.DeleteTransmit(dataplane.Port(circuit)); err != nil {
		return err
	}
	return f.maps.DeleteReceive(s.id)
}

// pinnedBytes returns what the maps pinned in a directory take of the kernel's
// memory. Room for sessions is taken when a map is made, so it takes no less
// with fewer of them.
func pinnedBytes(dir string) (uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("list the pins: %w", err)
	}
	var all uint64
	for _, e := range entries {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, e.Name()), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			continue // a program
		}
		info, err := m.Info()
		closeQuietly(m)
		if err != nil {
			return 0, fmt.Errorf("ask for %s: %w", e.Name(), err)
		}
		if bytes, ok := info.Memlock(); ok {
			all += bytes
		}
	}
	if all == 0 {
		return 0, errors.New("the kernel does not tell what maps take")
	}
	return all, nil
}

// heapBytes returns what lives on the heap. The resident set would say less: new
// objects lie in pages that the process has had before.
func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

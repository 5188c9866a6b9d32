// Package maps holds the pinned maps and the loaded programs of the data plane.
// Every key and value that it writes has a type generated from the C source.
package maps

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"longwire/bpf"
	"longwire/dataplane"
)

// DefaultCapacity is the number of sessions that the maps hold unless the
// configuration says otherwise.
const DefaultCapacity = 16384

// layout is the version of the map layout. It changes whenever the meaning of a
// pinned value changes, even if its size does not.
const layout = 2

// pinnedMaps are the maps that outlive the agent.
var pinnedMaps = []string{
	bpf.LongwireMapReceives, bpf.LongwireMapTransmits, bpf.LongwireMapNextHops, bpf.LongwireMapCounters,
	bpf.LongwireMapDrops, bpf.LongwireMapIdentities, bpf.LongwireMapSettings,
	bpf.LongwireMapVlans, bpf.LongwireMapEndpoints, bpf.LongwireMapSequences,
	bpf.LongwireMapReceiveCopies, bpf.LongwireMapTransmitCopies, bpf.LongwireMapEvents, bpf.LongwireMapPorts,
}

// ErrLayout is returned when pinned maps were made by another version or with
// another capacity. They are left as they are, since they may be forwarding.
var ErrLayout = errors.New("pinned maps have another layout")

// Options say where the maps are pinned and how much they hold.
type Options struct {
	PinDir   string // a directory on a bpffs; "" pins nothing, so that all goes with Close
	Capacity uint32 // sessions; 0 means DefaultCapacity
	Log      *slog.Logger
	Safe     Safe
	// Adjust, if there is one, changes the programs before they are loaded. It is
	// for tests, which make them wrong on purpose.
	Adjust func(*ebpf.CollectionSpec) error
}

// Safe are the ways to do without a feature of the kernel that is absent, or
// that is there and wrong. The zero value uses everything.
type Safe struct {
	// NoKernelContext makes the programs do without what only kernel 6.2 shows
	// them, as on an older kernel: IPv6/UDP frames take the helper pair.
	NoKernelContext bool
	// NoDecapFlags shrinks packets without the DECAP_L3 flags of kernel 6.3;
	// short frames are padded first. Super-frames are cut first as well: without
	// the flags a frame keeps the protocol of its outer packet, by which the
	// kernel could not cut it where it is delivered.
	NoDecapFlags bool
	// CutFirst sends every super-frame through the helper pair: none is
	// encapsulated whole.
	CutFirst bool
}

// Maps is the open data plane. Its methods may be called from any goroutine.
type Maps struct {
	objects bpf.LongwireObjects
	safe    Safe
	tick    time.Duration // of the programs' clock

	mu       sync.Mutex // guards what is below, and identities on their way to the kernel
	slots    map[string]uint32
	taken    map[uint32]bool // slots
	lastSlot uint32          // given out
	sessions map[uint32]bool // of identities
	places   map[uint32]bool // of their copies

	flows     map[dataplane.Flow]uint32
	indexes   map[uint32]bool // of next hops that flows have
	lastIndex uint32          // given out

	vlans     vlanIndex
	receives  *copies[bpf.LongwireReceive, bpf.LongwireReceiveCopy]
	transmits *copies[bpf.LongwireTransmit, bpf.LongwireTransmitCopy]
}

// Open opens the maps pinned in a directory, or makes and pins them, and loads
// the programs that work on them. Nothing is attached and no entry is touched.
func Open(o Options) (*Maps, error) {
	if o.Capacity == 0 {
		o.Capacity = DefaultCapacity
	}
	// Kernels before 5.11 count maps against this limit; later ones need nothing.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the locked-memory limit: %w (CAP_SYS_RESOURCE on kernels before 5.11)", err)
	}
	if o.PinDir != "" {
		if err := os.MkdirAll(o.PinDir, 0o700); err != nil {
			return nil, fmt.Errorf("create the pin directory: %w", err)
		}
	}
	tick, err := clockTick()
	if err != nil {
		return nil, err
	}
	m := &Maps{tick: tick}
	if err := m.load(o); err != nil {
		return nil, err
	}
	err = m.adopt()
	if o.PinDir != "" {
		err = errors.Join(err, m.pinPrograms(o.PinDir))
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// load loads maps and programs, with what the kernel can do set in the
// programs' constants.
func (m *Maps) load(o Options) error {
	flags, err := HaveDecapFlags()
	if err != nil {
		return err
	}
	o.Safe.NoDecapFlags = o.Safe.NoDecapFlags || !flags
	if err := HaveKernelContext(); err != nil && !o.Safe.NoKernelContext {
		o.Safe.NoKernelContext = true
		if o.Log != nil {
			o.Log.Warn("kernel does not show the skb to programs (it does from 6.2, with BTF); IPv6/UDP frames take the helper pair", "cause", err)
		}
	}
	m.safe = o.Safe
	return m.loadWith(o)
}

// KernelContext tells whether the programs can read the skb. If they cannot,
// the helper pair must fill in every checksum.
func (m *Maps) KernelContext() bool { return !m.safe.NoKernelContext }

// Safe returns what the loaded programs do without: what Open was told, and what
// it found absent.
func (m *Maps) Safe() Safe { return m.safe }

func (m *Maps) loadWith(o Options) error {
	spec, err := o.programs()
	if err != nil {
		return err
	}
	for _, name := range pinnedMaps {
		m := spec.Maps[name]
		if o.PinDir != "" {
			m.Pinning = ebpf.PinByName
		}
		switch name {
		case bpf.LongwireMapSettings, bpf.LongwireMapEndpoints, bpf.LongwireMapPorts:
		case bpf.LongwireMapReceiveCopies, bpf.LongwireMapTransmitCopies:
			m.MaxEntries = copiesFor(o.Capacity)
		case bpf.LongwireMapVlans:
			m.MaxEntries = max(o.Capacity, dataplane.MaxVID+1) // a port may have all
		case bpf.LongwireMapTransmits:
			m.MaxEntries = 2 * o.Capacity // each port of VLANs has an entry besides theirs
		case bpf.LongwireMapCounters, bpf.LongwireMapEvents, bpf.LongwireMapNextHops, bpf.LongwireMapSequences:
			m.MaxEntries = o.Capacity + 1 // the first is nobody's
		default:
			m.MaxEntries = o.Capacity
		}
	}
	options := ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: o.PinDir}}
	if o.Safe.NoKernelContext {
		if options.Programs.KernelTypes, err = noTypes(); err != nil {
			return err
		}
	}
	err = spec.LoadAndAssign(&m.objects, &options)
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		return fmt.Errorf("%w: %w; \"longwire uninstall\" removes them, and with them every session", ErrLayout, err)
	}
	if err != nil {
		return fmt.Errorf("load the programs: %w", explain(err))
	}
	return nil
}

// programs returns the programs with their constants set.
func (o Options) programs() (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadLongwire()
	if err != nil {
		return nil, fmt.Errorf("parse the embedded programs: %w", err)
	}
	for name, v := range map[string]any{
		bpf.LongwireVarKernelContext:    !o.Safe.NoKernelContext,
		bpf.LongwireVarDecapFlags:       !o.Safe.NoDecapFlags,
		bpf.LongwireVarWholeSuperFrames: !o.Safe.CutFirst && !o.Safe.NoDecapFlags,
		bpf.LongwireVarCopiesMask:       copiesFor(o.Capacity) - 1,
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	if o.Adjust != nil {
		if err := o.Adjust(spec); err != nil {
			return nil, fmt.Errorf("adjust the programs: %w", err)
		}
	}
	return spec, nil
}

// adopt checks the layout of the maps and learns which slots and next-hop
// indexes are taken.
func (m *Maps) adopt() error {
	var s bpf.LongwireSettings
	if err := m.objects.Settings.Lookup(uint32(0), &s); err != nil {
		return fmt.Errorf("read the settings map: %w", err)
	}
	switch s.Layout {
	case layout:
	case 0:
		s.Layout = layout
		if err := m.objects.Settings.Put(uint32(0), s); err != nil {
			return fmt.Errorf("write the settings map: %w", err)
		}
	default:
		return fmt.Errorf("%w: version %d, this is version %d; \"longwire uninstall\" of the version that made them removes them", ErrLayout, s.Layout, layout)
	}
	m.receives, m.transmits = newReceiveCopies(&m.objects), newTransmitCopies(&m.objects)
	return errors.Join(m.adoptSlots(), m.adoptFlows(), m.adoptVLANs(), m.receives.adopt(), m.transmits.adopt())
}

// programPrefix begins the names of pinned programs.
const programPrefix = "prog-"

// pinPrograms pins the programs, so that they can be looked at while no agent
// runs, each in the place of an older one in one step.
func (m *Maps) pinPrograms(dir string) error {
	p := m.objects.LongwirePrograms
	for name, prog := range map[string]*ebpf.Program{
		bpf.LongwireProgEncap: p.Encap, bpf.LongwireProgDecap: p.Decap,
		bpf.LongwireProgXdpEncap: p.XdpEncap, bpf.LongwireProgXdpDecap: p.XdpDecap,
		bpf.LongwireProgXdpEncapLarge: p.XdpEncapLarge, bpf.LongwireProgXdpDecapLarge: p.XdpDecapLarge,
		bpf.LongwireProgSegment: p.Segment, bpf.LongwireProgResolveNextHop: p.ResolveNextHop,
	} {
		path := filepath.Join(dir, programPrefix+name)
		aside := path + "-new"
		if err := os.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
		if err := prog.Pin(aside); err != nil {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
		if err := os.Rename(aside, path); err != nil {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
	}
	return nil
}

// Close closes the handles. Pinned maps stay, and attached programs go on.
func (m *Maps) Close() error { return errors.Join(m.settle(), m.objects.Close()) }

// settle writes the copies of sessions that had to wait for the programs.
func (m *Maps) settle() error {
	if m.transmits == nil {
		return nil // opened to look only, or not wholly
	}
	return errors.Join(m.receives.settle(), m.transmits.settle())
}

// Programs returns the loaded programs.
func (m *Maps) Programs() *bpf.LongwirePrograms { return &m.objects.LongwirePrograms }

// SetHelpers tells the programs the two ends of the helper pair, by ifindex.
func (m *Maps) SetHelpers(toSegment, toResolve int) error {
	return m.changeSettings(func(s *bpf.LongwireSettings) {
		s.ToSegment, s.ToResolve = uint32(toSegment), uint32(toResolve)
	})
}

// Pinned tells whether there are pinned maps in a directory.
func Pinned(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, bpf.LongwireMapSettings))
	return err == nil
}

// Unpin removes the pinned maps and programs from a directory; it succeeds when
// there are none.
func Unpin(dir string) error {
	pins, err := filepath.Glob(filepath.Join(dir, programPrefix+"*"))
	if err != nil {
		return fmt.Errorf("list the pinned programs: %w", err)
	}
	for _, name := range pinnedMaps {
		pins = append(pins, filepath.Join(dir, name))
	}
	var errs []error
	for _, pin := range pins {
		if err := os.Remove(pin); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("unpin: %w", err))
		}
	}
	return errors.Join(errs...)
}

// explain adds what to do to the errors that a user can do something about.
// CAP_PERFMON is for packet offsets that are known only at run time: without it
// the verifier refuses them, as a guard against speculative execution.
func explain(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed)", err)
	}
	return err
}

// full tells whether the kernel refused an entry because its map is full;
// cilium/ebpf words E2BIG in another way, but keeps the number.
func full(err error) bool { return errors.Is(err, errE2BIG) }

// Package tc puts the programs on interfaces, by TCX where the kernel has it
// and by a clsact qdisc elsewhere, with XDP in front of them where it is wanted,
// and owns the helper pair behind them.
package tc

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"longwire/dataplane"
	pinned "longwire/dataplane/maps"
)

// Mode says how programs are attached.
type Mode string

// The modes. ModeAuto is TCX where the kernel has it (6.6), else clsact.
const (
	ModeAuto   Mode = "auto"
	ModeTCX    Mode = "tcx"
	ModeClsact Mode = "clsact"
)

// Options are what Open needs.
type Options struct {
	PinDir   string // on a bpffs, which is mounted if it is /sys/fs/bpf and missing
	Capacity uint32 // sessions; 0 means 16,384
	Mode     Mode   // "" means ModeAuto
	Log      *slog.Logger
	Safe     pinned.Safe
	// Adjust: see maps.Options.
	Adjust func(*ebpf.CollectionSpec) error
}

// ErrBusy is returned when another process has the pin directory open.
var ErrBusy = errors.New("another process manages this data plane")

// Plane is the open data plane of the network namespace that Open ran in. What
// it attached and pinned goes on forwarding after Close.
type Plane struct {
	*pinned.Maps
	lock    *os.File
	log     *slog.Logger
	backend backend
	other   backend // the mode not chosen, from which attachments are taken over
	xdp     *links
	tags    tags

	mu      sync.Mutex
	without map[int]error // see WithoutXDP
}

// role is what a program does on an interface; its name is part of pins and of
// filter names.
type role string

const (
	roleEncap   role = "encap"
	roleDecap   role = "decap"
	roleSegment role = "segment"
	roleResolve role = "resolve"
)

// place is one interface with one program on its ingress.
type place struct {
	role    role
	ifindex int
}

// backend is one way to attach programs.
type backend interface {
	// attach makes sure that prog runs at p. It reports whether it had been
	// there before and was gone.
	attach(p place, prog *ebpf.Program) (repaired bool, err error)
	// places lists where our programs should be by the backend's own records.
	places() ([]place, error)
	// detach takes our program away; it succeeds when there is none.
	detach(p place) error
	close() error
}

// Open opens or makes the data plane: bpffs, helper pair, maps and programs.
func Open(o Options) (*Plane, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := ensureBPFFS(o.PinDir); err != nil {
		return nil, err
	}
	lock, err := lockDir(o.PinDir)
	if err != nil {
		return nil, err
	}
	m, err := pinned.Open(pinned.Options{PinDir: o.PinDir, Capacity: o.Capacity, Log: o.Log, Safe: o.Safe, Adjust: o.Adjust})
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	p := &Plane{Maps: m, lock: lock, log: o.Log, xdp: newXDP(o.PinDir), tags: tags{o.PinDir}}
	if err := p.chooseBackend(o); err != nil {
		return nil, errors.Join(err, m.Close(), lock.Close())
	}
	if _, err := p.ensureHelpers(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Plane) chooseBackend(o Options) error {
	x, c := newTCX(o.PinDir), newClsact()
	switch o.Mode {
	case ModeTCX:
		if err := HaveTCX(); err != nil {
			return fmt.Errorf("attach mode tcx needs Linux 6.6: %w; choose \"auto\" or \"clsact\"", err)
		}
		p.backend, p.other = x, c
	case ModeClsact:
		p.backend, p.other = c, x
	case ModeAuto, "":
		p.backend, p.other = x, c
		if err := HaveTCX(); err != nil {
			o.Log.Info("kernel has no TCX, attaching by clsact", "cause", err)
			p.backend, p.other = c, x
		}
	default:
		return fmt.Errorf("unknown attach mode %q: choose auto, tcx or clsact", o.Mode)
	}
	return nil
}

// ensureHelpers makes the helper pair and puts its two programs on it.
func (p *Plane) ensureHelpers() (map[place]*ebpf.Program, error) {
	h, err := ensureHelperPair(p.KernelContext())
	if err != nil {
		return nil, err
	}
	programs := map[place]*ebpf.Program{
		{roleResolve, h.resolve}: p.Programs().ResolveNextHop,
		{roleSegment, h.segment}: p.Programs().Segment,
	}
	for at, prog := range programs {
		if _, err := p.backend.attach(at, prog); err != nil {
			return nil, fmt.Errorf("attach %s to the helper pair: %w", at.role, err)
		}
	}
	// Sent out of one end, a frame arrives at the other.
	return programs, p.SetHelpers(h.resolve, h.segment)
}

// Attach implements dataplane.Attacher. It also repairs the helper pair, whose
// failure is reported under interface 0.
func (p *Plane) Attach(want dataplane.Attachments) (int, map[int]error) {
	wanted, err := p.ensureHelpers()
	if err != nil {
		return 0, map[int]error{0: err}
	}
	for _, i := range want.Circuits {
		wanted[place{roleEncap, i}] = p.Programs().Encap
	}
	for _, i := range want.Underlays {
		wanted[place{roleDecap, i}] = p.Programs().Decap
	}
	failed, repaired := map[int]error{}, 0
	for _, at := range slices.SortedFunc(maps.Keys(wanted), comparePlaces) {
		again, err := p.backend.attach(at, wanted[at])
		if err != nil {
			failed[at.ifindex] = fmt.Errorf("attach %s: %w", at.role, err)
		}
		if again {
			repaired++
		}
	}
	again, problems := p.attachXDP(want)
	for i, err := range problems {
		failed[i] = errors.Join(failed[i], err)
	}
	p.sweep(wanted, failed)
	return repaired + again, failed
}

// sweep takes our programs away from where they are no longer wanted, and from
// the mode not chosen, after the chosen one serves.
func (p *Plane) sweep(wanted map[place]*ebpf.Program, failed map[int]error) {
	for _, b := range []backend{p.backend, p.other} {
		found, err := b.places()
		if err != nil {
			failed[0] = errors.Join(failed[0], err)
		}
		for _, at := range found {
			if _, keep := wanted[at]; keep && b == p.backend {
				continue
			}
			if err := b.detach(at); err != nil {
				failed[at.ifindex] = errors.Join(failed[at.ifindex], fmt.Errorf("detach %s: %w", at.role, err))
			}
		}
	}
}

func comparePlaces(a, b place) int {
	if a.ifindex != b.ifindex {
		return a.ifindex - b.ifindex
	}
	if a.role < b.role {
		return -1
	}
	return 1
}

// Close closes our handles; forwarding goes on.
func (p *Plane) Close() error {
	return errors.Join(p.backend.close(), p.other.close(), p.xdp.close(), p.Maps.Close(), p.lock.Close())
}

// Uninstall takes away everything that Open and Attach made in this network
// namespace and under pinDir. It succeeds when nothing is there, and fails with
// ErrBusy while another process has the directory open.
func Uninstall(pinDir string) error {
	var errs []error
	if _, err := os.Stat(pinDir); err == nil {
		lock, err := lockDir(pinDir)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Close() }()
	}
	for _, b := range []backend{newXDP(pinDir), newClsact(), newTCX(pinDir)} {
		found, err := b.places()
		errs = append(errs, err)
		for _, at := range found {
			errs = append(errs, b.detach(at))
		}
		errs = append(errs, b.close())
	}
	errs = append(errs, tags{pinDir}.restoreOthers(nil), deleteHelperPair(), pinned.Unpin(pinDir))
	if err := os.Remove(pinDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove the pin directory: %w", err))
	}
	return errors.Join(errs...)
}

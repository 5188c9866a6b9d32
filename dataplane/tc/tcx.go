package tc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// tcx attaches by TCX links (kernel 6.6), each pinned as ROLE-IFINDEX.
type tcx struct {
	dir   string
	links map[place]link.Link
}

const linkPrefix = "link-"

func newTCX(pinDir string) *tcx { return &tcx{dir: pinDir, links: map[place]link.Link{}} }

// HaveTCX returns why programs cannot be attached by TCX (6.6), or nil. It tries
// it: a program that lets everything go on its way is attached to the loopback
// interface for a moment.
func HaveTCX() error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "MIT", AttachType: ebpf.AttachTCXIngress,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load a probe program: %w", err)
	}
	defer func() { _ = prog.Close() }()
	const loopback = 1
	l, err := link.AttachTCX(link.TCXOptions{Interface: loopback, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return err
	}
	return l.Close()
}

func (t *tcx) pin(p place) string {
	return filepath.Join(t.dir, fmt.Sprintf("%s%s-%d", linkPrefix, p.role, p.ifindex))
}

// attach puts prog at p. A link that is still attached gets the new program in
// one step; one whose interface went away, or that somebody detached, is
// replaced.
func (t *tcx) attach(p place, prog *ebpf.Program) (bool, error) {
	l, held := t.links[p]
	if !held {
		loaded, err := link.LoadPinnedLink(t.pin(p), nil)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("open the pinned link: %w", err)
		}
		if err == nil {
			l = loaded
		}
	}
	if l != nil {
		if attachedTo(l) == p.ifindex {
			if held && t.pinned(p) {
				return false, nil
			}
			if err := l.Update(prog); err != nil {
				return false, fmt.Errorf("update the link: %w", err)
			}
			return false, t.keep(p, l)
		}
		_ = l.Close()
		delete(t.links, p)
	}
	if err := t.unpin(p); err != nil {
		return false, err
	}
	fresh, err := link.AttachTCX(link.TCXOptions{Interface: p.ifindex, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return false, fmt.Errorf("attach by TCX: %w", err)
	}
	return l != nil, t.keep(p, fresh)
}

// keep pins a link, so that it outlives us, and holds it open.
func (t *tcx) keep(p place, l link.Link) error {
	t.links[p] = l
	if t.pinned(p) {
		return nil
	}
	// The library remembers a pin that somebody else removed, and would not
	// make it again.
	if err := l.Unpin(); err != nil {
		return fmt.Errorf("forget the removed pin: %w", err)
	}
	if err := l.Pin(t.pin(p)); err != nil {
		return fmt.Errorf("pin the link: %w", err)
	}
	return nil
}

func (t *tcx) pinned(p place) bool {
	_, err := os.Lstat(t.pin(p))
	return err == nil
}

// unpin removes the pin of a link that is of no use.
func (t *tcx) unpin(p place) error {
	if err := os.Remove(t.pin(p)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unpin the link: %w", err)
	}
	return nil
}

// attachedTo returns the interface of a link, 0 when it is detached.
func attachedTo(l link.Link) int {
	info, err := l.Info()
	if err != nil || info.TCX() == nil {
		return 0
	}
	return int(info.TCX().Ifindex)
}

func (t *tcx) places() ([]place, error) {
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the pinned links: %w", err)
	}
	var found []place
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), linkPrefix)
		r, index, cut := strings.Cut(name, "-")
		ifindex, err := strconv.Atoi(index)
		if ok && cut && err == nil {
			found = append(found, place{role(r), ifindex})
		}
	}
	return found, nil
}

// detach removes the last references to a link, which detaches it.
func (t *tcx) detach(p place) error {
	var err error
	if l, ok := t.links[p]; ok {
		err = l.Close()
		delete(t.links, p)
	}
	return errors.Join(err, t.unpin(p))
}

func (t *tcx) close() error {
	var errs []error
	for _, l := range t.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

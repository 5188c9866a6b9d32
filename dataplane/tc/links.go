package tc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// links attaches by BPF links, each pinned as PREFIX-ROLE-IFINDEX.
type links struct {
	dir, prefix string
	held        map[place]link.Link
	// fresh attaches a program by a new link.
	fresh func(ifindex int, prog *ebpf.Program) (link.Link, error)
}

func newLinks(pinDir, prefix string, fresh func(int, *ebpf.Program) (link.Link, error)) *links {
	return &links{dir: pinDir, prefix: prefix, held: map[place]link.Link{}, fresh: fresh}
}

func (s *links) pin(p place) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s%s-%d", s.prefix, p.role, p.ifindex))
}

// attach puts prog at p. A link that is still attached gets the new program in
// one step; one whose interface went away, or that somebody detached, is
// replaced.
func (s *links) attach(p place, prog *ebpf.Program) (bool, error) {
	l, held := s.held[p]
	if !held {
		loaded, err := link.LoadPinnedLink(s.pin(p), nil)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("open the pinned link: %w", err)
		}
		if err == nil {
			l = loaded
		}
	}
	if l != nil {
		if attachedTo(l) == p.ifindex {
			if held && s.pinned(p) {
				return false, nil
			}
			if err := l.Update(prog); err != nil {
				return false, fmt.Errorf("update the link: %w", err)
			}
			return false, s.keep(p, l)
		}
		_ = l.Close()
		delete(s.held, p)
	}
	if err := s.unpin(p); err != nil {
		return false, err
	}
	fresh, err := s.fresh(p.ifindex, prog)
	if err != nil {
		return false, err
	}
	return l != nil, s.keep(p, fresh)
}

// keep pins a link, so that it outlives us, and holds it open.
func (s *links) keep(p place, l link.Link) error {
	s.held[p] = l
	if s.pinned(p) {
		return nil
	}
	// The library remembers a pin that somebody else removed, and would not
	// make it again.
	if err := l.Unpin(); err != nil {
		return fmt.Errorf("forget the removed pin: %w", err)
	}
	if err := l.Pin(s.pin(p)); err != nil {
		return fmt.Errorf("pin the link: %w", err)
	}
	return nil
}

func (s *links) pinned(p place) bool {
	_, err := os.Lstat(s.pin(p))
	return err == nil
}

// unpin removes the pin of a link that is of no use.
func (s *links) unpin(p place) error {
	if err := os.Remove(s.pin(p)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unpin the link: %w", err)
	}
	return nil
}

// attachedTo returns the interface of a link, 0 when it is detached.
func attachedTo(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex)
	}
	if x := info.TCX(); x != nil {
		return int(x.Ifindex)
	}
	return 0
}

func (s *links) places() ([]place, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the pinned links: %w", err)
	}
	var found []place
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), s.prefix)
		r, index, cut := strings.Cut(name, "-")
		ifindex, err := strconv.Atoi(index)
		if ok && cut && err == nil {
			found = append(found, place{role(r), ifindex})
		}
	}
	return found, nil
}

// detach removes the last references to a link, which detaches it. The pin goes
// first: the kernel puts work off that a pin leaves, not what a handle does.
func (s *links) detach(p place) error {
	l, held := s.held[p]
	if !held {
		var err error
		if l, err = link.LoadPinnedLink(s.pin(p), nil); err != nil {
			return s.unpin(p)
		}
	}
	delete(s.held, p)
	return errors.Join(s.unpin(p), l.Close())
}

func (s *links) close() error {
	var errs []error
	for _, l := range s.held {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

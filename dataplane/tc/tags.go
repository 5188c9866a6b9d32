package tc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// tags keeps the outermost VLAN tag in the frames that an XDP program sees,
// where a driver would take it out. Before an offload is switched off, its name
// is kept in the target of a symbolic link in the pin directory, so that whoever
// detaches the program, be it after a crash, can switch it on again.
type tags struct{ dir string }

const tagsPrefix = "tags-"

// vlanStripping are the offloads that take tags out.
var vlanStripping = []string{"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"}

func (t tags) path(ifindex int) string { return filepath.Join(t.dir, tagsPrefix+strconv.Itoa(ifindex)) }

// keep switches the offloads of an interface off.
func (t tags) keep(ifindex int) error {
	name, on, err := stripping(ifindex)
	if err != nil || len(on) == 0 {
		return err
	}
	if err := t.remember(ifindex, on); err != nil {
		return err
	}
	return change(name, on, false)
}

// stripping returns an interface's name and which of the offloads are on. It
// fails if one of them cannot be switched off.
func stripping(ifindex int) (name string, on []string, err error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return "", nil, fmt.Errorf("find interface %d: %w", ifindex, err)
	}
	name = l.Attrs().Name
	e, err := ethtool.NewEthtool()
	if err != nil {
		return name, nil, fmt.Errorf("open ethtool: %w", err)
	}
	defer e.Close()
	features, err := e.FeaturesWithState(name)
	if err != nil {
		return name, nil, fmt.Errorf("list the offloads of %s: %w", name, err)
	}
	for _, f := range vlanStripping {
		switch state := features[f]; {
		case !state.Active:
		case !state.Available || state.NeverChanged:
			return name, nil, errors.New("its driver takes VLAN tags out of the frames, always")
		default:
			on = append(on, f)
		}
	}
	return name, on, nil
}

func change(name string, features []string, on bool) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("open ethtool: %w", err)
	}
	defer e.Close()
	config := make(map[string]bool, len(features))
	for _, f := range features {
		config[f] = on
	}
	if err := e.Change(name, config); err != nil {
		return fmt.Errorf("change the VLAN offloads of %s: %w", name, err)
	}
	return nil
}

// remember adds to what is to be switched on again.
func (t tags) remember(ifindex int, on []string) error {
	before, err := t.remembered(ifindex)
	if err != nil {
		return err
	}
	all := slices.Compact(slices.Sorted(slices.Values(append(before, on...))))
	if slices.Equal(all, before) {
		return nil
	}
	aside := t.path(ifindex) + "-new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remember the VLAN offloads: %w", err)
	}
	if err := os.Symlink(strings.Join(all, ","), aside); err != nil {
		return fmt.Errorf("remember the VLAN offloads: %w", err)
	}
	if err := os.Rename(aside, t.path(ifindex)); err != nil {
		return fmt.Errorf("remember the VLAN offloads: %w", err)
	}
	return nil
}

func (t tags) remembered(ifindex int) ([]string, error) {
	names, err := os.Readlink(t.path(ifindex))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the VLAN offloads: %w", err)
	}
	return strings.Split(names, ","), nil
}

// restore switches on again what keep has switched off. An interface that is
// gone has taken its offloads with it.
func (t tags) restore(ifindex int) error {
	names, err := t.remembered(ifindex)
	if err != nil || names == nil {
		return err
	}
	l, err := netlink.LinkByIndex(ifindex)
	switch {
	case errors.As(err, &netlink.LinkNotFoundError{}):
	case err != nil:
		return fmt.Errorf("find interface %d: %w", ifindex, err)
	default:
		if err := change(l.Attrs().Name, names, true); err != nil {
			return err
		}
	}
	if err := os.Remove(t.path(ifindex)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the VLAN offloads: %w", err)
	}
	return nil
}

// restoreOthers does so for all interfaces but those to keep.
func (t tags) restoreOthers(keep map[int]bool) error {
	changed, err := t.changed()
	errs := []error{err}
	for _, i := range changed {
		if !keep[i] {
			errs = append(errs, t.restore(i))
		}
	}
	return errors.Join(errs...)
}

// changed lists the interfaces whose offloads are to be switched on again.
func (t tags) changed() ([]int, error) {
	paths, err := filepath.Glob(filepath.Join(t.dir, tagsPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("list the VLAN offloads: %w", err)
	}
	var all []int
	for _, path := range paths {
		if i, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), tagsPrefix)); err == nil {
			all = append(all, i)
		}
	}
	return all, nil
}

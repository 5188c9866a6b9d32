package tc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// clsact attaches by a direct-action filter on a clsact qdisc. The filter holds
// the program, so nothing needs to be pinned.
type clsact struct {
	served map[place]bool
}

// Our filters are found again by name, and replaced by handle and priority.
const (
	filterPrefix   = "longwire_"
	filterHandle   = 1
	filterPriority = 0x4c57
)

func newClsact() *clsact { return &clsact{served: map[place]bool{}} }

func (c *clsact) attach(p place, prog *ebpf.Program) (bool, error) {
	link, err := netlink.LinkByIndex(p.ifindex)
	if err != nil {
		return false, fmt.Errorf("find interface %d: %w", p.ifindex, err)
	}
	info, err := prog.Info()
	if err != nil {
		return false, fmt.Errorf("read the program's id: %w", err)
	}
	id, _ := info.ID()
	if current, err := ourFilter(link, p.role); err != nil {
		return false, err
	} else if current != nil && current.Id == int(id) {
		c.served[p] = true
		return false, nil
	}
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: p.ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := netlink.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return false, fmt.Errorf("add a clsact qdisc: %w", err)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: p.ifindex, Parent: netlink.HANDLE_MIN_INGRESS, Handle: filterHandle,
			Priority: filterPriority, Protocol: unix.ETH_P_ALL,
		},
		Fd: prog.FD(), Name: filterPrefix + string(p.role), DirectAction: true,
	}
	if err := netlink.FilterReplace(filter); err != nil {
		return false, fmt.Errorf("add a bpf filter: %w", err)
	}
	repaired := c.served[p]
	c.served[p] = true
	return repaired, nil
}

// ourFilter returns our filter on a link's ingress, nil when there is none.
func ourFilter(link netlink.Link, r role) (*netlink.BpfFilter, error) {
	filters, err := netlink.FilterList(link, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return nil, fmt.Errorf("list the filters of %s: %w", link.Attrs().Name, err)
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == filterPrefix+string(r) {
			return b, nil
		}
	}
	return nil, nil
}

func (c *clsact) places() ([]place, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var found []place
	for _, l := range links {
		filters, err := netlink.FilterList(l, netlink.HANDLE_MIN_INGRESS)
		if err != nil {
			continue // gone since it was listed
		}
		for _, f := range filters {
			b, ok := f.(*netlink.BpfFilter)
			if !ok {
				continue
			}
			if name, ours := strings.CutPrefix(b.Name, filterPrefix); ours {
				found = append(found, place{role(name), l.Attrs().Index})
			}
		}
	}
	return found, nil
}

// detach removes the filter, and the qdisc when nothing else uses it.
func (c *clsact) detach(p place) error {
	delete(c.served, p)
	link, err := netlink.LinkByIndex(p.ifindex)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil // an interface that is gone has no filter
	}
	if err != nil {
		return fmt.Errorf("find interface %d: %w", p.ifindex, err)
	}
	filter, err := ourFilter(link, p.role)
	if err != nil || filter == nil {
		return err
	}
	if err := netlink.FilterDel(filter); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete the bpf filter: %w", err)
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		rest, err := netlink.FilterList(link, parent)
		if err != nil || len(rest) > 0 {
			return err
		}
	}
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: p.ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := netlink.QdiscDel(qdisc); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("delete the clsact qdisc: %w", err)
	}
	return nil
}

func (c *clsact) close() error { return nil }

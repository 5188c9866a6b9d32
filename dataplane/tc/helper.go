package tc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// HelperSegment is the end of the helper pair whose ingress encapsulates. What
// leaves it arrives at the other end, which also decapsulates what is marked
// MARK_DECAP (bpf/consts.h).
const HelperSegment = "longwire1"

// The helper pair is a veth pair of our own. What needs the kernel's stack goes
// through it: super-frames to be cut, since it has no segmentation offload, and
// packets whose next hop is not leased, since behind it the kernel takes them
// for the IP packets that they have become.
const (
	helperResolve = "longwire0" // its ingress routes
	helperSegment = HelperSegment

	helperMTU = 65535 // bytes; nothing that gets here may be too big for it
)

// helpers are the pair's ifindexes.
type helpers struct {
	resolve, segment int
}

// noOffloads are the features that the pair must not have, else it passes
// super-frames on uncut.
var noOffloads = []string{
	"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
	"tx-tcp-mangleid-segmentation", "tx-udp-segmentation", "tx-gso-list",
}

// checksumOffload goes as well where the programs must see every checksum, and
// always on the way to the routing end: what is fragmented behind it must have
// no checksum left to fill in.
const checksumOffload = "tx-checksum-ip-generic"

// ensureHelperPair makes the pair unless it is there and up. One that was made
// when the programs could see checksums loses that offload when they no longer
// can; the other way round it keeps working as it is.
func ensureHelperPair(checksums bool) (helpers, error) {
	a, errA := netlink.LinkByName(helperResolve)
	b, errB := netlink.LinkByName(helperSegment)
	if errA == nil && errB == nil && a.Type() == "veth" && a.Attrs().ParentIndex == b.Attrs().Index &&
		isUp(a) && isUp(b) {
		h := helpers{a.Attrs().Index, b.Attrs().Index}
		if checksums {
			return h, nil
		}
		return h, errors.Join(withoutOffloads(helperResolve, false), withoutOffloads(helperSegment, false))
	}
	if err := deleteHelperPair(); err != nil {
		return helpers{}, err
	}
	return makeHelperPair(checksums)
}

func isUp(l netlink.Link) bool { return l.Attrs().RawFlags&1 != 0 }

func makeHelperPair(checksums bool) (helpers, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = helperResolve, helperMTU
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: helperSegment, PeerMTU: helperMTU}); err != nil {
		return helpers{}, fmt.Errorf("make the helper pair %s and %s: %w (CAP_NET_ADMIN and the veth driver are needed)", helperResolve, helperSegment, err)
	}
	var index [2]int
	for i, name := range []string{helperResolve, helperSegment} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return helpers{}, fmt.Errorf("find %s: %w", name, err)
		}
		index[i] = l.Attrs().Index
		if err := prepareHelper(l, checksums); err != nil {
			return helpers{}, errors.Join(fmt.Errorf("prepare %s: %w", name, err), deleteHelperPair())
		}
	}
	return helpers{index[0], index[1]}, nil
}

// prepareHelper silences an end and takes its offloads away. The kernel's
// forwarding lookup wants forwarding on for the interface that it asks about,
// which is this one alone: the host's own setting is not touched.
func prepareHelper(l netlink.Link, checksums bool) error {
	name := l.Attrs().Name
	for key, value := range map[string]string{
		"ipv6/conf/" + name + "/addr_gen_mode": "1", // no link-local address
		"ipv6/conf/" + name + "/forwarding":    "1",
		"ipv4/conf/" + name + "/forwarding":    "1",
	} {
		err := os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // absent where IPv6 is
			return err
		}
	}
	if err := withoutOffloads(name, checksums && name != helperSegment); err != nil {
		return err
	}
	if err := netlink.LinkSetARPOff(l); err != nil {
		return fmt.Errorf("turn ARP off: %w", err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	return nil
}

func withoutOffloads(name string, checksums bool) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("open ethtool: %w", err)
	}
	defer e.Close()
	known, err := e.FeatureNames(name)
	if err != nil {
		return fmt.Errorf("list its offloads: %w", err)
	}
	off := map[string]bool{}
	for _, f := range noOffloads {
		if _, ok := known[f]; ok {
			off[f] = false
		}
	}
	if !checksums {
		off[checksumOffload] = false
	}
	if err := e.Change(name, off); err != nil {
		return fmt.Errorf("turn its offloads off: %w", err)
	}
	return nil
}

// deleteHelperPair deletes either end, and with it the other.
func deleteHelperPair() error {
	for _, name := range []string{helperResolve, helperSegment} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			continue
		}
		if err := netlink.LinkDel(l); err != nil {
			return fmt.Errorf("delete %s: %w", name, err)
		}
	}
	return nil
}

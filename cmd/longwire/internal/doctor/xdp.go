package doctor

import (
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// xdp lists what drivers say of themselves. It is for information: the tc
// programs do everything.
func (h *host) xdp() finding {
	names := h.underlays()
	for _, pw := range h.cfg.Pseudowires {
		if !slices.Contains(names, pw.Interface) {
			names = append(names, pw.Interface)
		}
	}
	var notes []string
	for _, name := range names {
		i, err := net.InterfaceByName(name)
		if err != nil {
			continue // not there; that is another check's
		}
		switch native, err := nativeXDP(i.Index); {
		case err != nil:
			notes = append(notes, fmt.Sprintf("%s unknown: %v", name, err))
		case native:
			notes = append(notes, name+" native")
		default:
			notes = append(notes, name+" none")
		}
	}
	return ok(notes...)
}

// Of the netdev netlink family and enum netdev_xdp_act, include/uapi/linux/netdev.h
// (6.3).
const (
	netdevGet      = 1
	netdevIfindex  = 1
	netdevFeatures = 3
	xdpBasic       = 1
	xdpRedirect    = 2
)

// genericHeader is struct genlmsghdr: command, version and two bytes of zero.
type genericHeader [nl.SizeofGenlmsg]byte

// Len implements nl.NetlinkRequestData.
func (g genericHeader) Len() int { return len(g) }

// Serialize implements nl.NetlinkRequestData.
func (g genericHeader) Serialize() []byte { return g[:] }

// nativeXDP says whether an interface's driver runs XDP programs, and lets them
// redirect.
func nativeXDP(ifindex int) (bool, error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return false, fmt.Errorf("ask the kernel for its XDP features: %w", err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(genericHeader{netdevGet, 1})
	req.AddData(nl.NewRtAttr(netdevIfindex, nl.Uint32Attr(uint32(ifindex))))
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return false, fmt.Errorf("ask for the XDP features: %w", err)
	}
	for _, m := range messages {
		attributes, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return false, fmt.Errorf("read the XDP features: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type == netdevFeatures && len(a.Value) >= 8 {
				return nl.NativeEndian().Uint64(a.Value)&(xdpBasic|xdpRedirect) == xdpBasic|xdpRedirect, nil
			}
		}
	}
	return false, nil
}

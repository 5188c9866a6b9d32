package tc

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// xdpFeatures is what an interface can do with XDP, as its driver announces it
// now (enum netdev_xdp_act of include/uapi/linux/netdev.h).
type xdpFeatures uint64

const (
	xdpBasic    xdpFeatures = 1 << 0 // programs run in the driver
	xdpRedirect xdpFeatures = 1 << 1 // and may send frames out of other interfaces
	xdpTransmit xdpFeatures = 1 << 2 // it takes frames from programs of others
)

// netdevFamily is the generic netlink family that knows them; it is the same
// one for as long as the kernel runs.
var netdevFamily = sync.OnceValues(func() (uint16, error) {
	f, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return 0, fmt.Errorf("ask for the netdev netlink family (the kernel has it from 6.3): %w", err)
	}
	return f.ID, nil
})

// Command and attributes of that family.
const (
	netdevGetDevice   = 1
	netdevIfindex     = 1
	netdevXDPFeatures = 3
)

// genericHeader is struct genlmsghdr: command, version and two bytes that must be
// zero. The library's own leaves what is in memory in those.
type genericHeader [nl.SizeofGenlmsg]byte

// Len implements nl.NetlinkRequestData.
func (h genericHeader) Len() int { return len(h) }

// Serialize implements nl.NetlinkRequestData.
func (h genericHeader) Serialize() []byte { return h[:] }

// featuresOf asks for the XDP features of an interface. They change: many
// drivers take frames only while a program of their own runs, and a veth only
// while its other end looks for them.
func featuresOf(ifindex int) (xdpFeatures, error) {
	family, err := netdevFamily()
	if err != nil {
		return 0, err
	}
	req := nl.NewNetlinkRequest(int(family), 0)
	req.AddData(genericHeader{netdevGetDevice, 1})
	req.AddData(nl.NewRtAttr(netdevIfindex, nl.Uint32Attr(uint32(ifindex))))
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for the XDP features of interface %d: %w", ifindex, err)
	}
	for _, m := range msgs {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return 0, fmt.Errorf("parse the XDP features of interface %d: %w", ifindex, err)
		}
		for _, a := range attrs {
			if a.Attr.Type == netdevXDPFeatures && len(a.Value) >= 8 {
				return xdpFeatures(nl.NativeEndian().Uint64(a.Value)), nil
			}
		}
	}
	return 0, errors.New("the kernel names no XDP features")
}

// errNoNative is why an interface goes without XDP: the generic kind would be
// slower than tc.
var errNoNative = errors.New("its driver has no native XDP, or none that may redirect")

// native returns why no XDP program of ours can run on an interface, or nil.
func (f xdpFeatures) native() error {
	if f&(xdpBasic|xdpRedirect) != xdpBasic|xdpRedirect {
		return errNoNative
	}
	return nil
}

// NativeXDP implements dataplane.XDP: the driver has native XDP, and the device
// is the machine's or the hypervisor's. The kernel's own virtual devices, such as
// veth and tap, need not compute checksums nor put tags into the frames, which
// XDP programs cannot do without.
func (p *Plane) NativeXDP(ifindex int) bool {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil || l.Attrs().ParentDev == "" {
		return false
	}
	f, err := featuresOf(ifindex)
	return err == nil && f.native() == nil
}

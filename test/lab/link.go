package lab

import (
	"errors"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultMTU is the MTU of links that no one has set, in bytes of Ethernet
// payload.
const DefaultMTU = 1500

// Veth joins two namespaces by a pair of virtual Ethernet devices, both up.
func (l *Lab) Veth(a *Namespace, aName string, b *Namespace, bName string, mtu int) {
	l.tb.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = aName, mtu
	pair := &netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      bName,
		PeerNamespace: netlink.NsFd(int(b.ns)),
		PeerMTU:       uint32(mtu),
	}
	if err := a.handle.LinkAdd(pair); err != nil {
		l.tb.Fatalf("add veth %s/%s to %s/%s: %v", a.Role, aName, b.Role, bName, err)
	}
	a.Up(aName)
	b.Up(bName)
}

// link returns a device of the namespace and ends the test without it.
func (n *Namespace) link(dev string) netlink.Link {
	n.lab.tb.Helper()
	link, err := n.handle.LinkByName(dev)
	if err != nil {
		n.lab.tb.Fatalf("%s: device %s: %v", n.Role, dev, err)
	}
	return link
}

// check ends the test on an error of a netlink operation.
func (n *Namespace) check(err error, what string) {
	n.lab.tb.Helper()
	if err != nil {
		n.lab.tb.Fatalf("%s: %s: %v", n.Role, what, err)
	}
}

// Up sets a device up.
func (n *Namespace) Up(dev string) {
	n.lab.tb.Helper()
	n.check(n.handle.LinkSetUp(n.link(dev)), "set "+dev+" up")
}

// Down sets a device down; a veth's other end loses its carrier.
func (n *Namespace) Down(dev string) {
	n.lab.tb.Helper()
	n.check(n.handle.LinkSetDown(n.link(dev)), "set "+dev+" down")
}

// DeleteLink removes a device, and with a veth its other end.
func (n *Namespace) DeleteLink(dev string) {
	n.lab.tb.Helper()
	n.check(n.handle.LinkDel(n.link(dev)), "delete "+dev)
}

// MTU sets a device's MTU in bytes of Ethernet payload.
func (n *Namespace) MTU(dev string, mtu int) {
	n.lab.tb.Helper()
	n.check(n.handle.LinkSetMTU(n.link(dev), mtu), "set the MTU of "+dev)
}

// MAC returns a device's hardware address.
func (n *Namespace) MAC(dev string) net.HardwareAddr {
	n.lab.tb.Helper()
	return n.link(dev).Attrs().HardwareAddr
}

// SetMAC changes a device's hardware address.
func (n *Namespace) SetMAC(dev string, mac net.HardwareAddr) {
	n.lab.tb.Helper()
	n.check(n.handle.LinkSetHardwareAddr(n.link(dev), mac), "set the address of "+dev)
}

// Index returns a device's interface index.
func (n *Namespace) Index(dev string) int {
	n.lab.tb.Helper()
	return n.link(dev).Attrs().Index
}

// Address puts an address with its prefix, "10.0.0.1/24", on a device.
func (n *Namespace) Address(dev, prefix string) {
	n.lab.tb.Helper()
	addr, err := netlink.ParseAddr(prefix)
	n.check(err, "address "+prefix)
	n.check(n.handle.AddrAdd(n.link(dev), addr), "add "+prefix+" to "+dev)
}

// Route sends a prefix to a gateway, in place of any route that it had.
func (n *Namespace) Route(prefix, gateway string) {
	n.lab.tb.Helper()
	dst, err := netlink.ParseIPNet(prefix)
	n.check(err, "route "+prefix)
	via := net.ParseIP(gateway)
	n.check(n.handle.RouteReplace(&netlink.Route{Dst: dst, Gw: via}),
		"route "+prefix+" via "+gateway)
}

// DeleteRoute removes the route to a prefix.
func (n *Namespace) DeleteRoute(prefix string) {
	n.lab.tb.Helper()
	dst, err := netlink.ParseIPNet(prefix)
	n.check(err, "route "+prefix)
	n.check(n.handle.RouteDel(&netlink.Route{Dst: dst}), "delete the route to "+prefix)
}

// FlushNeighbours empties the neighbour tables of a device, both families.
func (n *Namespace) FlushNeighbours(dev string) {
	n.lab.tb.Helper()
	link := n.link(dev)
	neighbours, err := n.handle.NeighList(link.Attrs().Index, 0)
	n.check(err, "list the neighbours of "+dev)
	for _, neighbour := range neighbours {
		if neighbour.State&(netlink.NUD_NOARP|netlink.NUD_PERMANENT) == 0 {
			// The kernel may have dropped the entry since.
			_ = n.handle.NeighDel(&neighbour)
		}
	}
}

// Links lists the names of the namespace's devices.
func (n *Namespace) Links() []string {
	n.lab.tb.Helper()
	links, err := n.handle.LinkList()
	n.check(err, "list devices")
	var names []string
	for _, link := range links {
		names = append(names, link.Attrs().Name)
	}
	return names
}

// segmentation are the ethtool features that let a device's stack hand it
// frames larger than its MTU or without a final checksum.
var segmentation = []string{"tx", "sg", "tso", "gso", "gro", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"}

// Offloads switches a device's checksum and segmentation offloads on or off.
// Off, the kernel cuts and checksums every frame before the device sees it, as
// it does for any card that knows nothing of tunnels.
func (n *Namespace) Offloads(dev string, on bool) {
	n.lab.tb.Helper()
	word := "off"
	if on {
		word = "on"
	}
	argv := []string{"ethtool", "-K", dev}
	for _, feature := range segmentation {
		argv = append(argv, feature, word)
	}
	n.Run(argv...)
}

// TCX counts the programs on the TCX ingress hook of a device. It is 0 on a
// kernel without that hook.
func (n *Namespace) TCX(dev string) int {
	n.lab.tb.Helper()
	index, count := n.Index(dev), 0
	err := n.Do(func() error {
		result, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			count = len(result.Programs)
		}
		// Older kernels do not know the hook's number.
		if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL) {
			return nil
		}
		return err
	})
	n.check(err, "query TCX on "+dev)
	return count
}

package selftest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
	"longwire/dataplane/tc"
)

// world is a private network: the data plane in the edge namespace, where both ends
// of one pseudowire are, and outside of it the customers and a router between the
// underlays. What the far end receives is addressed to it, but the address is on no
// interface: the kernel would not send it out otherwise.
//
//	| outside |            edge             |  outside   |    edge     |    outside |
//	  a ------- ac-a  [encap]  ul-a --------- r-a    r-b --- ul-b [decap] ac-b ----- b
type world struct {
	edge, outside *os.File
	index         map[string]int
	plane         *tc.Plane
	closed        bool

	a         *port // sends as customer A
	b         *port // sees what customer B gets
	underlay  *port // sees what arrives at the far end
	atHelper  *port // sees what arrives at the helper pair
	toHelper  *port // sends into it
	patience  time.Duration
	v6        bool
	routerMAC net.HardwareAddr
}

// The interfaces.
const (
	customerPortA, customerPortB = "a", "b"
	circuitA, circuitB           = "ac-a", "ac-b"
	underlayA, underlayB         = "ul-a", "ul-b"
	routerA, routerB             = "r-a", "r-b"
)

var pairs = [][2]string{{circuitA, customerPortA}, {circuitB, customerPortB}, {underlayA, routerA}, {underlayB, routerB}}

// newWorld makes the network, without a data plane.
func newWorld(p *private, patience time.Duration) (*world, error) {
	w := &world{index: map[string]int{}, patience: patience}
	var err error
	if w.outside, err = p.network(); err != nil {
		return nil, err
	}
	if err := errors.Join(quiet(), up("lo")); err != nil {
		return nil, err
	}
	if w.edge, err = p.network(); err != nil {
		return nil, err
	}
	if err := errors.Join(quiet(), up("lo")); err != nil {
		return nil, err
	}
	_, err = os.Stat("/proc/sys/net/ipv6/conf/all")
	w.v6 = err == nil
	for _, pair := range pairs {
		if err := w.join(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return w, errors.Join(w.in(w.outside, w.address), w.in(w.edge, w.route), w.in(w.edge, w.openPorts), w.in(w.outside, w.openCustomers))
}

// quiet keeps IPv6 from sending and waiting on its own account. A new namespace has
// the host's settings of IPv4, and sometimes of IPv6: what an operator has chosen
// there must not be taken for the kernel's behaviour.
func quiet() error {
	for _, scope := range []string{"all", "default"} {
		for key, value := range map[string]string{
			"ipv6/conf/%s/accept_dad": "0", "ipv6/conf/%s/accept_ra": "0", "ipv6/conf/%s/router_solicitations": "0",
			"ipv6/conf/%s/disable_ipv6": "0", "ipv6/conf/%s/disable_policy": "0",
			"ipv4/conf/%s/rp_filter": "0", "ipv4/conf/%s/arp_ignore": "0", "ipv4/conf/%s/arp_filter": "0",
			"ipv4/conf/%s/arp_announce": "0", "ipv4/conf/%s/disable_policy": "0",
		} {
			if err := sysctl(fmt.Sprintf(key, scope), value); err != nil {
				return err
			}
		}
	}
	return nil
}

func sysctl(key, value string) error {
	err := os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "ipv6") {
		return nil // a kernel without IPv6
	}
	return err
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.LinkSetUp(l)
}

// in runs f in a namespace and leaves the thread there.
func (w *world) in(ns *os.File, f func() error) error {
	if err := enter(ns); err != nil {
		return err
	}
	return f()
}

// join makes a pair with one end here, in the edge namespace, and one outside.
func (w *world) join(here, there string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = here, underlayMTU
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: there, PeerMTU: underlayMTU, PeerNamespace: netlink.NsFd(int(w.outside.Fd()))}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the pair %s and %s: %w", here, there, err)
	}
	if err := w.learn(here); err != nil {
		return err
	}
	if err := w.in(w.outside, func() error { return w.learn(there) }); err != nil {
		return err
	}
	return enter(w.edge)
}

// silent are the ends of the circuits. With IPv6 they would report the multicast
// groups that they listen to (RFC 3810), at times of the kernel's choice, and these
// frames would cross like any other.
var silent = []string{circuitA, circuitB, customerPortA, customerPortB}

func (w *world) learn(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	w.index[name] = l.Attrs().Index
	if slices.Contains(silent, name) {
		if err := sysctl(fmt.Sprintf("ipv6/conf/%s/disable_ipv6", name), "1"); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

// carriers are those whose family the kernel has.
func (w *world) carriers() []carrier {
	all := []carrier{{}, {udp: true}}
	if w.v6 {
		all = append(all, carrier{v6: true}, carrier{v6: true, udp: true})
	}
	return all
}

// networks are the underlay's: a router's address in each, and the far end's.
var networks = []struct{ edge, routerA, routerB, far string }{
	{"192.0.2.1/24", "192.0.2.254/24", "198.51.100.254/24", "198.51.100.2"},
	{"fd00:4c57:1::1/64", "fd00:4c57:1::fe/64", "fd00:4c57:2::fe/64", "fd00:4c57:2::2"},
}

func (w *world) families() int {
	if w.v6 {
		return len(networks)
	}
	return 1
}

// address makes the router: it knows the far end's neighbour entry.
func (w *world) address() error {
	far, err := w.mac(w.edge, underlayB)
	if err != nil {
		return err
	}
	if w.routerMAC, err = w.mac(w.outside, routerA); err != nil {
		return err
	}
	for _, n := range networks[:w.families()] {
		err := errors.Join(w.assign(routerA, n.routerA), w.assign(routerB, n.routerB), netlink.NeighSet(&netlink.Neigh{
			LinkIndex: w.index[routerB], IP: net.ParseIP(n.far), HardwareAddr: far, State: netlink.NUD_PERMANENT,
		}))
		if err != nil {
			return fmt.Errorf("make the router: %w", err)
		}
	}
	return errors.Join(sysctl("ipv4/ip_forward", "1"), sysctl("ipv6/conf/all/forwarding", "1"))
}

// mac reads a hardware address and leaves the thread outside.
func (w *world) mac(ns *os.File, name string) (mac net.HardwareAddr, err error) {
	err = w.in(ns, func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		mac = l.Attrs().HardwareAddr
		return nil
	})
	return mac, errors.Join(err, enter(w.outside))
}

func (w *world) assign(name, prefix string) error {
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	addr.Flags = unix.IFA_F_NODAD
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: w.index[name], Name: name}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, prefix, err)
	}
	return nil
}

// route makes the edge's way to the far end, by a device that cannot cut or sum:
// then every packet on the wire has to be right as it is.
func (w *world) route() error {
	for _, n := range networks[:w.families()] {
		if err := w.assign(underlayA, n.edge); err != nil {
			return err
		}
		_, to, err := net.ParseCIDR(n.routerB)
		if err != nil {
			return err
		}
		gateway, _, err := net.ParseCIDR(n.routerA)
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: to, Gw: gateway}); err != nil {
			return fmt.Errorf("route %s: %w", to, err)
		}
	}
	return w.offloads(underlayA, false)
}

// offloads switches what a device does for the stack, in the thread's namespace.
func (w *world) offloads(name string, on bool) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("open ethtool: %w", err)
	}
	defer e.Close()
	known, err := e.Features(name)
	if err != nil {
		return fmt.Errorf("list the offloads of %s: %w", name, err)
	}
	change := map[string]bool{}
	for feature := range known {
		if feature == "tx-checksum-ip-generic" || feature == "tx-scatter-gather" || strings.HasPrefix(feature, "tx-") && strings.HasSuffix(feature, "segmentation") {
			change[feature] = on
		}
	}
	if err := e.Change(name, change); err != nil {
		return fmt.Errorf("switch the offloads of %s: %w", name, err)
	}
	return nil
}

func (w *world) openCustomers() (err error) {
	if w.a, err = openPort(w.index[customerPortA], true); err != nil {
		return err
	}
	w.b, err = openPort(w.index[customerPortB], false)
	return err
}

func (w *world) openPorts() (err error) {
	w.underlay, err = openPort(w.index[underlayB], false)
	return err
}

// open opens the data plane of the edge, or opens it anew with other options, and
// attaches it.
func (w *world) open(o tc.Options) error {
	if err := w.closePlane(); err != nil {
		return err
	}
	o.PinDir, o.Capacity = filepath.Join(pinRoot, "longwire"), 64
	return w.in(w.edge, func() (err error) {
		w.plane, err = tc.Open(o)
		w.closed = err != nil
		return err
	})
}

// attach puts the programs on circuits and underlays.
func (w *world) attach() error {
	return w.in(w.edge, func() error {
		_, failed := w.plane.Attach(dataplane.Attachments{
			Circuits: []int{w.index[circuitA], w.index[circuitB]}, Underlays: []int{w.index[underlayA], w.index[underlayB]},
		})
		for index, err := range failed {
			return fmt.Errorf("interface %d: %w", index, err)
		}
		return nil
	})
}

// carry makes one carrier the pseudowire's, and leases the next hop or leaves
// it to the kernel.
func (w *world) carry(c carrier, leased bool) error {
	err := errors.Join(w.plane.PutReceive(c.receive(w.index[circuitB])), w.plane.PutTransmit(c.transmit(w.index[circuitA])))
	if err != nil || !leased {
		return errors.Join(err, w.plane.Revoke(c.flow()))
	}
	hop := dataplane.NextHop{IfIndex: w.index[underlayA], MTU: underlayMTU}
	copy(hop.Destination[:], w.routerMAC)
	return w.plane.Lease(c.flow(), hop)
}

func (w *world) closePlane() error {
	if w.plane == nil || w.closed {
		return nil
	}
	w.closed = true
	return w.plane.Close()
}

// close gives everything back but the namespaces, which go with their thread.
func (w *world) close() {
	for _, p := range []*port{w.a, w.b, w.underlay, w.atHelper, w.toHelper} {
		if p != nil {
			p.close()
		}
	}
	// The kernel takes what was attached with the namespaces.
	_ = w.closePlane()
}

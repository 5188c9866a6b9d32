package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// CircuitKind says what kind of device a PE's circuits are.
type CircuitKind int

// The kinds of circuits. The customer's port is an ordinary device of an
// ordinary host with each of them.
const (
	// CircuitVeth is one end of a veth pair, the customer's port the other.
	CircuitVeth CircuitKind = iota
	// CircuitTap is a tap, as a virtual machine's network card: see Lab.Taps.
	CircuitTap
	// CircuitBridgePort is a veth as well, and a port of a bridge in the PE. The
	// bridge may see no frame of the customer's.
	CircuitBridgePort
)

// CircuitKinds lists every kind, for tests that go through all.
var CircuitKinds = []CircuitKind{CircuitVeth, CircuitTap, CircuitBridgePort}

// String returns the kind in words: "veth", "tap", "bridge-port".
func (k CircuitKind) String() string {
	switch k {
	case CircuitVeth:
		return "veth"
	case CircuitTap:
		return "tap"
	case CircuitBridgePort:
		return "bridge-port"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Circuit returns the name of a PE's circuit, counted from 0.
func Circuit(i int) string { return fmt.Sprintf("ac%d", i) }

// Bridge returns the name of the bridge that the PE's circuit of that number is
// a port of, when circuits are bridge ports.
func Bridge(i int) string { return fmt.Sprintf("br%d", i) }

// HostPort returns the name of a customer's port, counted from 0.
func HostPort(i int) string { return fmt.Sprintf("eth%d", i) }

// Host4 and Host6 are the addresses of a customer's port: side is 1 or 2, and
// ports are counted from 0. The two ends of a circuit share a network.
func Host4(side, port int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(port), byte(side)})
}

// Host6 is Host4 for IPv6.
func Host6(side, port int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:ce:%x::%d", port, side))
}

// AddCircuit joins a customer's port to the PE's circuit of the same number and
// gives the port its addresses.
func (t *Topology) AddCircuit(side, i int) {
	ce, pe := t.Side(side)
	if t.options.CircuitKind == CircuitTap {
		t.Taps(ce, HostPort(i), pe.Namespace, Circuit(i), t.options.CircuitMTU, !t.options.NoCircuitOffloads)
	} else {
		t.Veth(ce, HostPort(i), pe.Namespace, Circuit(i), t.options.CircuitMTU)
		if t.options.NoCircuitOffloads {
			ce.Offloads(HostPort(i), false)
			pe.Offloads(Circuit(i), false)
		}
	}
	if t.options.CircuitKind == CircuitBridgePort {
		pe.BridgePort(Bridge(i), Circuit(i), t.options.CircuitMTU)
	}
	ce.Address(HostPort(i), netip.PrefixFrom(Host4(side, i), 24).String())
	ce.Address(HostPort(i), netip.PrefixFrom(Host6(side, i), 64).String())
}

// BridgePort makes a device a port of a bridge, which is made, up, unless it is
// there. The bridge runs no spanning tree and no multicast snooping, so that it
// says nothing of its own accord.
func (n *Namespace) BridgePort(bridge, port string, mtu int) {
	n.lab.tb.Helper()
	if _, err := n.handle.LinkByName(bridge); err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = bridge, mtu
		snooping := false
		n.check(n.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}), "add bridge "+bridge)
		n.Sysctl("net/ipv6/conf/"+bridge+"/disable_ipv6", "1")
		n.Up(bridge)
	}
	n.check(n.handle.LinkSetMaster(n.link(port), n.link(bridge)), "make "+port+" a port of "+bridge)
}

// Learned lists the hardware addresses that a bridge has learned from frames, in
// order.
func (n *Namespace) Learned(bridge string) []string {
	n.lab.tb.Helper()
	entries, err := n.handle.NeighList(0, unix.AF_BRIDGE)
	n.check(err, "list what "+bridge+" has learned")
	index := n.Index(bridge)
	var learned []string
	for _, e := range entries {
		// Its own and its ports' addresses are permanent.
		if e.MasterIndex == index && e.State&netlink.NUD_PERMANENT == 0 {
			learned = append(learned, e.HardwareAddr.String())
		}
	}
	slices.Sort(learned)
	return slices.Compact(learned)
}

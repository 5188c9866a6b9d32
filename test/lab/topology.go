package lab

import (
	"fmt"
	"net/netip"
)

// Names of the devices in a topology.
const (
	Uplink  = "ul0" // of a PE or the route reflector, towards the router
	Uplink2 = "ul1" // of PE 1, its second way to the router
)

// Sizes of links in bytes of Ethernet payload.
const (
	// UnderlayMTU carries a 1500-byte customer payload with two tags under the
	// longest header, IPv6 and UDP with a cookie of 8 bytes.
	UnderlayMTU = 1600
)

// Options shapes a topology. Its zero value is one circuit at each end, and
// segmentation and checksum offloads as the kernel sets them for a veth.
type Options struct {
	Circuits    int // circuits of each PE; 0 = 1
	CircuitKind CircuitKind
	// CircuitMTU and UnderlayMTU are in bytes of Ethernet payload; 0 = 1500
	// and UnderlayMTU.
	CircuitMTU, UnderlayMTU int
	// NoUnderlayOffloads makes PEs and router cut and checksum every packet
	// themselves, as in front of a plain network card.
	NoUnderlayOffloads bool
	// NoCircuitOffloads does so for the customers' hosts and the circuits.
	NoCircuitOffloads bool
	// SecondUplink gives PE 1 another link to the router, without routes.
	SecondUplink bool
	// SecondReflector adds a namespace for another route reflector.
	SecondReflector bool
}

// Topology is two customers' hosts joined by two PEs and a router between them,
// to which a route reflector is attached as well:
//
//	CE1 ── PE1 ── P ── PE2 ── CE2
//	              │
//	              RR, and RR2 if wanted
type Topology struct {
	*Lab
	CE1, CE2, P, RR *Namespace
	RR2             *Namespace // nil unless Options.SecondReflector
	PE1, PE2        *PE
	options         Options
}

// PE is a provider edge router of a topology.
type PE struct {
	*Namespace
	// Source4 and Source6 are its own addresses, on loopback, that the other
	// PEs and the route reflector have routes to.
	Source4, Source6 netip.Addr
}

// Addresses that every topology has; namespaces keep them apart.
var (
	PE1Source4 = netip.MustParseAddr("192.0.2.1")
	PE1Source6 = netip.MustParseAddr("2001:db8::1")
	PE2Source4 = netip.MustParseAddr("192.0.2.2")
	PE2Source6 = netip.MustParseAddr("2001:db8::2")
	RRSource4  = netip.MustParseAddr("192.0.2.254")
	RRSource6  = netip.MustParseAddr("2001:db8::fe")
	RR2Source4 = netip.MustParseAddr("192.0.2.253")
	RR2Source6 = netip.MustParseAddr("2001:db8::fd")
)

// NewTopology builds the topology in a lab of its own.
func NewTopology(tb TB, o Options) *Topology {
	tb.Helper()
	if o.Circuits == 0 {
		o.Circuits = 1
	}
	if o.CircuitMTU == 0 {
		o.CircuitMTU = DefaultMTU
	}
	if o.UnderlayMTU == 0 {
		o.UnderlayMTU = UnderlayMTU
	}
	t := &Topology{Lab: New(tb), options: o}
	t.P = t.Namespace("p")
	t.P.Sysctl("net/ipv4/ip_forward", "1")
	t.P.Sysctl("net/ipv6/conf/all/forwarding", "1")
	t.RR = t.Namespace("rr")
	t.PE1 = &PE{Namespace: t.Namespace("pe1"), Source4: PE1Source4, Source6: PE1Source6}
	t.PE2 = &PE{Namespace: t.Namespace("pe2"), Source4: PE2Source4, Source6: PE2Source6}
	t.CE1, t.CE2 = t.Namespace("ce1"), t.Namespace("ce2")
	t.attach(t.PE1.Namespace, Uplink, "pe1", 1, PE1Source4, PE1Source6)
	t.attach(t.PE2.Namespace, Uplink, "pe2", 2, PE2Source4, PE2Source6)
	t.attach(t.RR, Uplink, "rr", 3, RRSource4, RRSource6)
	if o.SecondUplink {
		t.link(t.PE1.Namespace, Uplink2, "pe1b", 4)
	}
	if o.SecondReflector {
		t.RR2 = t.Namespace("rr2")
		t.attach(t.RR2, Uplink, "rr2", 5, RR2Source4, RR2Source6)
	}
	t.customers()
	return t
}

// link joins a namespace to the router by network 10.0.number.0/24 and
// fd00:0:0:number::/64, where the router is .254 and ::fe.
func (t *Topology) link(n *Namespace, dev, port string, number int) {
	t.Veth(n, dev, t.P, port, t.options.UnderlayMTU)
	n.Address(dev, fmt.Sprintf("10.0.%d.1/24", number))
	n.Address(dev, fmt.Sprintf("fd00:0:0:%d::1/64", number))
	t.P.Address(port, fmt.Sprintf("10.0.%d.254/24", number))
	t.P.Address(port, fmt.Sprintf("fd00:0:0:%d::fe/64", number))
	if t.options.NoUnderlayOffloads {
		n.Offloads(dev, false)
		t.P.Offloads(port, false)
	}
}

// attach links a namespace to the router, gives it its own addresses and makes
// them reachable from everywhere.
func (t *Topology) attach(n *Namespace, dev, port string, number int, source4, source6 netip.Addr) {
	t.link(n, dev, port, number)
	n.Address("lo", netip.PrefixFrom(source4, 32).String())
	n.Address("lo", netip.PrefixFrom(source6, 128).String())
	n.Route("0.0.0.0/0", fmt.Sprintf("10.0.%d.254", number))
	n.Route("::/0", fmt.Sprintf("fd00:0:0:%d::fe", number))
	t.P.Route(netip.PrefixFrom(source4, 32).String(), fmt.Sprintf("10.0.%d.1", number))
	t.P.Route(netip.PrefixFrom(source6, 128).String(), fmt.Sprintf("fd00:0:0:%d::1", number))
}

func (t *Topology) customers() {
	for i := range t.options.Circuits {
		t.AddCircuit(1, i)
		t.AddCircuit(2, i)
	}
}

// Side returns the customer's host and the PE of side 1 or 2.
func (t *Topology) Side(side int) (*Namespace, *PE) {
	if side == 1 {
		return t.CE1, t.PE1
	}
	return t.CE2, t.PE2
}

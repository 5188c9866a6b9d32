package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// Devices of a world.
const (
	port    = "eth0" // of a host
	circuit = "ac0"  // of a PE, towards its host
	uplink  = "ul0"  // of a PE, towards the other PE
)

// Sizes in bytes of Ethernet payload.
const (
	customerMTU = 1500
	underlayMTU = 1600
)

// way is one way to join two hosts.
type way struct {
	name    string
	carrier *carrier // of Longwire; nil for the kernel's own means
	build   func(*world)
}

// carrier is a family and an encapsulation.
type carrier struct{ v6, udp bool }

func (c carrier) String() string {
	return "ipv" + map[bool]string{false: "4", true: "6"}[c.v6] + "/" + map[bool]string{false: "ip", true: "udp"}[c.udp]
}

var carriers = []carrier{{false, false}, {false, true}, {true, false}, {true, true}}

// ways returns everything that is compared; the first is the base.
func ways() []way {
	all := []way{{name: "bare redirect", build: (*world).redirect}, {name: "vxlan+bridge", build: (*world).vxlan}}
	for _, c := range carriers {
		all = append(all, way{name: "longwire " + c.String(), carrier: &c, build: (*world).longwire})
	}
	return all
}

// world is two hosts and two PEs that are joined directly.
type world struct {
	*lab.Lab
	tb       lab.TB
	way      way
	ce1, ce2 *lab.Namespace
	pes      [2]*lab.Namespace
	planes   []leased
}

// leased is a data plane whose next hop the bench leases, as the agent would.
type leased struct {
	plane *tc.Plane
	flow  dataplane.Flow
	hop   dataplane.NextHop
}

var hosts = [2]netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2")}

// addresses are the PEs' outer addresses.
func addresses(v6 bool) [2]netip.Addr {
	if v6 {
		return [2]netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")}
	}
	return [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
}

// newWorld builds a world. Without offloads the underlay's devices take only
// frames that are ready for a wire.
func newWorld(tb lab.TB, w way, offloads bool) *world {
	x := &world{Lab: lab.New(tb), tb: tb, way: w}
	x.ce1, x.ce2 = x.Namespace("ce1"), x.Namespace("ce2")
	x.pes = [2]*lab.Namespace{x.Namespace("pe1"), x.Namespace("pe2")}
	x.Veth(x.ce1, port, x.pes[0], circuit, customerMTU)
	x.Veth(x.ce2, port, x.pes[1], circuit, customerMTU)
	x.Veth(x.pes[0], uplink, x.pes[1], uplink, underlayMTU)
	for i, ce := range []*lab.Namespace{x.ce1, x.ce2} {
		ce.Address(port, netip.PrefixFrom(hosts[i], 24).String())
		x.pes[i].Address(uplink, netip.PrefixFrom(addresses(false)[i], 24).String())
		x.pes[i].Address(uplink, netip.PrefixFrom(addresses(true)[i], 64).String())
		if !offloads {
			x.pes[i].Offloads(uplink, false)
		}
	}
	w.build(x)
	return x
}

func (x *world) must(err error) {
	if err != nil {
		x.tb.Fatalf("%s: %v", x.way.name, err)
	}
}

// redirect joins circuit and uplink by a program that does nothing else.
func (x *world) redirect() {
	for _, pe := range x.pes {
		x.redirectTo(pe, circuit, uplink)
		x.redirectTo(pe, uplink, circuit)
	}
}

func (x *world) redirectTo(pe *lab.Namespace, from, to string) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(pe.Index(to))),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}})
	x.must(err)
	x.must(pe.Do(func() error {
		l, err := link.AttachTCX(link.TCXOptions{Interface: pe.Index(from), Program: prog, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			x.tb.Cleanup(func() { _ = l.Close() })
		}
		return err
	}))
}

// vxlan joins circuit and tunnel by a bridge, as is done today.
func (x *world) vxlan() {
	outer := addresses(false)
	for i, pe := range x.pes {
		pe.Run("ip", "link", "add", "vx0", "mtu", fmt.Sprint(customerMTU), "type", "vxlan", "id", "1", "dstport", "4789",
			"local", outer[i].String(), "remote", outer[1-i].String(), "dev", uplink)
		pe.Run("ip", "link", "add", "br0", "type", "bridge")
		for _, dev := range []string{"vx0", circuit} {
			pe.Run("ip", "link", "set", dev, "master", "br0")
			pe.Up(dev)
		}
		pe.Up("br0")
	}
}

// longwire joins them by a static session with a cookie of eight bytes.
func (x *world) longwire() {
	outer := addresses(x.way.carrier.v6)
	cookie, err := dataplane.NewCookie([]byte("longwire"))
	x.must(err)
	for i, pe := range x.pes {
		var plane *tc.Plane
		x.must(pe.Do(func() (err error) {
			plane, err = tc.Open(tc.Options{PinDir: filepath.Join(x.BPFFS(), pe.Role)})
			return err
		}))
		x.tb.Cleanup(func() { _ = plane.Close() })
		tx := dataplane.Transmit{
			Circuit: pe.Index(circuit), Pseudowire: "bench", Session: 70001, Local: outer[i], Remote: outer[1-i],
			LocalPort: 1701, RemotePort: 1701, Cookie: cookie, TTL: 64,
		}
		if x.way.carrier.udp {
			tx.Encapsulation = dataplane.EncapsulationUDP
		}
		x.must(plane.PutTransmit(tx))
		x.must(plane.PutReceive(dataplane.Receive{
			Session: 70001, Pseudowire: "bench", Circuit: pe.Index(circuit), Local: outer[i], Remote: outer[1-i],
			AcceptIP: true, AcceptUDP: true, LocalPort: 1701, Cookie: cookie,
		}))
		x.must(pe.Do(func() error {
			_, failed := plane.Attach(dataplane.Attachments{Circuits: []int{pe.Index(circuit)}, Underlays: []int{pe.Index(uplink)}})
			if len(failed) > 0 {
				return fmt.Errorf("attach: %v", failed)
			}
			return nil
		}))
		l := leased{plane: plane, flow: dataplane.Flow{Local: outer[i], Remote: outer[1-i]}}
		l.hop = dataplane.NextHop{IfIndex: pe.Index(uplink), MTU: underlayMTU}
		copy(l.hop.Source[:], pe.MAC(uplink))
		copy(l.hop.Destination[:], x.pes[1-i].MAC(uplink))
		x.planes = append(x.planes, l)
	}
}

// lease renews the next hops. A measurement must be shorter than a lease.
func (x *world) lease() error {
	for _, l := range x.planes {
		if err := l.plane.Lease(l.flow, l.hop); err != nil {
			return err
		}
	}
	return nil
}

// ready waits until the hosts reach each other.
func (x *world) ready() error {
	if err := x.lease(); err != nil {
		return err
	}
	return x.ce1.Ping(hosts[1], 56, 10*time.Second)
}

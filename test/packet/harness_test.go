// Package packet runs the data plane's programs over tables of packets, by
// BPF_PROG_TEST_RUN: no interface carries any of them.
package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"longwire/bpf"
	"longwire/dataplane"
	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// Verdicts of the programs (include/uapi/linux/pkt_cls.h).
const (
	pass     = 0xffffffff // TC_ACT_UNSPEC
	shot     = 2
	redirect = 7
)

// circuit is the interface that test packets come in by: BPF_PROG_TEST_RUN
// takes the loopback device, which every namespace has.
const circuit = 1

const pseudowire = "customer-a"

// open makes maps and programs that no other test shares, pinned on a bpffs of
// their own.
func open(t testing.TB, capacity uint32) *maps.Maps {
	t.Helper()
	m, _ := openAt(t, capacity)
	return m
}

// openAt is open; it tells where the maps are pinned as well.
func openAt(t testing.TB, capacity uint32) (m *maps.Maps, dir string) {
	t.Helper()
	dir = lab.New(t).BPFFS()
	return openWith(t, maps.Options{PinDir: dir, Capacity: capacity, Adjust: without(xdpPrograms...)}), dir
}

// openDecap is open without the programs that encapsulate.
func openDecap(t testing.TB, capacity uint32) *maps.Maps {
	t.Helper()
	adjust := without(append([]string{bpf.LongwireProgEncap, bpf.LongwireProgSegment}, xdpPrograms...)...)
	return openWith(t, maps.Options{PinDir: lab.New(t).BPFFS(), Capacity: capacity, Adjust: adjust})
}

// openOld is open with programs that do without a feature, as on a kernel that has
// not got it.
func openOld(t testing.TB, safe maps.Safe) *maps.Maps {
	t.Helper()
	return openWith(t, maps.Options{PinDir: lab.New(t).BPFFS(), Capacity: 64, Safe: safe, Adjust: without(xdpPrograms...)})
}

// openXDP is open with the programs for XDP as well.
func openXDP(t testing.TB, capacity uint32) *maps.Maps {
	t.Helper()
	return openWith(t, maps.Options{PinDir: lab.New(t).BPFFS(), Capacity: capacity})
}

var xdpPrograms = []string{
	bpf.LongwireProgXdpEncap, bpf.LongwireProgXdpDecap, bpf.LongwireProgXdpEncapLarge, bpf.LongwireProgXdpDecapLarge,
}

// without saves the verifier programs that a test does not run: others stand for
// them, which do nothing.
func without(programs ...string) func(*ebpf.CollectionSpec) error {
	return func(spec *ebpf.CollectionSpec) error {
		for _, name := range programs {
			p := spec.Programs[name]
			p.Instructions = asm.Instructions{
				btf.WithFuncMetadata(asm.Mov.Imm(asm.R0, 0).WithSymbol(name), btf.FuncMetadata(&p.Instructions[0])), asm.Return(),
			}
		}
		return nil
	}
}

func openWith(t testing.TB, o maps.Options) *maps.Maps {
	t.Helper()
	m, err := maps.Open(o)
	if err != nil {
		t.Fatalf("open the maps: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close the maps: %v", err)
		}
	})
	must(t, m.SetHelpers(toSegment, toResolve))
	return m
}

// skb is struct __sk_buff, the context of a test run.
type skb struct {
	Len, PktType, Mark, QueueMapping, Protocol uint32
	VLANPresent, VLANTCI, VLANProto, Priority  uint32
	IngressIfindex, Ifindex, TCIndex           uint32
	CB                                         [5]uint32
	Hash, TCClassid, Data, DataEnd, NapiID     uint32
	Family, RemoteIP4, LocalIP4                uint32
	RemoteIP6, LocalIP6                        [4]uint32
	RemotePort, LocalPort, DataMeta            uint32
	FlowKeys, Tstamp                           uint64
	WireLen, GSOSegs                           uint32
	Sk                                         uint64
	GSOSize                                    uint32
	TstampType                                 uint8
	_                                          [3]uint8
	HWTstamp                                   uint64
}

// result is what a program made of a packet.
type result struct {
	verdict uint32
	packet  []byte
	mark    uint32
}

func run(t testing.TB, prog *ebpf.Program, packet []byte, ctx skb) result {
	t.Helper()
	got, err := try(prog, packet, ctx)
	must(t, err)
	return got
}

// try is run for goroutines that are not the test's.
func try(prog *ebpf.Program, packet []byte, ctx skb) (result, error) {
	var after skb
	o := ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+256), Context: ctx, ContextOut: &after}
	verdict, err := prog.Run(&o)
	if err != nil {
		return result{}, fmt.Errorf("run %s with %d bytes: %w", prog, len(packet), err)
	}
	return result{verdict, o.DataOut, after.Mark}, nil
}

// format is one combination of outer header fields.
type format struct {
	name     string
	v6, udp  bool
	cookie   []byte
	sublayer dataplane.Sublayer
}

// formats returns all 24: family, encapsulation, cookie and sublayer.
func formats() []format {
	var all []format
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, encapsulation := range []string{"ip", "udp"} {
			for _, cookie := range []string{"", "\x11\x22\x33\x44", "\x11\x22\x33\x44\x55\x66\x77\x88"} {
				for _, sublayer := range []dataplane.Sublayer{dataplane.SublayerNone, dataplane.SublayerDefault} {
					name := family + "/" + encapsulation + "/cookie" + string('0'+rune(len(cookie)))
					if sublayer == dataplane.SublayerDefault {
						name += "/sublayer"
					}
					all = append(all, format{name, family == "ipv6", encapsulation == "udp", []byte(cookie), sublayer})
				}
			}
		}
	}
	return all
}

// carriers returns the four with an 8-byte cookie and a sublayer.
func carriers() []format {
	var four []format
	for _, f := range formats() {
		if len(f.cookie) == 8 && f.sublayer == dataplane.SublayerDefault {
			four = append(four, f)
		}
	}
	return four
}

func (f format) addresses() (near, far netip.Addr) {
	if f.v6 {
		return netip.MustParseAddr("fd00:a::1"), netip.MustParseAddr("fd00:b::2")
	}
	return netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.2")
}

const (
	nearSession = 70001 // what we accept
	farSession  = 70002 // what the far end accepts
	nearPort    = 1701
	farPort     = 1702
)

func mustCookie(t testing.TB, b []byte) dataplane.Cookie {
	t.Helper()
	c, err := dataplane.NewCookie(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f format) receive(t testing.TB) dataplane.Receive {
	near, far := f.addresses()
	return dataplane.Receive{
		Session: nearSession, Pseudowire: pseudowire, Circuit: circuit, Local: near, Remote: far,
		AcceptIP: !f.udp, AcceptUDP: f.udp, LocalPort: nearPort, RemotePort: farPort,
		Cookie: mustCookie(t, f.cookie), Sublayer: f.sublayer,
	}
}

func (f format) transmit(t testing.TB) dataplane.Transmit {
	near, far := f.addresses()
	tx := dataplane.Transmit{
		Circuit: dataplane.Port(circuit), Pseudowire: pseudowire, Session: farSession, Local: near, Remote: far,
		Cookie: mustCookie(t, f.cookie), Sublayer: f.sublayer, TTL: 64, DontFragment: !f.v6,
	}
	if f.udp {
		tx.Encapsulation, tx.LocalPort, tx.RemotePort = dataplane.EncapsulationUDP, nearPort, farPort
	}
	return tx
}

// frame makes an Ethernet frame of n bytes, at least 14, with a body that no
// two offsets share by chance.
func frame(n int, etherType uint16) []byte {
	b := make([]byte, n)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2})
	binary.BigEndian.PutUint16(b[12:], etherType)
	for i := 14; i < n; i++ {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// dropsOf returns the reasons that have been counted, of every pseudowire.
func dropsOf(t testing.TB, m *maps.Maps) map[dataplane.Drop]uint64 {
	t.Helper()
	all, err := m.Counters()
	if err != nil {
		t.Fatalf("read the counters: %v", err)
	}
	sum := map[dataplane.Drop]uint64{}
	for _, c := range all {
		for reason, n := range c.Drops {
			sum[reason] += n
		}
	}
	return sum
}

// forgetAfter lets the next test of the same maps count from zero.
func forgetAfter(t testing.TB, m *maps.Maps) {
	t.Helper()
	t.Cleanup(func() { must(t, m.Forget(pseudowire)) })
}

// wantDrops compares everything that has been counted.
func wantDrops(t testing.TB, m *maps.Maps, want map[dataplane.Drop]uint64) {
	t.Helper()
	if diff := diffOf(want, dropsOf(t, m)); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

// wantCounters compares what the pseudowire has counted.
func wantCounters(t testing.TB, m *maps.Maps, want dataplane.Counters) {
	t.Helper()
	all, err := m.Counters()
	must(t, err)
	want.Drops = map[dataplane.Drop]uint64{}
	if diff := diffOf(want, all[pseudowire]); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

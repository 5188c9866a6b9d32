package packet

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// Verdicts of XDP programs (enum xdp_action of include/uapi/linux/bpf.h).
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpRedirect = 4
)

// wireMin is the least frame that XDP programs send, in bytes: what is shorter
// the tc program sends, and the driver pads.
const wireMin = 60

// runXDP runs an XDP program on a packet of the loopback device, as a test run
// pretends.
func runXDP(t testing.TB, prog *ebpf.Program, packet []byte) result {
	t.Helper()
	o := ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+256)}
	verdict, err := prog.Run(&o)
	if err != nil {
		t.Fatalf("run %s with %d bytes: %v", prog, len(packet), err)
	}
	return result{verdict: verdict, packet: o.DataOut}
}

// loopback is the port of test runs, as a circuit or as an underlay, whose MAC
// address is zero.
func loopback(underlay bool) maps.Port {
	return maps.Port{IfIndex: circuit, Underlay: underlay, Largest: 9000}
}

func setPorts(t testing.TB, m *maps.Maps, ports ...maps.Port) {
	t.Helper()
	if failed := m.SetPorts(ports); len(failed) > 0 {
		t.Fatalf("set the ports: %v", failed)
	}
}

// The circuit of XDP decapsulation and the way out of XDP encapsulation: a port
// is one or the other.
const (
	otherPort = 7
	largest   = 9018
)

// encapByXDP makes a circuit of test runs whose way out takes frames from XDP.
func encapByXDP(t *testing.T, m *maps.Maps, tx dataplane.Transmit, mtu int) dataplane.NextHop {
	t.Helper()
	nh := lease(mtu)
	nh.IfIndex = otherPort
	must(t, m.PutTransmit(tx))
	must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
	setPorts(t, m, loopback(false), maps.Port{IfIndex: otherPort, Underlay: true, Largest: largest})
	return nh
}

// decapByXDP makes a session of test runs whose circuit takes frames from XDP.
func decapByXDP(t *testing.T, m *maps.Maps, r dataplane.Receive) {
	t.Helper()
	r.Circuit = otherPort
	must(t, m.PutReceive(r))
	setPorts(t, m, loopback(true), maps.Port{IfIndex: otherPort, Largest: largest})
}

// TestXDPEncapFormats sends in all 24 formats what the tc program sends, which
// is what gopacket builds.
func TestXDPEncapFormats(t *testing.T) {
	m := openXDP(t, 64)
	var want dataplane.Counters
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			nh := encapByXDP(t, m, f.transmit(t), 9000)
			for _, inner := range [][]byte{
				frame(42, 0x0806), frame(60, 0x0800), frame(61, 0x86dd), frame(62, 0x8100), frame(63, 0x88a8),
				frame(512, 0x88cc), frame(526, 0x0800), frame(1023, 0x0800), frame(1514, 0x86dd), frame(1517, 0x0800), frame(3301, 0x0800),
			} {
				got := runXDP(t, m.Programs().XdpEncap, slices.Clone(inner))
				if f.header()+len(inner) < wireMin {
					if diff := diffOf(inner, got.packet); got.verdict != xdpPass || diff != "" {
						t.Errorf("short frame: verdict %d (-want +got):\n%s", got.verdict, diff)
					}
					continue
				}
				if diff := diffOf(f.sent(t, nh, inner), got.packet); got.verdict != xdpRedirect || diff != "" {
					t.Errorf("frame of %d bytes: verdict %d (-want +got):\n%s", len(inner), got.verdict, diff)
				}
				want.EncapPackets++
				want.EncapBytes += uint64(len(inner))
				wantCounters(t, m, want)
				byTC := encap(t, m, slices.Clone(inner), skb{})
				if diff := diffOf(byTC.packet, got.packet); byTC.verdict != redirect || diff != "" {
					t.Errorf("frame of %d bytes: (-tc +xdp):\n%s", len(inner), diff)
				}
				want.EncapPackets++
				want.EncapBytes += uint64(len(inner))
			}
		})
	}
}

// TestXDPKernelPackets takes both directions of every packet that the kernel's
// own L2TPv3 sent.
func TestXDPKernelPackets(t *testing.T) {
	m := openXDP(t, 64)
	for _, c := range captures(t) {
		t.Run(c.name, func(t *testing.T) {
			r := c.receive(t)
			r.Local, r.Remote = kernelAddresses(c.format)
			r.Session = kernelSession
			decapByXDP(t, m, r)
			delivered := 0
			for i, b := range c.packets {
				inner := b[c.header():]
				sent := slices.Clone(b)
				clear(sent[:6]) // the address of the device that a test run pretends
				got := runXDP(t, m.Programs().XdpDecap, slices.Clone(sent))
				want, verdict := inner, uint32(xdpRedirect)
				if len(inner) < wireMin {
					want, verdict = sent, xdpPass
				} else {
					delivered++
				}
				if diff := diffOf(want, got.packet); got.verdict != verdict || diff != "" {
					t.Errorf("packet %d: verdict %d (-want +got):\n%s", i, got.verdict, diff)
				}
			}
			if delivered < 5 {
				t.Errorf("%d packets delivered by XDP", delivered)
			}
		})
	}
}

// TestXDPEncapByTC passes unchanged what a circuit wants and XDP cannot do, and
// what it could not send.
func TestXDPEncapByTC(t *testing.T) {
	m := openXDP(t, 64)
	tag := dataplane.Tag{Type: 0x8100, VID: 5}
	for name, change := range map[string]func(*dataplane.Transmit, *maps.Port, *dataplane.NextHop){
		"nothing":              func(*dataplane.Transmit, *maps.Port, *dataplane.NextHop) {},
		"closed":               func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Session = 0 },
		"shared":               func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Shared = true },
		"tag pushed":           func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Tags.Push = tag },
		"tag popped":           func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Tags.Pop = 1 },
		"sequencing":           func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Sequencing = true },
		"DSCP copied":          func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.CopyDSCP = true },
		"ECN copied":           func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.CopyECN = true },
		"source port by flow":  func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Entropy = true },
		"MSS clamped":          func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.ClampMTU = 1400 },
		"protocols dropped":    func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.DropL2CP = dataplane.L2CPSTP },
		"another circuit":      func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Circuit.IfIndex = 9 },
		"a VLAN's circuit":     func(x *dataplane.Transmit, _ *maps.Port, _ *dataplane.NextHop) { x.Circuit.VLANs.Outer = "100" },
		"out by a circuit":     func(_ *dataplane.Transmit, p *maps.Port, _ *dataplane.NextHop) { p.Underlay = false },
		"out by another port":  func(_ *dataplane.Transmit, p *maps.Port, _ *dataplane.NextHop) { p.IfIndex += 4096 },
		"out by a port unable": func(_ *dataplane.Transmit, p *maps.Port, _ *dataplane.NextHop) { p.Largest = 0 },
		"larger than the port": func(_ *dataplane.Transmit, p *maps.Port, _ *dataplane.NextHop) { p.Largest = 200 },
		"larger than the MTU":  func(_ *dataplane.Transmit, _ *maps.Port, nh *dataplane.NextHop) { nh.MTU = 200 },
	} {
		for _, f := range carriers() {
			t.Run(name+"/"+f.name, func(t *testing.T) {
				tx, nh := f.transmit(t), lease(1500)
				nh.IfIndex = otherPort
				out := maps.Port{IfIndex: otherPort, Underlay: true, Largest: largest}
				change(&tx, &out, &nh)
				must(t, m.DeleteTransmit(dataplane.Port(circuit)))
				must(t, m.PutTransmit(tx))
				must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
				setPorts(t, m, loopback(false), out)
				sent, verdict := frame(200, 0x0800), uint32(xdpPass)
				if name == "nothing" {
					verdict = xdpRedirect
				}
				got := runXDP(t, m.Programs().XdpEncap, slices.Clone(sent))
				if got.verdict != verdict || bytes.Equal(got.packet, sent) != (verdict == xdpPass) {
					t.Errorf("verdict %d, want %d; %d bytes of %d", got.verdict, verdict, len(got.packet), len(sent))
				}
				wantDrops(t, m, map[dataplane.Drop]uint64{})
			})
		}
	}
}

// TestXDPEncapWithoutLease leaves routing and resolving to the tc program.
func TestXDPEncapWithoutLease(t *testing.T) {
	m := openXDP(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			tx := f.transmit(t)
			encapByXDP(t, m, tx, 1500)
			must(t, m.Revoke(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}))
			sent := frame(100, 0x0800)
			if got := runXDP(t, m.Programs().XdpEncap, slices.Clone(sent)); got.verdict != xdpPass || !bytes.Equal(got.packet, sent) {
				t.Errorf("verdict %d, %d bytes", got.verdict, len(got.packet))
			}
		})
	}
}

// TestXDPEncapLargest draws the line at the byte.
func TestXDPEncapLargest(t *testing.T) {
	m := openXDP(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			encapByXDP(t, m, f.transmit(t), 1500)
			n := 1500 + 14 - f.header()
			if got := runXDP(t, m.Programs().XdpEncap, frame(n, 0x0800)); got.verdict != xdpRedirect || len(got.packet) != 1514 {
				t.Errorf("frame of %d bytes: verdict %d, %d bytes out", n, got.verdict, len(got.packet))
			}
			if got := runXDP(t, m.Programs().XdpEncap, frame(n+1, 0x0800)); got.verdict != xdpPass {
				t.Errorf("frame of %d bytes: verdict %d", n+1, got.verdict)
			}
		})
	}
}

// TestXDPEncapChoices does what a template and a flag alone decide.
func TestXDPEncapChoices(t *testing.T) {
	m := openXDP(t, 64)
	t.Run("no UDP checksum over IPv6", func(t *testing.T) {
		f := format{v6: true, udp: true}
		tx := f.transmit(t)
		tx.ZeroChecksum = true
		nh := encapByXDP(t, m, tx, 1500)
		inner := frame(100, 0x0800)
		want := f.sent(t, nh, inner)
		want[f.l4()+6], want[f.l4()+7] = 0, 0
		got := runXDP(t, m.Programs().XdpEncap, slices.Clone(inner))
		if diff := diffOf(want, got.packet); got.verdict != xdpRedirect || diff != "" {
			t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
		}
	})
	t.Run("varying identification", func(t *testing.T) {
		f := format{}
		tx := f.transmit(t)
		tx.DontFragment = false
		encapByXDP(t, m, tx, 1500)
		ids := map[uint16]bool{}
		for range 64 {
			got := runXDP(t, m.Programs().XdpEncap, frame(100, 0x0800))
			ids[binary.BigEndian.Uint16(got.packet[18:])] = true
			if sum := binary.BigEndian.Uint16(got.packet[24:]); sum != binary.BigEndian.Uint16(fixIPv4(got.packet)[24:]) {
				t.Errorf("header checksum %#04x is wrong", sum)
			}
		}
		if len(ids) < 32 {
			t.Errorf("%d different ids in 64 packets", len(ids))
		}
	})
}

// TestXDPEncapNotReady leaves a circuit to tc whose driver may still take tags out
// of its frames, or that is an underlay.
func TestXDPEncapNotReady(t *testing.T) {
	m := openXDP(t, 64)
	out := maps.Port{IfIndex: otherPort, Underlay: true, Largest: largest}
	for _, f := range carriers() {
		encapByXDP(t, m, f.transmit(t), 1500)
		for name, ports := range map[string][]maps.Port{"no port": {out}, "underlay": {out, loopback(true)}} {
			setPorts(t, m, ports...)
			sent := frame(100, 0x0800)
			if got := runXDP(t, m.Programs().XdpEncap, slices.Clone(sent)); got.verdict != xdpPass || !bytes.Equal(got.packet, sent) {
				t.Errorf("%s, %s: verdict %d", f.name, name, got.verdict)
			}
		}
	}
}

package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// Helper ends as the programs know them; no test run sends anything to them.
const (
	toSegment = 101
	toResolve = 102
)

func lease(mtu int) dataplane.NextHop {
	return dataplane.NextHop{
		IfIndex: circuit, MTU: mtu,
		Destination: [6]byte{2, 0, 0, 0, 9, 1}, Source: [6]byte{2, 0, 0, 0, 9, 2},
	}
}

// keeper renews a lease before it ends, in tables that take longer on a slow
// machine.
type keeper struct {
	m    *maps.Maps
	flow dataplane.Flow
	nh   dataplane.NextHop
	last time.Time
}

// keep returns one for what a format sends.
func (f format) keep(t testing.TB, m *maps.Maps, nh dataplane.NextHop) *keeper {
	t.Helper()
	near, far := f.addresses()
	return &keeper{m: m, flow: dataplane.Flow{Local: near, Remote: far}, nh: nh}
}

func (k *keeper) renew(t testing.TB) {
	t.Helper()
	if time.Since(k.last) > dataplane.LeaseDuration/3 {
		must(t, k.m.Lease(k.flow, k.nh))
		k.last = time.Now()
	}
}

func withTransmit(t *testing.T, tx dataplane.Transmit, nh *dataplane.NextHop) *maps.Maps {
	t.Helper()
	m := open(t, 64)
	must(t, m.PutTransmit(tx))
	if nh != nil {
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, *nh))
	}
	return m
}

// TestEncapFormats compares all 24 formats with packets that gopacket built,
// checksums included, byte for byte.
func TestEncapFormats(t *testing.T) {
	m := open(t, 64)
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			forgetAfter(t, m)
			nh, tx := lease(9000), f.transmit(t)
			must(t, m.PutTransmit(tx))
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
			var packets, octets uint64
			for _, inner := range [][]byte{
				frame(15, 0x88b5), frame(42, 0x0806), frame(60, 0x0800), frame(61, 0x86dd), frame(62, 0x8100), frame(63, 0x88a8),
				frame(512, 0x88cc), frame(526, 0x0800), frame(1023, 0x0800), frame(1514, 0x86dd), frame(1517, 0x0800), frame(3301, 0x0800),
			} {
				got := encap(t, m, append([]byte(nil), inner...), skb{})
				if got.verdict != redirect {
					t.Fatalf("frame of %d bytes: verdict %d, drops %v", len(inner), got.verdict, dropsOf(t, m))
				}
				if diff := diffOf(f.sent(t, nh, inner), got.packet); diff != "" {
					t.Errorf("frame of %d bytes (-want +got):\n%s", len(inner), diff)
				}
				packets++
				octets += uint64(len(inner))
			}
			wantCounters(t, m, dataplane.Counters{EncapPackets: packets, EncapBytes: octets})
		})
	}
}

// sent is the packet that must leave: built as the far end's, with the
// directions swapped.
func (f format) sent(t *testing.T, nh dataplane.NextHop, inner []byte) []byte {
	b := f.outer(t, farSession, inner)
	copy(b, nh.Destination[:])
	copy(b[6:], nh.Source[:])
	n := (f.l4() - 14 - 12) / 2
	if f.v6 {
		n = 16
	}
	addresses := b[f.l4()-2*n : f.l4()]
	swap(addresses[:n], addresses[n:])
	if f.udp {
		swap(b[f.l4():f.l4()+2], b[f.l4()+2:f.l4()+4])
		if !f.v6 {
			b[f.l4()+6], b[f.l4()+7] = 0, 0 // no checksum over IPv4
		}
	}
	return b
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// TestEncapTooBig draws the line at the byte: the outer packet may be as large
// as the underlay's MTU and no larger. One that is larger is dropped, or goes to
// the kernel's routing, where it is fragmented.
func TestEncapTooBig(t *testing.T) {
	m := open(t, 64)
	for i, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			tx := f.transmit(t)
			must(t, m.PutTransmit(tx))
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, lease(1500)))
			largest := 1500 + 14 - f.header()
			got := encap(t, m, frame(largest, 0x0800), skb{})
			if got.verdict != redirect || len(got.packet) != 1514 {
				t.Errorf("frame of %d bytes: verdict %d, %d bytes out", largest, got.verdict, len(got.packet))
			}
			got = encap(t, m, frame(largest+1, 0x0800), skb{})
			if diff := diffOf(f.sent(t, dataplane.NextHop{}, frame(largest+1, 0x0800)), got.packet); got.verdict != redirect || got.mark != 1 || diff != "" {
				t.Errorf("frame of %d bytes to be fragmented: verdict %d, mark %d (-want +got):\n%s", largest+1, got.verdict, got.mark, diff)
			}
			tx.TooBig = dataplane.TooBigDrop
			must(t, m.PutTransmit(tx))
			if got := encap(t, m, frame(largest+1, 0x0800), skb{}); got.verdict != shot {
				t.Errorf("frame of %d bytes: verdict %d", largest+1, got.verdict)
			}
			wantDrops(t, m, map[dataplane.Drop]uint64{dataplane.DropTooBig: uint64(i + 1)})
		})
	}
}

// TestEncapWithoutLease gives the packet to the kernel's routing, marked with
// the slot that a drop there belongs to; so it does after a revocation.
func TestEncapWithoutLease(t *testing.T) {
	m := open(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			tx := f.transmit(t)
			flow := dataplane.Flow{Local: tx.Local, Remote: tx.Remote}
			must(t, m.PutTransmit(tx))
			inner := frame(100, 0x0800)
			want := f.sent(t, dataplane.NextHop{}, inner)
			check := func(when string) {
				t.Helper()
				got := encap(t, m, append([]byte(nil), inner...), skb{})
				if diff := diffOf(want, got.packet); got.verdict != redirect || got.mark != 1 || diff != "" {
					t.Errorf("%s: verdict %d, mark %d (-want +got):\n%s", when, got.verdict, got.mark, diff)
				}
			}
			check("before any lease")
			must(t, m.Lease(flow, lease(1500)))
			got := encap(t, m, append([]byte(nil), inner...), skb{})
			if bytes.Equal(got.packet, want) || got.mark != 0 {
				t.Errorf("with a lease: mark %d, MACs %x", got.mark, got.packet[:12])
			}
			must(t, m.Revoke(flow))
			check("after a revocation")
		})
	}
}

// TestEncapVaryingID clears DF and numbers the packets (RFC 6864 section 4.3).
func TestEncapVaryingID(t *testing.T) {
	f := format{name: "ipv4/ip"}
	tx := f.transmit(t)
	tx.DontFragment = false
	nh := lease(1500)
	m := withTransmit(t, tx, &nh)
	ids := map[uint16]bool{}
	for range 64 {
		got := encap(t, m, frame(100, 0x0800), skb{})
		if got.packet[20] != 0 {
			t.Fatalf("fragment flags %#x, want none", got.packet[20])
		}
		ids[binary.BigEndian.Uint16(got.packet[18:])] = true
		if sum := binary.BigEndian.Uint16(got.packet[24:]); sum != binary.BigEndian.Uint16(fixIPv4(got.packet)[24:]) {
			t.Errorf("header checksum %#04x is wrong", sum)
		}
	}
	if len(ids) < 32 {
		t.Errorf("%d different ids in 64 packets", len(ids))
	}
}

// TestEncapNoSession keeps the frames of a circuit without a far end away from
// this host's own stack.
func TestEncapNoSession(t *testing.T) {
	m := open(t, 64)
	if got := encap(t, m, frame(100, 0x0800), skb{}); got.verdict != shot {
		t.Errorf("verdict %d, want %d", got.verdict, shot)
	}
	wantDrops(t, m, map[dataplane.Drop]uint64{dataplane.DropNoSession: 1})
}

// TestEncapNoHelper counts what the helper pair would have taken.
func TestEncapNoHelper(t *testing.T) {
	m := open(t, 64)
	must(t, m.SetHelpers(0, 0))
	for i, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			must(t, m.PutTransmit(f.transmit(t)))
			if got := encap(t, m, frame(100, 0x0800), skb{}); got.verdict != shot {
				t.Errorf("verdict %d, want %d", got.verdict, shot)
			}
			wantDrops(t, m, map[dataplane.Drop]uint64{dataplane.DropNoHelper: uint64(i + 1)})
		})
	}
}

// TestEncapSegment takes the circuit from the mark, where super-frames come
// out of the helper pair in pieces.
func TestEncapSegment(t *testing.T) {
	m := open(t, 64)
	for _, f := range carriers() {
		t.Run(f.name, func(t *testing.T) {
			tx := f.transmit(t)
			tx.Circuit = dataplane.Port(4711)
			nh := lease(1500)
			must(t, m.PutTransmit(tx))
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
			inner := frame(1400, 0x0800)
			got := run(t, m.Programs().Segment, append([]byte(nil), inner...), skb{Mark: 4711})
			if diff := diffOf(f.sent(t, nh, inner), got.packet); got.verdict != redirect || got.mark != 0 || diff != "" {
				t.Errorf("verdict %d, mark %d (-want +got):\n%s", got.verdict, got.mark, diff)
			}
		})
	}
}

// TestHelperChatter drops what the stack itself sends on the helper pair, such
// as IPv6 multicast reports, and blames no pseudowire.
func TestHelperChatter(t *testing.T) {
	m := open(t, 64)
	for name, prog := range map[string]*ebpf.Program{"segment": m.Programs().Segment, "resolve": m.Programs().ResolveNextHop} {
		if got := run(t, prog, frame(86, 0x86dd), skb{}); got.verdict != shot {
			t.Errorf("%s: verdict %d", name, got.verdict)
		}
	}
	wantDrops(t, m, map[dataplane.Drop]uint64{})
}

// TestReusedNextHop lets no flow inherit the lease of another one that had its
// place before.
func TestReusedNextHop(t *testing.T) {
	const capacity = 2
	m := open(t, capacity)
	f := format{name: "ipv4/ip"}
	for i := range 4 * capacity {
		tx := f.transmit(t)
		tx.Remote = netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)})
		must(t, m.PutTransmit(tx))
		if got := encap(t, m, frame(100, 0x0800), skb{}); got.mark == 0 {
			t.Fatalf("flow %d is sent to %x without a lease of its own", i, got.packet[:6])
		}
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, lease(1500)))
	}
}

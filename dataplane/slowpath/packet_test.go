package slowpath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"
)

func addr(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 0) }

func TestPut(t *testing.T) {
	payload := []byte{0xaa, 0xbb, 0xcc}
	tests := []struct {
		name string
		o    outer
		want []byte
	}{
		{"IPv4", outer{source: addr("192.0.2.9"), destination: addr("192.0.2.1"), class: 0xb9}, []byte{
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0,
			0x45, 0xb9, 0, 23, 0, 0, 0, 0, 64, 115, 0xf5, 0xb0, 192, 0, 2, 9, 192, 0, 2, 1,
			0xaa, 0xbb, 0xcc}},
		{"IPv4, UDP", outer{source: netip.MustParseAddrPort("192.0.2.9:40001"), destination: netip.MustParseAddrPort("192.0.2.1:1701"), udp: true}, []byte{
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0,
			0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0xf6, 0xc3, 192, 0, 2, 9, 192, 0, 2, 1,
			0x9c, 0x41, 6, 0xa5, 0, 11, 0, 0,
			0xaa, 0xbb, 0xcc}},
		{"IPv6", outer{source: addr("2001:db8::9"), destination: addr("2001:db8::1"), class: 0xb9}, []byte{
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd,
			0x6b, 0x90, 0, 0, 0, 3, 115, 64,
			0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
			0xaa, 0xbb, 0xcc}},
		{"IPv6, UDP", outer{source: netip.MustParseAddrPort("[2001:db8::9]:40001"), destination: netip.MustParseAddrPort("[2001:db8::1]:1701"), udp: true}, []byte{
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd,
			0x60, 0, 0, 0, 0, 11, 17, 64,
			0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
			0x9c, 0x41, 6, 0xa5, 0, 11, 0, 0,
			0xaa, 0xbb, 0xcc}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What was in the buffer before must not show.
			frame := append(bytes.Repeat([]byte{0xff}, tt.o.size()), payload...)
			tt.o.put(frame)
			if d := cmp.Diff(tt.want, frame); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseIPv4(t *testing.T) {
	good := []byte{0x45, 0x02, 0, 24, 0x12, 0x34, 0x40, 0, 61, 115, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1, 0, 0, 0, 1}
	edited := func(edit func([]byte)) []byte {
		b := bytes.Clone(good)
		edit(b)
		return b
	}
	options := append(append(bytes.Clone(good[:20]), 7, 4, 4, 0), good[20:]...) // record route
	options[0], options[3] = 0x46, 28
	tests := []struct {
		name       string
		packet     []byte
		begin, end int // 0 = malformed
	}{
		{"plain", good, 20, 24},
		{"options", options, 24, 28},
		{"padding behind it", append(bytes.Clone(good), 0, 0), 20, 24},
		{"nothing inside", edited(func(b []byte) { b[3] = 20 }), 20, 20},
		{"empty", nil, 0, 0},
		{"cut", good[:19], 0, 0},
		{"another version", edited(func(b []byte) { b[0] = 0x65 }), 0, 0},
		{"another protocol", edited(func(b []byte) { b[9] = 17 }), 0, 0},
		{"header shorter than a header", edited(func(b []byte) { b[0] = 0x44 }), 0, 0},
		{"header longer than the packet", edited(func(b []byte) { b[0] = 0x47 }), 0, 0},
		{"longer than what is there", edited(func(b []byte) { b[3] = 25 }), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, begin, end, err := parseIPv4(tt.packet)
			if begin != tt.begin || end != tt.end || (err != nil) != (tt.begin == 0) || err != nil && !errors.Is(err, errMalformed) {
				t.Errorf("payload from %d to %d, error %v; want %d to %d", begin, end, err, tt.begin, tt.end)
			}
			if want := (outer{source: addr("192.0.2.9"), destination: addr("192.0.2.1"), class: 2}); err == nil && o != want {
				t.Errorf("%+v, want %+v", o, want)
			}
		})
	}
}

// decoded reads a frame back with decoders that are not ours.
func decoded(t interface{ Fatalf(string, ...any) }, frame []byte) (o outer, payload []byte) {
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	var protocol layers.IPProtocol
	switch ip := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		if ip.IHL != 5 || ip.Flags != 0 || ip.FragOffset != 0 || ip.Id != 0 || int(ip.Length) != len(frame)-14 || checksum(frame[14:34]) != 0 {
			t.Fatalf("IPv4 header %+v of %d bytes", ip, len(frame)-14)
		}
		source, _ := netip.AddrFromSlice(ip.SrcIP)
		destination, _ := netip.AddrFromSlice(ip.DstIP)
		o.source, o.destination, o.class = netip.AddrPortFrom(source, 0), netip.AddrPortFrom(destination, 0), ip.TOS
		protocol, payload = ip.Protocol, ip.Payload
	case *layers.IPv6:
		if ip.FlowLabel != 0 || int(ip.Length) != len(frame)-54 {
			t.Fatalf("IPv6 header %+v of %d bytes", ip, len(frame)-14)
		}
		source, _ := netip.AddrFromSlice(ip.SrcIP)
		destination, _ := netip.AddrFromSlice(ip.DstIP)
		o.source, o.destination, o.class = netip.AddrPortFrom(source, 0), netip.AddrPortFrom(destination, 0), ip.TrafficClass
		protocol, payload = ip.NextHeader, ip.Payload
	default:
		t.Fatalf("no IP packet in %x", frame)
	}
	if protocol == protocolUDP {
		if int(binary.BigEndian.Uint16(payload[4:])) != len(payload) || payload[6] != 0 || payload[7] != 0 {
			t.Fatalf("UDP header %x of %d bytes", payload[:8], len(payload))
		}
		o.udp = true
		o.source = netip.AddrPortFrom(o.source.Addr(), binary.BigEndian.Uint16(payload))
		o.destination = netip.AddrPortFrom(o.destination.Addr(), binary.BigEndian.Uint16(payload[2:]))
		payload = payload[8:]
	} else if protocol != protocolL2TP {
		t.Fatalf("protocol %d", protocol)
	}
	return o, payload
}

// Whatever a packet was, the frame says the same to a decoder that is not ours.
func TestRebuiltPacketsDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := func(v6 bool, label string) netip.Addr {
			if v6 {
				return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Filter(func(b []byte) bool {
					return !netip.AddrFrom16([16]byte(b)).Is4In6()
				}).Draw(t, label)))
			}
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label)))
		}
		v6 := rapid.Bool().Draw(t, "v6")
		o := outer{udp: rapid.Bool().Draw(t, "udp"), class: rapid.Byte().Draw(t, "class")}
		var ports [2]uint16
		if o.udp {
			ports = [2]uint16{rapid.Uint16().Draw(t, "source port"), rapid.Uint16().Draw(t, "destination port")}
		}
		o.source = netip.AddrPortFrom(address(v6, "source"), ports[0])
		o.destination = netip.AddrPortFrom(address(v6, "destination"), ports[1])
		// The longest is what the helper pair carries.
		size := rapid.IntRange(0, ethernetLen+maxPacket-o.size()).Draw(t, "size")
		payload := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "pattern"), size+1)[:size]
		frame := append(make([]byte, o.size()), payload...)
		o.put(frame)
		got, rest := decoded(t, frame)
		if got != o || !bytes.Equal(rest, payload) {
			t.Fatalf("%+v and %d bytes, want %+v and %d bytes", got, len(rest), o, len(payload))
		}
	})
}

// FuzzRebuildIPv4 gives any bytes to what reads a raw socket's packets: they are
// refused, or rebuilt with the payload that they said they have.
func FuzzRebuildIPv4(f *testing.F) {
	f.Add([]byte{0x45, 0x02, 0, 24, 0x12, 0x34, 0x40, 0, 61, 115, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1, 0, 0, 0, 1})
	f.Add([]byte{0x46, 0, 0, 25, 0, 0, 0, 0, 1, 115, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 7, 4, 4, 0, 9, 9})
	f.Add([]byte{0x4f, 0, 0, 20, 0, 0, 0, 0, 1, 115})
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > maxPacket {
			return
		}
		o, payload, end, err := parseIPv4(packet)
		if err != nil {
			return
		}
		want := bytes.Clone(packet[payload:end])
		buf := append(make([]byte, ethernetLen), packet...)
		frame := buf[ethernetLen+payload-o.size() : ethernetLen+end]
		o.put(frame)
		got, rest := decoded(t, frame)
		if got != o || !bytes.Equal(rest, want) || got.udp {
			t.Fatalf("%+v with %x, want %+v with %x", got, rest, o, want)
		}
	})
}

// The mark is the one that the program knows.
func TestMarkIsThatOfTheProgram(t *testing.T) {
	source, err := os.ReadFile("../../bpf/consts.h")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`#define MARK_DECAP (0x[0-9a-f]+)`).FindSubmatch(source)
	if m == nil {
		t.Fatal("bpf/consts.h does not define MARK_DECAP")
	}
	if want, err := strconv.ParseUint(string(m[1]), 0, 32); err != nil || want != mark {
		t.Errorf("mark %#x, MARK_DECAP %#x, error %v", mark, want, err)
	}
}

package dataplane_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"longwire/dataplane"
)

func TestHeader(t *testing.T) {
	header := func(family dataplane.Family, e dataplane.Encapsulation, cookie int, s dataplane.Sublayer, tags int) dataplane.Header {
		return dataplane.Header{Family: family, Encapsulation: e, CookieLen: cookie, Sublayer: s, Tags: tags}
	}
	const ip, udp, none, sublayer = dataplane.EncapsulationIP, dataplane.EncapsulationUDP, dataplane.SublayerNone, dataplane.SublayerDefault
	tests := []struct {
		name   string
		header dataplane.Header
		mtu    int // that 1500 bytes need
	}{
		{"IPv4/IP no cookie", header(dataplane.IPv4, ip, 0, none, 0), 1538},
		{"IPv4/IP cookie 8", header(dataplane.IPv4, ip, 8, none, 0), 1546},
		{"IPv4/UDP cookie 8", header(dataplane.IPv4, udp, 8, none, 0), 1558},
		{"IPv6/IP cookie 8", header(dataplane.IPv6, ip, 8, none, 0), 1566},
		{"IPv6/UDP cookie 8", header(dataplane.IPv6, udp, 8, none, 0), 1578},
		{"IPv6/UDP cookie 8 sublayer", header(dataplane.IPv6, udp, 8, sublayer, 0), 1582},
		{"IPv4/UDP cookie 4", header(dataplane.IPv4, udp, 4, none, 0), 1554},
		{"IPv4/IP cookie 8, one tag", header(dataplane.IPv4, ip, 8, none, 1), 1550},
		{"IPv6/UDP cookie 8 sublayer, three tags", header(dataplane.IPv6, udp, 8, sublayer, 3), 1594},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.header
			if got := h.NeedMTU(1500); got != tt.mtu {
				t.Errorf("1500 bytes need an underlay MTU of %d, want %d", got, tt.mtu)
			}
			for _, mtu := range []int{tt.mtu - 1, tt.mtu, tt.mtu + 1} {
				if got := h.MaxPayload(mtu); got != 1500+mtu-tt.mtu || h.NeedMTU(got) != mtu {
					t.Errorf("an underlay MTU of %d carries %d bytes", mtu, got)
				}
			}
			if got := h.MaxPayload(h.Len() - 1); got != 0 {
				t.Errorf("less than a header carries %d bytes", got)
			}
		})
	}
}

func TestFamilyOf(t *testing.T) {
	tests := []struct {
		addr string
		want dataplane.Family
	}{
		{"192.0.2.1", dataplane.IPv4},
		{"::ffff:192.0.2.1", dataplane.IPv4},
		{"2001:db8::1", dataplane.IPv6},
		{"fe80::1%eth0", dataplane.IPv6},
	}
	for _, tt := range tests {
		if got := dataplane.FamilyOf(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("FamilyOf(%s) = %d, want %d", tt.addr, got, tt.want)
		}
	}
}

// TestOverheadOfKernelPackets compares with packets that the kernel's L2TP sent
// and accepted. The inner frame is found by its MAC addresses, so nothing of the
// sum under test is assumed.
func TestOverheadOfKernelPackets(t *testing.T) {
	for family, name := range map[dataplane.Family]string{dataplane.IPv4: "v4", dataplane.IPv6: "v6"} {
		for _, e := range []dataplane.Encapsulation{dataplane.EncapsulationIP, dataplane.EncapsulationUDP} {
			for sublayer, word := range map[dataplane.Sublayer]string{dataplane.SublayerNone: "none", dataplane.SublayerDefault: "default"} {
				for _, cookie := range []int{0, 8} {
					file := fmt.Sprintf("%s-%v-%s-ck%d.pcap", name, e, word, cookie)
					t.Run(file, func(t *testing.T) {
						checkCapture(t, file, dataplane.Header{Family: family, Encapsulation: e, CookieLen: cookie, Sublayer: sublayer})
					})
				}
			}
		}
	}
}

func checkCapture(t *testing.T, file string, header dataplane.Header) {
	t.Helper()
	seen := 0
	for _, packet := range readCapture(t, filepath.Join("..", "test", "testdata", "captures", file)) {
		total, payload, ok := measure(packet)
		if !ok {
			continue
		}
		seen++
		if got := header.NeedMTU(payload); got != total {
			t.Errorf("outer packet of %d bytes carries a payload of %d, which is said to need %d", total, payload, got)
		}
	}
	if seen < 10 {
		t.Errorf("%d packets with a known inner frame, want at least 10", seen)
	}
}

func readCapture(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, data)
	}
}

// measure returns the length of the outer IP packet and that of the payload of
// the Ethernet frame in it, in bytes.
func measure(frame []byte) (total, payload int, ok bool) {
	outer := frame[14:]
	mac := []byte("\x02\x50\x00\x00\x00") // both customers' begin so
	source := bytes.Index(outer, mac)
	if source < 0 {
		return 0, 0, false
	}
	if bytes.HasPrefix(outer[source+6:], mac) {
		source += 6 // that was the destination
	}
	inner := outer[source+6+2:]
	switch binary.BigEndian.Uint16(outer[source+6:]) {
	case 0x0800:
		payload = int(binary.BigEndian.Uint16(inner[2:]))
	case 0x86dd:
		payload = 40 + int(binary.BigEndian.Uint16(inner[4:]))
	case 0x0806:
		payload = 28
	default:
		return 0, 0, false
	}
	if outer[0]>>4 == 4 {
		return int(binary.BigEndian.Uint16(outer[2:])), payload, true
	}
	return 40 + int(binary.BigEndian.Uint16(outer[4:])), payload, true
}

package lab

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tunnels lists one tunnel of each encapsulation, as PE1 would send.
func tunnels() []Tunnel {
	const session, cookie = 1001, "deadbeefcafef00d"
	return []Tunnel{
		{Source: PE1Source4, Destination: PE2Source4, Session: session, Cookie: cookie},
		{Source: PE1Source4, Destination: PE2Source4, UDP: true, Session: session, Cookie: cookie},
		{Source: PE1Source6, Destination: PE2Source6, Session: session, Cookie: cookie},
		{Source: PE1Source6, Destination: PE2Source6, UDP: true, Session: session, Cookie: cookie},
	}
}

func tunnelPacket(t *testing.T, tunnel Tunnel, inner []byte) []byte {
	t.Helper()
	packet, err := tunnel.Packet(inner)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestInnerAcceptsRightPackets(t *testing.T) {
	t.Parallel()
	inner := Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: Pattern(1, 101)}.Bytes()
	for _, tunnel := range tunnels() {
		got, err := tunnel.Inner(tunnelPacket(t, tunnel, inner))
		if err != nil {
			t.Errorf("%+v: %v", tunnel, err)
		}
		if diff := cmp.Diff(inner, got); diff != "" {
			t.Errorf("%+v: inner frame (-want +got):\n%s", tunnel, diff)
		}
	}
}

func TestInnerRefusesWrongPackets(t *testing.T) {
	t.Parallel()
	const ip, udp4, udp6 = 14, 14 + 20, 14 + 40
	v4, v4udp, v6, v6udp := tunnels()[0], tunnels()[1], tunnels()[2], tunnels()[3]
	tests := []struct {
		name   string
		tunnel Tunnel
		damage func(p []byte) []byte
		want   string
	}{
		{"IPv4 length stale", v4, func(p []byte) []byte { p[ip+2]++; SumIPv4(p); return p }, "IPv4"},
		{"IPv4 length short", v4, func(p []byte) []byte { p[ip+3]--; SumIPv4(p); return p }, "total length"},
		{"IPv4 header checksum", v4, func(p []byte) []byte { p[ip+10] ^= 1; return p }, "header checksum"},
		{"TTL 0", v4, func(p []byte) []byte { p[ip+8] = 0; SumIPv4(p); return p }, "TTL"},
		{"fragment", v4, func(p []byte) []byte { p[ip+6] |= 0x20; SumIPv4(p); return p }, "fragment"},
		{"padded", v4, func(p []byte) []byte { return append(p, 0) }, "total length"},
		{"other session", v4, func(p []byte) []byte { p[udp4+3]++; return p }, "session"},
		{"other cookie", v4, func(p []byte) []byte { p[udp4+4]++; return p }, "cookie"},
		{"UDP length", v4udp, func(p []byte) []byte { p[udp4+5]--; return p }, "UDP length"},
		{"UDP checksum", v4udp, func(p []byte) []byte { p[len(p)-1] ^= 1; return p }, "UDP checksum"},
		{"L2TP version 2", v4udp, func(p []byte) []byte {
			p[udp4+9] = 2
			p[udp4+6], p[udp4+7] = 0, 0
			return p
		}, "version"},
		{"IPv6 length", v6, func(p []byte) []byte { p[ip+5]--; return p }, "payload length"},
		{"IPv6 UDP without checksum", v6udp, func(p []byte) []byte { p[udp6+6], p[udp6+7] = 0, 0; return p }, "checksum 0"},
		{"IPv6 UDP checksum", v6udp, func(p []byte) []byte { p[udp6+30] ^= 1; return p }, "UDP checksum"},
		{"no room for a frame", v6, func(p []byte) []byte {
			binary.BigEndian.PutUint16(p[ip+4:], 12)
			return p[:udp6+12]
		}, "no frame"},
	}
	inner := Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: Pattern(1, 100)}.Bytes()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.tunnel.Inner(tt.damage(tunnelPacket(t, tt.tunnel, inner)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
			if errors.Is(err, errNotOurs) {
				t.Error("a damaged packet is taken for another conversation")
			}
		})
	}
}

func TestInnerLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	inner := Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: Pattern(1, 100)}.Bytes()
	ours := tunnels()[0]
	back := ours
	back.Source, back.Destination = ours.Destination, ours.Source
	other := ours
	other.Destination = netip.MustParseAddr("192.0.2.99")
	arp := Frame{Destination: Broadcast, EtherType: 0x0806, Payload: make([]byte, 28)}.Bytes()
	for name, packet := range map[string][]byte{
		"other direction":   tunnelPacket(t, back, inner),
		"other destination": tunnelPacket(t, other, inner),
		"UDP, not IP":       tunnelPacket(t, tunnels()[1], inner),
		"IPv6":              tunnelPacket(t, tunnels()[2], inner),
		"ARP":               arp,
	} {
		if _, err := ours.Inner(packet); !errors.Is(err, errNotOurs) {
			t.Errorf("%s: error %v, want that it is not ours", name, err)
		}
	}
}

func TestSuperFramesBeforeTheyAreCut(t *testing.T) {
	t.Parallel()
	tunnel := tunnels()[1]
	inner := Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: Pattern(1, 1000)}.Bytes()
	packet := tunnelPacket(t, tunnel, inner)
	packet[14+20+6] ^= 0xff // the checksum is for the device to finish
	if _, err := tunnel.Inner(packet); err == nil {
		t.Error("an unfinished checksum on the wire is accepted")
	}
	tunnel.Super = true
	if _, err := tunnel.Inner(packet); err != nil {
		t.Errorf("an unfinished checksum in a super-frame: %v", err)
	}
	for _, tt := range []struct {
		said  uint16
		bytes int
		want  bool
	}{{1000, 1000, true}, {1000, 1001, false}, {0, 65535, false}, {0, 65536, true}, {1, 65537, false}} {
		if got := tunnel.sameLength(tt.said, tt.bytes); got != tt.want {
			t.Errorf("length %d for %d bytes: %v, want %v", tt.said, tt.bytes, got, tt.want)
		}
	}
}

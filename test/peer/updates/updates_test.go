package updates_test

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"longwire/test/peer/updates"
)

var (
	client    = netip.MustParseAddr("192.0.2.1")
	reflector = netip.MustParseAddr("192.0.2.254")
)

// packet is one TCP segment from the client to port 179 of the reflector.
func packet(t *testing.T, from, to netip.Addr, number uint32, syn bool, payload []byte) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP(from.AsSlice()), DstIP: net.IP(to.AsSlice())}
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 179, Seq: number, SYN: syn}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4},
		ip, tcp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	marker = "ffffffffffffffffffffffffffffffff"
	key    = "0001c00002010001 00000000000000000000 00000065"
	nlri   = "01 19" + key + "000030"
	// A KEEPALIVE, an UPDATE with one route, its withdrawal, and an End-of-RIB.
	keepalive = marker + "0013 04"
	announce  = marker + "0051 02 0000 003a" +
		"40 01 01 00" + "40 05 04 00000064" +
		"90 0e 0024 0019 46 04 c0000201 00" + nlri +
		"c0 17 04 00010000"
	withdraw = marker + "0038 02 0000 0021 80 0f 1e 0019 46" + nlri
	end      = marker + "001d 02 0000 0006 80 0f 03 0019 46"
)

// A capture is out of order, has pieces twice, and numbers that wrap around.
func TestSent(t *testing.T) {
	const begin = 0xffffffd0
	stream := unhex(t, keepalive+announce+withdraw+end+keepalive[:10])
	var packets [][]byte
	for _, piece := range [][2]int{{100, len(stream)}, {0, 30}, {10, 60}, {50, 120}, {0, 30}} {
		packets = append(packets, packet(t, client, reflector, begin+1+uint32(piece[0]), false, stream[piece[0]:piece[1]]))
	}
	packets = append(packets,
		packet(t, client, reflector, begin, true, nil), packet(t, client, reflector, begin, true, nil),
		packet(t, reflector, client, 7, true, nil), packet(t, reflector, client, 8, false, unhex(t, withdraw)))
	got, err := updates.Sent(packets, client, reflector)
	if err != nil {
		t.Fatal(err)
	}
	attribute := func(bytes string) updates.Attribute {
		b := unhex(t, bytes)
		return updates.Attribute{Type: b[1], Bytes: b, Value: b[3:]}
	}
	route := updates.Route{Key: string(unhex(t, key)), Tag: 101, Label: 0x30}
	announced, withdrawn := route, route
	withdrawn.Withdrawn = true
	announced.NextHop = client
	announced.Attributes = map[byte]updates.Attribute{
		updates.Origin: attribute("400101 00"), updates.LocalPref: attribute("400504 00000064"),
		updates.TunnelEncapsulation: attribute("c01704 00010000"),
	}
	if diff := cmp.Diff([]updates.Route{announced, withdrawn}, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if back, err := updates.Sent(packets, reflector, client); err != nil || len(back) != 1 || !back[0].Withdrawn {
		t.Errorf("the other way: %+v, %v", back, err)
	}
}

func TestSentErrors(t *testing.T) {
	whole := unhex(t, announce)
	cut := func(n int) []byte { // the message ends inside of something
		b := append([]byte(nil), whole[:n]...)
		b[16], b[17] = 0, byte(n)
		return b
	}
	inside := append([]byte(nil), whole...)
	inside[19+4+4+7+4+9+1]++ // the length of the NLRI
	for name, test := range map[string]struct {
		packets [][]byte
		want    string
	}{
		"a piece is missing":  {[][]byte{packet(t, client, reflector, 12, false, whole)}, "bytes are missing"},
		"a second connection": {[][]byte{packet(t, client, reflector, 90, true, nil)}, "two connections"},
		"no BGP":              {[][]byte{packet(t, client, reflector, 11, false, make([]byte, 30))}, "a message of 0 bytes"},
		"cut attributes":      {[][]byte{packet(t, client, reflector, 11, false, cut(60))}, "ends too early"},
		"cut lengths":         {[][]byte{packet(t, client, reflector, 11, false, cut(22))}, "ends too early"},
		"cut route":           {[][]byte{packet(t, client, reflector, 11, false, inside)}, "ends too early"},
	} {
		packets := append([][]byte{packet(t, client, reflector, 10, true, nil)}, test.packets...)
		if _, err := updates.Sent(packets, client, reflector); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

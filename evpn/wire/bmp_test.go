package wire_test

import (
	stdbytes "bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/osrg/gobgp/v3/pkg/packet/bmp"

	"longwire/evpn"
	"longwire/evpn/wire"
)

// peerHeader is GoBGP's per-peer header of a post-policy route.
func peerHeader(address string) bmp.BMPPeerHeader {
	return *bmp.NewBMPPeerHeader(bmp.BMP_PEER_TYPE_GLOBAL, bmp.BMP_PEER_FLAG_POST_POLICY, 0, address, 65000, "192.0.2.254", 1700000000)
}

// serialize gives the bytes that GoBGP sends.
func serialize(t testing.TB, m *bmp.BMPMessage) []byte {
	t.Helper()
	b, err := m.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func routeMonitoring(t testing.TB, address string, message []byte) []byte {
	m := bmp.NewBMPRouteMonitoring(peerHeader(address), nil)
	m.Body.(*bmp.BMPRouteMonitoring).BGPUpdatePayload = message
	return serialize(t, m)
}

// open is an OPEN that offers families, each in an optional parameter of its own.
func open(families ...bgp.RouteFamily) *bgp.BGPMessage {
	var parameters []bgp.OptionParameterInterface
	for _, f := range families {
		parameters = append(parameters, bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{
			bgp.NewCapRouteRefresh(), bgp.NewCapMultiProtocol(f),
		}))
	}
	return bgp.NewBGPOpenMessage(65000, 90, "192.0.2.254", parameters)
}

// peerUp is the message of a session whose other end has sent an OPEN.
func peerUp(t testing.TB, theirs *bgp.BGPMessage) []byte {
	return serialize(t, bmp.NewBMPPeerUpNotification(peerHeader("192.0.2.254"), "192.0.2.1", 179, 40000, open(bgp.RF_EVPN), theirs))
}

// cut takes n bytes off the end.
func cut(b []byte, n int) []byte { return b[:len(b)-n] }

func TestDecodeBMP(t *testing.T) {
	received := time.Unix(1700000000, 0)
	six := netip.MustParseAddr("2001:db8::fe")
	notification := bgp.NewBGPNotificationMessage(bgp.BGP_ERROR_CEASE, bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, nil)
	down := func(reason uint8, n *bgp.BGPMessage) []byte {
		return serialize(t, bmp.NewBMPPeerDownNotification(peerHeader("192.0.2.254"), reason, n, []byte{0, 0}))
	}
	ofPeer := func(kind wire.BMPKind) wire.BMPMessage {
		return wire.BMPMessage{Kind: kind, Peer: peer, Time: received, PostPolicy: true}
	}
	downWith := func(cause uint8, text string, code, subcode uint8) wire.BMPMessage {
		m := ofPeer(wire.BMPPeerDown)
		m.Down = wire.Down{Cause: cause, Text: text, Code: code, Subcode: subcode}
		return m
	}
	withEVPN := ofPeer(wire.BMPPeerUp)
	withEVPN.EVPN = true
	route := ofPeer(wire.BMPRouteMonitoring)
	route.Update.Reach = []evpn.Endpoint{route101()}
	route6 := route
	route6.Peer = six
	route6.Update.Reach = []evpn.Endpoint{route101()}
	route6.Update.Reach[0].Peer = six
	good := update(origin, asPath, reach101, communities, tunnel1001)
	for _, test := range []struct {
		name  string
		bytes []byte
		want  wire.BMPMessage
	}{
		{"initiation", serialize(t, bmp.NewBMPInitiation([]bmp.BMPInfoTLVInterface{
			bmp.NewBMPInfoTLVString(bmp.BMP_INIT_TLV_TYPE_SYS_DESCR, "GoBGP"),
			bmp.NewBMPInfoTLVString(bmp.BMP_INIT_TLV_TYPE_SYS_NAME, "a token"),
		})), wire.BMPMessage{Kind: wire.BMPInitiation, SysName: "a token"}},
		{"initiation without a name", serialize(t, bmp.NewBMPInitiation(nil)), wire.BMPMessage{Kind: wire.BMPInitiation}},
		{"route of an IPv4 peer", routeMonitoring(t, "192.0.2.254", good), route},
		{"route of an IPv6 peer", routeMonitoring(t, "2001:db8::fe", good), route6},
		{"peer up", peerUp(t, open(bgp.RF_IPv4_UC, bgp.RF_EVPN)), withEVPN},
		{"peer up without capabilities", peerUp(t, open()), ofPeer(wire.BMPPeerUp)},
		{"peer up of other families", peerUp(t, open(bgp.RF_IPv4_UC, bgp.RF_VPLS)), ofPeer(wire.BMPPeerUp)},
		{"peer up, cut", cut(peerUp(t, open(bgp.RF_EVPN)), 4), ofPeer(wire.BMPPeerUp)},
		{"peer down, we notified", down(1, notification), downWith(1, "we closed the session: cease (6/2)", 6, 2)},
		{"peer down by an event of ours", down(2, nil), downWith(2, "we closed the session without a notification", 0, 0)},
		{"peer down, notified", down(3, notification), downWith(3, "the peer closed the session: cease (6/2)", 6, 2)},
		{"peer down into graceful restart", down(3, nil), downWith(3, "the session was lost, graceful restart runs", 0, 0)},
		{"peer down, lost", down(4, nil), downWith(4, "the session was lost", 0, 0)},
		{"peer down, removed", down(5, nil), downWith(5, "the peer was removed from the configuration", 0, 0)},
		{"peer down for a reason of the future", down(99, nil), downWith(99, "unknown reason 99", 0, 0)},
		{"statistics", serialize(t, bmp.NewBMPStatisticsReport(peerHeader("192.0.2.254"), nil)), ofPeer(wire.BMPStatistics)},
		{"termination", serialize(t, bmp.NewBMPTermination(nil)), wire.BMPMessage{Kind: wire.BMPTermination}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := wire.DecodeBMP(test.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, compareAddresses); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeBMPMalformed(t *testing.T) {
	full := routeMonitoring(t, "192.0.2.254", update(origin, reach101, communities, tunnel1001))
	for n := range len(full) {
		m, err := wire.DecodeBMP(full[:n])
		if !errors.Is(err, wire.ErrMalformed) || len(m.Update.Reach) > 0 {
			t.Errorf("cut to %d bytes: %+v, %v", n, m, err)
		}
	}
}

func TestReadBMP(t *testing.T) {
	one := serialize(t, bmp.NewBMPInitiation(nil))
	two := routeMonitoring(t, "192.0.2.254", update())
	r := stdbytes.NewReader(append(append([]byte{}, one...), two...))
	for i, want := range [][]byte{one, two} {
		got, err := wire.ReadBMP(r)
		if err != nil || !stdbytes.Equal(got, want) {
			t.Errorf("message %d: %x, %v; want %x", i, got, err, want)
		}
	}
	if _, err := wire.ReadBMP(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestReadBMPErrors(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want error
	}{
		"version 2":       {"02 00000006 04", wire.ErrMalformed},
		"length 5":        {"03 00000005 04", wire.ErrMalformed},
		"length 16 MB":    {"03 01000000 04", wire.ErrMalformed},
		"header cut":      {"03 0000", io.ErrUnexpectedEOF},
		"body missing":    {"03 00000007 04", io.ErrUnexpectedEOF},
		"an HTTP request": {hexOf([]byte("GET / HTTP/1.1")), wire.ErrMalformed},
	} {
		if _, err := wire.ReadBMP(stdbytes.NewReader(bytes(test.in))); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// A decoder of ours that fails must not take the agent along.
func TestDecodeBMPCatchesPanics(t *testing.T) {
	_, err := wire.DecodeBMPPanicking()
	if !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), "decoding panicked") {
		t.Errorf("error %v", err)
	}
}

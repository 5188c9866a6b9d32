package wire_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/evpn"
	"longwire/evpn/wire"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// Sub-TLVs of the worked example.
const (
	session1001 = "01 0c 000003e9 deadbeefcafef00d"
	egress4     = "06 0a 00000000 0001 c0000201"
	egress6     = "06 16 00000000 0002 20010db8000000000000000000000001"
	egressNone  = "06 06 00000000 0000"
)

// decodeTunnel decodes a route with the given attribute 23 ("" = absent).
func decodeTunnel(t *testing.T, attribute string) evpn.Endpoint {
	t.Helper()
	u, err := wire.DecodeUpdate(peer, update(origin, asPath, reach101, communities, attribute))
	if err != nil || len(u.Reach) != 1 {
		t.Fatalf("decode: %+v, %v", u, err)
	}
	return u.Reach[0]
}

func TestTunnelsAccepted(t *testing.T) {
	one := evpn.Tunnel{Session: 1001, Cookie: "\xde\xad\xbe\xef\xca\xfe\xf0\x0d", Endpoint: pe1}
	with := func(change func(*evpn.Tunnel)) []evpn.Tunnel {
		t := one
		change(&t)
		return []evpn.Tunnel{t}
	}
	for _, test := range []struct {
		name      string
		attribute string
		want      []evpn.Tunnel
	}{
		{"worked example", tunnel1001, []evpn.Tunnel{one}},
		{"without color", tunnelAttribute(tlv(1, session1001, egress4)), []evpn.Tunnel{one}},
		{"sub-TLVs in another order", tunnelAttribute(tlv(1, egress4, session1001)), []evpn.Tunnel{one}},
		{"no cookie", tunnelAttribute(tlv(1, "01 04 000003e9", egress4)), with(func(t *evpn.Tunnel) { t.Cookie = "" })},
		{"cookie of 4", tunnelAttribute(tlv(1, "01 08 000003e9 01020304", egress4)), with(func(t *evpn.Tunnel) { t.Cookie = "\x01\x02\x03\x04" })},
		{"IPv6 endpoint", tunnelAttribute(tlv(1, session1001, egress6)), with(func(t *evpn.Tunnel) { t.Endpoint = netip.MustParseAddr("2001:db8::1") })},
		{"endpoint left to the next hop", tunnelAttribute(tlv(1, session1001, egressNone)), with(func(t *evpn.Tunnel) { t.Endpoint = netip.Addr{} })},
		{"Longwire's UDP port", tunnelAttribute(tlv(1, session1001, egress4, "7e 02 06a5")), with(func(t *evpn.Tunnel) { t.UDPPort = 1701 })},
		{"UDP port of a wrong size is ignored", tunnelAttribute(tlv(1, session1001, egress4, "7e 03 06a500")), []evpn.Tunnel{one}},
		{"sub-TLV 8 is disregarded for this type", tunnelAttribute(tlv(1, session1001, egress4, "08 02 06a5")), []evpn.Tunnel{one}},
		{"unknown sub-TLVs, short and long", tunnelAttribute(tlv(1, "63 01 00", session1001, "c8 0003 aabbcc", egress4)), []evpn.Tunnel{one}},
		{"the first of two encapsulations", tunnelAttribute(tlv(1, session1001, "01 04 00000007", egress4)), []evpn.Tunnel{one}},
		{"unknown tunnel type beside", tunnelAttribute(tlv(99, "01 01 00"), tlv(1, session1001, egress4)), []evpn.Tunnel{one}},
		{"two tunnels in their order", tunnelAttribute(tlv(1, "01 04 00000002", egress6), tlv(1, session1001, egress4)),
			[]evpn.Tunnel{{Session: 2, Endpoint: netip.MustParseAddr("2001:db8::1")}, one}},
		{"a bad tunnel beside a good one", tunnelAttribute(tlv(1, "01 07 00000002 aabbcc", egress6), tlv(1, session1001, egress4)), []evpn.Tunnel{one}},
		{"a tunnel without endpoint beside a good one", tunnelAttribute(tlv(1, session1001), tlv(1, session1001, egress4)), []evpn.Tunnel{one}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ep := decodeTunnel(t, test.attribute)
			if diff := cmp.Diff(test.want, ep.Tunnels, compareAddresses); diff != "" {
				t.Errorf("tunnels (-want +got):\n%s", diff)
			}
			if p := evpn.Validate(ep); p != nil {
				t.Errorf("refused: %v", p)
			}
		})
	}
}

// Every row of the verdicts on attribute 23: none of these routes may be used.
func TestTunnelsRefused(t *testing.T) {
	for _, test := range []struct {
		name      string
		attribute string
		reason    evpn.Reason
		detail    string
	}{
		{"absent", "", evpn.ReasonNoEncapsulation, "has no Tunnel Encapsulation attribute"},
		{"empty", "c0 17 00", evpn.ReasonNoEncapsulation, "no tunnel of type 1"},
		{"one stray byte", "c0 17 01 00", evpn.ReasonNoEncapsulation, "runs past its end"},
		{"header cut", "c0 17 03 0001 00", evpn.ReasonNoEncapsulation, "runs past its end"},
		{"TLV longer than the attribute", "c0 17 05 0001 0002 01", evpn.ReasonNoEncapsulation, "runs past its end"},
		{"trailing byte after the last TLV", tunnelAttribute(tlv(1, session1001, egress4), "00"), evpn.ReasonNoEncapsulation, "runs past its end"},
		{"TLV ends inside a sub-TLV", tunnelAttribute(tlv(1, session1001, egress4, "04 08 030b")), evpn.ReasonNoEncapsulation, "sub-TLV 4 does not end"},
		{"TLV ends after a sub-TLV type", tunnelAttribute(tlv(1, session1001, egress4, "04")), evpn.ReasonNoEncapsulation, "sub-TLV 4 does not end"},
		{"a long sub-TLV is cut", tunnelAttribute(tlv(1, session1001, egress4, "c8 00")), evpn.ReasonNoEncapsulation, "sub-TLV 200"},
		{"another TLV of the attribute is cut", tunnelAttribute(tlv(1, session1001, egress4), tlv(99, "01 09 00")), evpn.ReasonNoEncapsulation, "malformed"},
		{"only an unknown tunnel type", tunnelAttribute(tlv(99, session1001, egress4)), evpn.ReasonNoEncapsulation, "no tunnel of type 1"},
		{"VXLAN", tunnelAttribute(tlv(8, egress4)), evpn.ReasonNoEncapsulation, "no tunnel of type 1"},
		{"no encapsulation sub-TLV", tunnelAttribute(tlv(1, egress4)), evpn.ReasonNoEncapsulation, "no encapsulation sub-TLV"},
		{"no sub-TLV at all", tunnelAttribute(tlv(1)), evpn.ReasonNoEncapsulation, "no encapsulation sub-TLV"},
		{"encapsulation of 3 bytes", tunnelAttribute(tlv(1, "01 03 0003e9", egress4)), evpn.ReasonNoEncapsulation, "has 3 bytes"},
		{"session 0", tunnelAttribute(tlv(1, "01 0c 00000000 deadbeefcafef00d", egress4)), evpn.ReasonBadSessionID, ""},
		{"cookie of 1", tunnelAttribute(tlv(1, "01 05 000003e9 01", egress4)), evpn.ReasonBadCookie, "not 1"},
		{"cookie of 3", tunnelAttribute(tlv(1, "01 07 000003e9 010203", egress4)), evpn.ReasonBadCookie, "not 3"},
		{"cookie of 12", tunnelAttribute(tlv(1, "01 10 000003e9 0102030405060708090a0b0c", egress4)), evpn.ReasonBadCookie, "not 12"},
		{"a bad first encapsulation is not made good by a second", tunnelAttribute(tlv(1, "01 07 000003e9 010203", session1001, egress4)),
			evpn.ReasonBadCookie, "not 3"},
		{"no endpoint", tunnelAttribute(tlv(1, session1001)), evpn.ReasonBadEndpoint, "0 egress endpoints"},
		{"two endpoints", tunnelAttribute(tlv(1, session1001, egress4, egress4)), evpn.ReasonBadEndpoint, "2 egress endpoints"},
		{"endpoint of 5 bytes", tunnelAttribute(tlv(1, session1001, "06 05 00000000 00")), evpn.ReasonBadEndpoint, "5 bytes"},
		{"endpoint of family 1 and 16 bytes", tunnelAttribute(tlv(1, session1001, "06 16 00000000 0001 20010db8000000000000000000000001")),
			evpn.ReasonBadEndpoint, "family 1"},
		{"endpoint of family 0 and 4 bytes", tunnelAttribute(tlv(1, session1001, "06 0a 00000000 0000 c0000201")), evpn.ReasonBadEndpoint, "family 0"},
		{"endpoint of family 3", tunnelAttribute(tlv(1, session1001, "06 0a 00000000 0003 c0000201")), evpn.ReasonBadEndpoint, "family 3"},
		{"endpoint 0.0.0.0", tunnelAttribute(tlv(1, session1001, "06 0a 00000000 0001 00000000")), evpn.ReasonBadEndpoint, "unspecified"},
		{"endpoint multicast", tunnelAttribute(tlv(1, session1001, "06 0a 00000000 0001 e0000001")), evpn.ReasonBadEndpoint, "multicast"},
		{"endpoint loopback", tunnelAttribute(tlv(1, session1001, "06 0a 00000000 0001 7f000001")), evpn.ReasonBadEndpoint, "loopback"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ep := decodeTunnel(t, test.attribute)
			if len(ep.Tunnels) != 0 {
				t.Errorf("tunnels %+v, want none", ep.Tunnels)
			}
			p := evpn.Validate(ep)
			if p == nil || p.Reason != test.reason || !strings.Contains(p.Detail, test.detail) {
				t.Errorf("problem %v, want %s with %q", p, test.reason, test.detail)
			}
		})
	}
}

// A tunnel that ends at a bad next hop is refused for the next hop.
func TestTunnelAtABadNextHop(t *testing.T) {
	u, err := wire.DecodeUpdate(peer, update(origin, "80 0e 24 0019 46 04 7f000001 00", nlri101, communities,
		tunnelAttribute(tlv(1, session1001, egressNone))))
	if err != nil {
		t.Fatal(err)
	}
	if p := evpn.Validate(u.Reach[0]); p == nil || p.Reason != evpn.ReasonBadNextHop {
		t.Errorf("problem %v, want bad_next_hop", p)
	}
}

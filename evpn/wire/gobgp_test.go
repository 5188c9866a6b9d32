package wire_test

import (
	"errors"
	"testing"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"longwire/evpn"
	"longwire/evpn/wire"
)

// throughGoBGP parses a message as GoBGP does, drops what it drops, and writes
// the rest again as its BMP client does with every path.
func throughGoBGP(t *testing.T, message []byte) []byte {
	t.Helper()
	m, err := bgp.ParseBGPMessage(message)
	var e *bgp.MessageError
	if err != nil && (!errors.As(err, &e) || e.ErrorHandling != bgp.ERROR_HANDLING_ATTRIBUTE_DISCARD) {
		t.Fatalf("GoBGP does not deliver this: %v", err)
	}
	var attributes []bgp.PathAttributeInterface
	for _, a := range m.Body.(*bgp.BGPUpdate).PathAttributes {
		if reach, ok := a.(*bgp.PathAttributeMpReachNLRI); ok {
			a = bgp.NewPathAttributeMpReachNLRI(reach.Nexthop.String(), reach.Value)
		}
		attributes = append(attributes, a)
	}
	b, err := bgp.NewBGPUpdateMessage(nil, attributes, nil).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// GoBGP repairs, drops and passes bad input in its own ways. Whatever it makes
// of these routes, none may come out usable, and the good ones must.
func TestVerdictsAfterGoBGP(t *testing.T) {
	for _, test := range []struct {
		name    string
		message []byte
		reason  evpn.Reason // "" = usable
	}{
		{"the worked example", update(origin, asPath, reach101, communities, tunnel1001), ""},
		{"unknown tunnel type beside", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(99, "63 01 00"), tlv(1, session1001, egress4))), ""},
		{"second encapsulation", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(1, session1001, "01 04 00000007", egress4))), ""},
		{"encapsulation community", update(origin, asPath, reach101,
			"c0 10 18 0002fde800000001 030c000000000001 0604 0000 05dc 0000", tunnel1001), ""},
		{"no attribute 23", update(origin, asPath, reach101, communities), evpn.ReasonNoEncapsulation},
		{"TLV longer than its sub-TLVs", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(1, session1001, egress4, "040803"))), evpn.ReasonNoEncapsulation},
		{"TLV longer than the attribute", update(origin, asPath, reach101, communities, "c0 17 05 0001 0002 01"), evpn.ReasonNoEncapsulation},
		{"only an unknown tunnel type", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(99, session1001, egress4))), evpn.ReasonNoEncapsulation},
		{"malformed sub-TLV", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(1, session1001, egress4, "04 02 030b"))), evpn.ReasonNoEncapsulation},
		{"no egress endpoint", update(origin, asPath, reach101, communities, tunnelAttribute(tlv(1, session1001))), evpn.ReasonBadEndpoint},
		{"two egress endpoints", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(1, session1001, egress4, egress4))), evpn.ReasonBadEndpoint},
		{"cookie of 3", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(1, "01 07 000003e9 010203", egress4))), evpn.ReasonBadCookie},
		{"cookie of 12", update(origin, asPath, reach101, communities,
			tunnelAttribute(tlv(1, "01 10 000003e9 0102030405060708090a0b0c", egress4))), evpn.ReasonBadCookie},
		{"session 0", update(origin, asPath, reach101, communities, tunnelAttribute(tlv(1, "01 04 00000000", egress4))), evpn.ReasonBadSessionID},
		{"next hop of length 0", update(origin, asPath, "80 0e 20 0019 46 00 00", nlri101, communities, tunnel1001), evpn.ReasonBadNextHop},
		{"next hop 0.0.0.0", update(origin, asPath, "80 0e 24 0019 46 04 00000000 00", nlri101, communities, tunnel1001), evpn.ReasonBadNextHop},
		{"next hop multicast", update(origin, asPath, "80 0e 24 0019 46 04 e0000001 00", nlri101, communities, tunnel1001), evpn.ReasonBadNextHop},
		{"next hop loopback", update(origin, asPath, "80 0e 24 0019 46 04 7f000001 00", nlri101, communities, tunnel1001), evpn.ReasonBadNextHop},
		{"label 16", update(origin, asPath, "80 0e 24 0019 46 04 c0000201 00 01 19 0001c00002010001 00000000000000000000 00000065 000100",
			communities, tunnel1001), evpn.ReasonBadLabel},
		{"ESI", update(origin, asPath, "80 0e 24 0019 46 04 c0000201 00 01 19 0001c00002010001 00112233445566778899 00000065 000030",
			communities, tunnel1001), evpn.ReasonMultihomed},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := wire.DecodeUpdate(peer, throughGoBGP(t, test.message))
			if err != nil || len(u.Reach) != 1 {
				t.Fatalf("%+v, %v", u, err)
			}
			switch p := evpn.Validate(u.Reach[0]); {
			case test.reason == "" && p != nil:
				t.Errorf("refused: %v", p)
			case test.reason != "" && (p == nil || p.Reason != test.reason):
				t.Errorf("problem %v, want %s", p, test.reason)
			}
		})
	}
}

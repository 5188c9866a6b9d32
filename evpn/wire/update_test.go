package wire_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/evpn"
	"longwire/evpn/wire"
)

func TestDecodeUpdateGolden(t *testing.T) {
	with := func(change func(*evpn.Endpoint)) []evpn.Endpoint {
		ep := route101()
		change(&ep)
		return []evpn.Endpoint{ep}
	}
	same := func(*evpn.Endpoint) {}
	for _, test := range []struct {
		name  string
		bytes []byte
		want  wire.Update
	}{
		{"iBGP route", update(origin, asPath, localPref, reach101, communities, tunnel1001), wire.Update{Reach: with(same)}},
		{"attributes in another order", update(tunnel1001, communities, reach101, origin), wire.Update{Reach: with(same)}},
		{"reflected", update(origin, reach101, communities, tunnel1001, "80 09 04 c0000207", "80 0a 04 c00002fe"),
			wire.Update{Reach: with(func(ep *evpn.Endpoint) { ep.Originator = netip.MustParseAddr("192.0.2.7") })}},
		{"IPv6 next hop", update(origin, "80 0e 30 0019 46 10 20010db8000000000000000000000001 00", nlri101, communities, tunnel1001),
			wire.Update{Reach: with(func(ep *evpn.Endpoint) { ep.NextHop = netip.MustParseAddr("2001:db8::1") })}},
		{"IPv6 next hop with link-local", update(origin,
			"80 0e 40 0019 46 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00", nlri101, communities, tunnel1001),
			wire.Update{Reach: with(func(ep *evpn.Endpoint) { ep.NextHop = netip.MustParseAddr("2001:db8::1") })}},
		{"IPv4-mapped next hop", update(origin, "80 0e 30 0019 46 10 00000000000000000000ffffc0000201 00", nlri101, communities, tunnel1001),
			wire.Update{Reach: with(same)}},
		{"extended length", update(origin, "90 0e 0024 0019 46 04 c0000201 00", nlri101, communities, tunnel1001), wire.Update{Reach: with(same)}},
		{"two route targets and an encapsulation community", update(origin, reach101,
			"c0 10 20 0002fde800000001 0102c000020100c8 030c000000000001 0604 0006 2328 0000", tunnel1001),
			wire.Update{Reach: with(func(ep *evpn.Endpoint) {
				ep.RouteTargets = append(ep.RouteTargets, evpn.RouteTarget{1, 2, 192, 0, 2, 1, 0, 200})
				ep.L2 = evpn.L2Attributes{Flags: evpn.FlagControlWord | evpn.FlagPrimary, MTU: 9000}
			})}},
		{"the first Layer 2 Attributes count", update(origin, reach101,
			"c0 10 18 0002fde800000001 0604000005dc0000 0604000723280000", tunnel1001), wire.Update{Reach: with(same)}},
		{"no extended communities", update(origin, reach101, tunnel1001),
			wire.Update{Reach: with(func(ep *evpn.Endpoint) { ep.RouteTargets, ep.L2, ep.HasL2 = nil, evpn.L2Attributes{}, false })}},
		{"label 0 and an ESI", update(origin, "80 0e 24 0019 46 04 c0000201 00 01 19 0001c00002010001 00112233445566778899 00000065 000000",
			communities, tunnel1001), wire.Update{Reach: with(func(ep *evpn.Endpoint) {
			ep.ESI = evpn.ESI{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99}
			ep.Label = 0
		})}},
		{"withdrawal", update("80 0f 1e 0019 46", nlri101), wire.Update{Unreach: []evpn.Key{route101().Key}}},
		{"per-ES routes and other route types are passed over", update("80 0f 3d 0019 46", nlri101,
			"01 19 0001c00002010001 00000000000000000000 ffffffff 000030", "03 02 abcd"), wire.Update{Unreach: []evpn.Key{route101().Key}}},
		{"End-of-RIB of EVPN", update("80 0f 03 0019 46"), wire.Update{EndOfRIB: true}},
		{"End-of-RIB of IPv6", update("80 0f 03 0002 01"), wire.Update{}},
		{"End-of-RIB of IPv4", update(), wire.Update{}},
		{"a route of another family", update(origin, "80 0e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8"), wire.Update{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := wire.DecodeUpdate(peer, test.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, compareAddresses); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeUpdateTwoRoutes(t *testing.T) {
	u, err := wire.DecodeUpdate(peer, update(origin, "80 0e 3f 0019 46 04 c0000201 00", nlri101,
		strings.Replace(nlri101, "00000065", "00000066", 1), communities, tunnel1001))
	if err != nil || len(u.Reach) != 2 || u.Reach[0].Tag != 101 || u.Reach[1].Tag != 102 {
		t.Fatalf("%+v, %v", u, err)
	}
	u.Reach[1].Tag = 101
	if diff := cmp.Diff(u.Reach[0], u.Reach[1], compareAddresses); diff != "" {
		t.Errorf("the second route has other attributes:\n%s", diff)
	}
}

// A broken message gives an error and whatever could still be read, never a
// route that looks usable.
func TestDecodeUpdateMalformed(t *testing.T) {
	good := update(origin, reach101, communities, tunnel1001)
	for _, test := range []struct {
		name  string
		bytes []byte
		reach int // routes that remain
	}{
		{"empty", nil, 0},
		{"header only", good[:19], 0},
		{"wrong length", append(update(origin), 0), 0},
		{"KEEPALIVE", append([]byte(strings.Repeat("\xff", 16)), 0, 19, 4), 0},
		{"attribute runs past the end", update(origin, reach101, communities, "c0 17 29 0001"), 1},
		{"attribute header cut", update(origin, "80"), 0},
		{"MP_REACH_NLRI of two bytes", update(origin, "80 0e 02 0019"), 0},
		{"next hop runs past the end", update(origin, "80 0e 09 0019 46 10 c0000201 00"), 0},
		{"MP_UNREACH_NLRI of two bytes", update("80 0f 02 0019"), 0},
		{"A-D route of length 0", update(origin, "80 0e 0b 0019 46 04 c0000201 00 0100", tunnel1001), 0},
		{"A-D route of length 2", update(origin, "80 0e 0d 0019 46 04 c0000201 00 0102abcd", tunnel1001), 0},
		{"A-D route of length 2 before a good one", update(origin, "80 0e 28 0019 46 04 c0000201 00 0102abcd", nlri101, tunnel1001), 1},
		{"NLRI runs past the end", update(origin, "80 0e 0d 0019 46 04 c0000201 00 0119abcd", tunnel1001), 0},
		{"good NLRI before one that runs past the end", update(origin, "80 0e 26 0019 46 04 c0000201 00", nlri101, "0119", tunnel1001), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := wire.DecodeUpdate(peer, test.bytes)
			if !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("error %v, want ErrMalformed", err)
			}
			if len(u.Reach) != test.reach {
				t.Errorf("%d routes, want %d", len(u.Reach), test.reach)
			}
		})
	}
	for n := range good {
		if u, err := wire.DecodeUpdate(peer, good[:n]); err == nil || len(u.Reach) > 0 {
			t.Errorf("cut to %d bytes: %+v, %v", n, u, err)
		}
	}
}

// An attribute that is cut off leaves its route without it, and so refused.
func TestCutAttributeFailsClosed(t *testing.T) {
	u, _ := wire.DecodeUpdate(peer, update(origin, reach101, communities, "c0 17 29 0001"))
	if p := evpn.Validate(u.Reach[0]); p == nil || p.Reason != evpn.ReasonNoEncapsulation {
		t.Errorf("problem %v, want no_encapsulation", p)
	}
}

func TestNextHopVerdicts(t *testing.T) {
	for _, test := range []struct{ name, hop string }{
		{"of length 0", "00"},
		{"of length 3", "03 c00002"},
		{"of length 5", "05 c000020101"},
		{"0.0.0.0", "04 00000000"},
		{"multicast", "04 e0000005"},
		{"loopback", "04 7f000001"},
		{"::", "10 00000000000000000000000000000000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hop := bytes(test.hop)
			value := append(append([]byte{0, 25, 70}, hop...), 0)
			value = append(value, bytes(nlri101)...)
			attribute := append([]byte{0x80, 14, byte(len(value))}, value...)
			message := update(origin, hexOf(attribute), communities, tunnel1001)
			u, err := wire.DecodeUpdate(peer, message)
			if err != nil || len(u.Reach) != 1 {
				t.Fatalf("%+v, %v", u, err)
			}
			if p := evpn.Validate(u.Reach[0]); p == nil || p.Reason != evpn.ReasonBadNextHop {
				t.Errorf("problem %v, want bad_next_hop", p)
			}
		})
	}
}

func TestCommunitiesOfAnOddLength(t *testing.T) {
	u, err := wire.DecodeUpdate(peer, update(origin, reach101, "c0 10 09 0002fde80000000106", tunnel1001))
	if err != nil || len(u.Reach) != 1 {
		t.Fatalf("%+v, %v", u, err)
	}
	if p := evpn.Validate(u.Reach[0]); p == nil || p.Reason != evpn.ReasonMalformed {
		t.Errorf("problem %v, want malformed_route", p)
	}
}

func TestDecodePath(t *testing.T) {
	got, err := wire.DecodePath(peer, bytes(nlri101), [][]byte{bytes(origin), bytes(reach101), bytes(communities), bytes(tunnel1001)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(route101(), got, compareAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, in := range map[string][]byte{"no route": nil, "two routes": bytes(nlri101, nlri101), "cut": bytes(nlri101)[:9], "another type": bytes("03 00")} {
		if _, err := wire.DecodePath(peer, in, nil); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := wire.DecodePath(peer, bytes(nlri101), [][]byte{{0xc0, 23, 200, 0}}); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("cut attribute: error %v", err)
	}
}

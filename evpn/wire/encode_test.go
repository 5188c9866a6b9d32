package wire_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"pgregory.net/rapid"

	"longwire/evpn"
	"longwire/evpn/wire"
)

func TestEncodePathGolden(t *testing.T) {
	for _, test := range []struct {
		name       string
		change     func(*evpn.Advertisement)
		nlri       string
		attributes []string
	}{
		{"the worked example without color", func(*evpn.Advertisement) {}, nlri101, []string{
			origin, reach101, communities,
			"c0 17 1e 0001 001a 01 0c 000003e9 deadbeefcafef00d 06 0a 00000000 0001 c0000201",
		}},
		{"IPv6, UDP, a control word and no cookie", func(ad *evpn.Advertisement) {
			six := netip.MustParseAddr("2001:db8::1")
			ad.NextHop, ad.Endpoint, ad.Cookie, ad.UDPPort = six, six, "", 1701
			ad.L2.Flags = evpn.FlagControlWord | evpn.FlagPrimary
			ad.RouteTargets = append(ad.RouteTargets, evpn.RouteTarget{1, 2, 192, 0, 2, 1, 0, 200})
		}, nlri101, []string{
			origin,
			"80 0e 30 0019 46 10 20010db8000000000000000000000001 00 " + nlri101,
			"c0 10 18 0002fde800000001 0102c000020100c8 0604 0006 05dc 0000",
			"c0 17 26 0001 0022 01 04 000003e9 06 16 00000000 0002 20010db8000000000000000000000001 7e 02 06a5",
		}},
		{"endpoint left to the next hop", func(ad *evpn.Advertisement) { ad.Endpoint = netip.Addr{} }, nlri101, []string{
			origin, reach101, communities,
			"c0 17 1a 0001 0016 01 0c 000003e9 deadbeefcafef00d 06 06 00000000 0000",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ad := advertisement101()
			test.change(&ad)
			nlri, attributes, err := wire.EncodePath(ad)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bytes(test.nlri), nlri); diff != "" {
				t.Errorf("NLRI (-want +got):\n%s", diff)
			}
			var want [][]byte
			for _, a := range test.attributes {
				want = append(want, bytes(a))
			}
			if diff := cmp.Diff(want, attributes); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// What a receiver must refuse is not sent.
func TestEncodePathRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*evpn.Advertisement)
		want   string
	}{
		"session 0":          {func(ad *evpn.Advertisement) { ad.Session = 0 }, "bad_session_id"},
		"cookie of 3":        {func(ad *evpn.Advertisement) { ad.Cookie = "abc" }, "bad_cookie"},
		"no next hop":        {func(ad *evpn.Advertisement) { ad.NextHop = netip.Addr{} }, "bad_next_hop"},
		"loopback":           {func(ad *evpn.Advertisement) { ad.NextHop = netip.MustParseAddr("127.0.0.1") }, "bad_next_hop"},
		"bad endpoint":       {func(ad *evpn.Advertisement) { ad.Endpoint = netip.MustParseAddr("0.0.0.0") }, "bad_endpoint"},
		"reserved tag":       {func(ad *evpn.Advertisement) { ad.Service = evpn.ReservedTag }, "malformed_route"},
		"no route target":    {func(ad *evpn.Advertisement) { ad.RouteTargets = nil }, "no route target"},
		"primary and backup": {func(ad *evpn.Advertisement) { ad.L2.Flags = 3 }, "flags 0x3"},
		"an undefined flag":  {func(ad *evpn.Advertisement) { ad.L2.Flags = 8 }, "flags 0x8"},
		"a community that is none": {func(ad *evpn.Advertisement) {
			ad.RouteTargets = []evpn.RouteTarget{{3, 0x0c}}
		}, "no route target"},
	} {
		ad := advertisement101()
		test.change(&ad)
		if _, _, err := wire.EncodePath(ad); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func drawAdvertisement(t *rapid.T) evpn.Advertisement {
	address := rapid.SampledFrom([]netip.Addr{pe1, netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8::1")})
	ad := evpn.Advertisement{
		Service:  evpn.ServiceID(rapid.Uint32Max(0xfffffffe).Draw(t, "service")),
		NextHop:  address.Draw(t, "next hop"),
		Session:  evpn.SessionID(rapid.Uint32Min(1).Draw(t, "session")),
		Endpoint: rapid.OneOf(address, rapid.Just(netip.Addr{})).Draw(t, "endpoint"),
		UDPPort:  rapid.Uint16().Draw(t, "port"),
		L2: evpn.L2Attributes{
			Flags: rapid.SampledFrom([]uint16{0, 1, 2, 4, 5, 6}).Draw(t, "flags"),
			MTU:   rapid.Uint16().Draw(t, "mtu"),
		},
	}
	size := rapid.SampledFrom([]int{0, 4, 8}).Draw(t, "cookie size")
	ad.Cookie = evpn.Cookie(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "cookie"))
	ad.RD = evpn.NewRD1(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "router id"))), rapid.Uint16().Draw(t, "rd"))
	for range rapid.IntRange(1, 40).Draw(t, "targets") {
		target := evpn.RouteTarget{rapid.ByteMax(2).Draw(t, "form"), 2}
		copy(target[2:], rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "target"))
		ad.RouteTargets = append(ad.RouteTargets, target)
	}
	return ad
}

// meaning is what a receiver should understand of ad.
func meaning(ad evpn.Advertisement) evpn.Endpoint {
	return evpn.Endpoint{
		Key:          evpn.Key{Peer: peer, RD: ad.RD, ESI: ad.ESI, Tag: ad.Service},
		RouteTargets: ad.RouteTargets,
		NextHop:      ad.NextHop,
		Label:        3 << 4,
		Tunnels:      []evpn.Tunnel{{Session: ad.Session, Cookie: ad.Cookie, Endpoint: ad.Endpoint, UDPPort: ad.UDPPort}},
		L2:           ad.L2,
		HasL2:        true,
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ad := drawAdvertisement(t)
		nlri, attributes, err := wire.EncodePath(ad)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodePath(peer, nlri, attributes)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(meaning(ad), got, compareAddresses); diff != "" {
			t.Fatalf("(-sent +understood):\n%s", diff)
		}
	})
}

// GoBGP is the oracle: it must read our bytes without complaint, and what it
// writes of them must mean the same to us, since that is the way of every
// route.
func TestRoundTripThroughGoBGP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ad := drawAdvertisement(t)
		nlri, attributes, err := wire.EncodePath(ad)
		if err != nil {
			t.Fatal(err)
		}
		var parsed []bgp.PathAttributeInterface
		for _, b := range attributes {
			a, err := bgp.GetPathAttribute(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.DecodeFromBytes(b); err != nil {
				t.Fatalf("GoBGP refuses attribute %d: %v", b[1], err)
			}
			parsed = append(parsed, a)
		}
		reach := parsed[1].(*bgp.PathAttributeMpReachNLRI).Value[0].(*bgp.EVPNNLRI)
		if again, err := reach.Serialize(); err != nil || string(again) != string(nlri) {
			t.Fatalf("GoBGP writes the NLRI as %x (%v), we as %x", again, err, nlri)
		}
		message, err := bgp.NewBGPUpdateMessage(nil, parsed, nil).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		u, err := wire.DecodeUpdate(peer, message)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]evpn.Endpoint{meaning(ad)}, u.Reach, compareAddresses); diff != "" {
			t.Fatalf("(-sent +understood):\n%s", diff)
		}
	})
}

// Receivers reset the session on a second TLV or on sub-TLV types from 128 on.
func TestEncodedTunnelIsPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, attributes, err := wire.EncodePath(drawAdvertisement(t))
		if err != nil {
			t.Fatal(err)
		}
		a := &bgp.PathAttributeTunnelEncap{}
		if err := a.DecodeFromBytes(attributes[3]); err != nil {
			t.Fatal(err)
		}
		if len(a.Value) != 1 || a.Value[0].Type != bgp.TUNNEL_TYPE_L2TP3 {
			t.Fatalf("TLVs: %v", a.Value)
		}
		for b := attributes[3][len(attributes[3])-a.Value[0].Len()+4:]; len(b) > 0; b = b[2+b[1]:] {
			if b[0] >= 128 {
				t.Fatalf("sub-TLV %d", b[0])
			}
		}
	})
}

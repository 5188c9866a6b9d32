package wire_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/evpn"
	"longwire/evpn/wire"
)

// seeds are UPDATE messages of every kind that the tables above know.
func seeds() [][]byte {
	return [][]byte{
		update(origin, asPath, localPref, reach101, communities, tunnel1001),
		update(origin, "80 0e 30 0019 46 10 20010db8000000000000000000000001 00", nlri101, communities, tunnel1001),
		update("80 0f 1e 0019 46", nlri101),
		update("80 0f 03 0019 46"),
		update(),
		update(origin, "80 0e 0b 0019 46 04 c0000201 00 0100", tunnel1001),
		update(origin, reach101, communities, tunnelAttribute(tlv(99, "01 01 00"), tlv(1, session1001, egress6, "c8 0003 aabbcc"))),
		update(origin, reach101, communities, tunnelAttribute(tlv(1, "01 07 000003e9 010203", egress4))),
		update(origin, reach101, communities, "c0 17 05 0001 0002 01"),
	}
}

// FuzzDecodeUpdate asserts that no bytes panic, that every error is
// ErrMalformed, that decoding is a function, and that what passes Validate
// survives being encoded and decoded again.
func FuzzDecodeUpdate(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := wire.DecodeUpdate(peer, b)
		if err != nil && !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("error of another kind: %v", err)
		}
		again, _ := wire.DecodeUpdate(peer, b)
		if diff := cmp.Diff(u, again, compareAddresses); diff != "" {
			t.Fatalf("decoding twice differs:\n%s", diff)
		}
		for _, ep := range u.Reach {
			if evpn.Validate(ep) == nil {
				checkUsable(t, ep)
			}
		}
	})
}

// checkUsable re-announces the first tunnel of a route that passed.
func checkUsable(t *testing.T, ep evpn.Endpoint) {
	tunnel := ep.Tunnels[0]
	if len(ep.RouteTargets) == 0 || len(ep.RouteTargets) > 1000 {
		return
	}
	ad := evpn.Advertisement{
		RD: ep.RD, Service: ep.Tag, RouteTargets: ep.RouteTargets, NextHop: ep.NextHop,
		Session: tunnel.Session, Cookie: tunnel.Cookie, Endpoint: tunnel.Endpoint, UDPPort: tunnel.UDPPort, L2: ep.L2,
	}
	ad.L2.Flags &= evpn.FlagControlWord // received flags may be nonsense
	nlri, attributes, err := wire.EncodePath(ad)
	if err != nil {
		t.Fatalf("a route that passed cannot be announced: %v", err)
	}
	got, err := wire.DecodePath(ep.Peer, nlri, attributes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(meaning(ad), got, compareAddresses); diff != "" {
		t.Fatalf("(-sent +understood):\n%s", diff)
	}
}

// FuzzDecodeBMP feeds whole BMP messages, as the worker's connection does.
func FuzzDecodeBMP(f *testing.F) {
	for _, s := range seeds() {
		f.Add(routeMonitoring(f, "192.0.2.254", s))
	}
	f.Add(bytes("03 00000006 04"))
	f.Add(bytes("03 00000006 02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := wire.DecodeBMP(b); err != nil && !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}

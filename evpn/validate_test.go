package evpn_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"longwire/evpn"
)

// The changes below mutate a good route.

func nextHop(s string) func(*evpn.Endpoint) {
	return func(ep *evpn.Endpoint) { ep.NextHop = netip.MustParseAddr(s) }
}

func tunnel(f func(*evpn.Tunnel)) func(*evpn.Endpoint) {
	return func(ep *evpn.Endpoint) { f(&ep.Tunnels[0]) }
}

func egress(s string) func(*evpn.Endpoint) {
	return tunnel(func(t *evpn.Tunnel) { t.Endpoint = netip.MustParseAddr(s) })
}

func cookie(n int) func(*evpn.Endpoint) {
	return tunnel(func(t *evpn.Tunnel) { t.Cookie = evpn.Cookie(strings.Repeat("c", n)) })
}

var validateCases = []struct {
	name   string
	change func(*evpn.Endpoint)
	reason evpn.Reason // "" = usable
	detail string
}{
	{"the worked example", func(*evpn.Endpoint) {}, "", ""},
	{"label 0", func(ep *evpn.Endpoint) { ep.Label = 0 }, "", ""},
	{"label 3 with the bottom-of-stack bit", func(ep *evpn.Endpoint) { ep.Label = 3<<4 | 1 }, "", ""},
	{"label 3 in the low bits is label 0", func(ep *evpn.Endpoint) { ep.Label = 3 }, "", ""},
	{"no label, as bgpd of FRR writes it", func(ep *evpn.Endpoint) { ep.Label = 0xfffffd }, "", ""},
	{"the highest label, as it is written", func(ep *evpn.Endpoint) { ep.Label = 0xfffff1 }, evpn.ReasonBadLabel, "label 1048575"},
	{"label 16", func(ep *evpn.Endpoint) { ep.Label = 16 << 4 }, evpn.ReasonBadLabel, "label 16"},
	{"label 1", func(ep *evpn.Endpoint) { ep.Label = 1 << 4 }, evpn.ReasonBadLabel, "label 1"},
	{"no next hop", func(ep *evpn.Endpoint) { ep.NextHop = netip.Addr{} }, evpn.ReasonBadNextHop, "absent"},
	{"next hop 0.0.0.0", nextHop("0.0.0.0"), evpn.ReasonBadNextHop, "unspecified"},
	{"next hop ::", nextHop("::"), evpn.ReasonBadNextHop, "unspecified"},
	{"next hop 0.1.2.3", nextHop("0.1.2.3"), evpn.ReasonBadNextHop, "this network"},
	{"next hop 127.0.0.1", nextHop("127.0.0.1"), evpn.ReasonBadNextHop, "loopback"},
	{"next hop ::1", nextHop("::1"), evpn.ReasonBadNextHop, "loopback"},
	{"next hop 224.0.0.5", nextHop("224.0.0.5"), evpn.ReasonBadNextHop, "multicast"},
	{"next hop ff02::1", nextHop("ff02::1"), evpn.ReasonBadNextHop, "multicast"},
	{"next hop 255.255.255.255", nextHop("255.255.255.255"), evpn.ReasonBadNextHop, "broadcast"},
	{"next hop fe80::1", nextHop("fe80::1"), evpn.ReasonBadNextHop, "link-local"},
	{"next hop IPv4-mapped", nextHop("::ffff:192.0.2.9"), evpn.ReasonBadNextHop, "IPv4-mapped"},
	{"next hop IPv6", nextHop("2001:db8::2"), "", ""},
	{"no tunnel", func(ep *evpn.Endpoint) { ep.Tunnels = nil }, evpn.ReasonNoEncapsulation, "no usable"},
	{"session 0", tunnel(func(t *evpn.Tunnel) { t.Session = 0 }), evpn.ReasonBadSessionID, "control message"},
	{"cookie 0", cookie(0), "", ""},
	{"cookie 1", cookie(1), evpn.ReasonBadCookie, "not 1"},
	{"cookie 3", cookie(3), evpn.ReasonBadCookie, "not 3"},
	{"cookie 4", cookie(4), "", ""},
	{"cookie 5", cookie(5), evpn.ReasonBadCookie, "not 5"},
	{"cookie 7", cookie(7), evpn.ReasonBadCookie, "not 7"},
	{"cookie 8", cookie(8), "", ""},
	{"cookie 9", cookie(9), evpn.ReasonBadCookie, "not 9"},
	{"cookie 12", cookie(12), evpn.ReasonBadCookie, "not 12"},
	{"endpoint left to the next hop", tunnel(func(t *evpn.Tunnel) { t.Endpoint = netip.Addr{} }), "", ""},
	{"endpoint 0.0.0.0", egress("0.0.0.0"), evpn.ReasonBadEndpoint, "unspecified"},
	{"endpoint 127.1.2.3", egress("127.1.2.3"), evpn.ReasonBadEndpoint, "loopback"},
	{"endpoint 239.1.1.1", egress("239.1.1.1"), evpn.ReasonBadEndpoint, "multicast"},
	{"endpoint 169.254.0.1", egress("169.254.0.1"), evpn.ReasonBadEndpoint, "link-local"},
	{"endpoint IPv6", egress("2001:db8::9"), "", ""},
	{"ESI", func(ep *evpn.Endpoint) { ep.ESI[9] = 1 }, evpn.ReasonMultihomed, "00000000000000000001"},
	{"per-ES route", func(ep *evpn.Endpoint) { ep.Tag = evpn.ReservedTag }, evpn.ReasonMalformed, "0xffffffff"},
	{"a second tunnel saves the route", func(ep *evpn.Endpoint) {
		ep.Tunnels = []evpn.Tunnel{{Session: 0}, ep.Tunnels[0]}
	}, "", ""},
	{"the first tunnel's problem is told", func(ep *evpn.Endpoint) {
		ep.Tunnels = []evpn.Tunnel{{Session: 1, Cookie: "abc"}, {Session: 0}}
	}, evpn.ReasonBadCookie, "not 3"},
	{"what the decoder found goes first", func(ep *evpn.Endpoint) {
		ep.NextHop = netip.Addr{}
		ep.Problem = &evpn.Problem{Reason: evpn.ReasonMalformed, Detail: "told by the decoder"}
	}, evpn.ReasonMalformed, "told by the decoder"},
}

func TestValidate(t *testing.T) {
	for _, test := range validateCases {
		t.Run(test.name, func(t *testing.T) {
			got := evpn.Validate(endpoint(test.change))
			switch {
			case test.reason == "" && got != nil:
				t.Errorf("refused: %v", got)
			case test.reason != "" && got == nil:
				t.Errorf("passed, want %s", test.reason)
			case got != nil && (got.Reason != test.reason || !strings.Contains(got.Detail, test.detail)):
				t.Errorf("got %v, want %s with %q", got, test.reason, test.detail)
			}
		})
	}
}

// Whatever the route, what Validate passes can be programmed.
func TestValidateFailsClosed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ep := drawRoute(t).Endpoint
		if evpn.Validate(ep) != nil {
			return
		}
		for _, tunnel := range ep.Tunnels {
			n := len(tunnel.Cookie)
			egress := tunnel.Egress(ep.NextHop)
			if tunnel.Session != 0 && (n == 0 || n == 4 || n == 8) && egress.IsValid() && !egress.IsMulticast() {
				return
			}
		}
		t.Fatalf("passed without a usable tunnel: %+v", ep)
	})
}

func TestProblemError(t *testing.T) {
	p := evpn.Problem{Reason: evpn.ReasonBadLabel}
	if got := p.Error(); got != "bad_label" {
		t.Errorf("without detail: %q", got)
	}
	p.Detail = "label 16"
	if got := p.Error(); got != "bad_label: label 16" {
		t.Errorf("with detail: %q", got)
	}
}

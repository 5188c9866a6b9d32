package link

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// attr is one attribute of a message under construction.
type attr struct {
	kind  uint16
	value []byte
}

func built(kind uint16, header []byte, attrs ...attr) message {
	for _, a := range attrs {
		header = appendAttribute(header, a.kind, a.value)
	}
	return message{kind: kind, body: header}
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// linkHeader is | family | pad | type (2) | index (4) | flags (4) | change (4) |.
func linkHeader(family byte, hardware uint16, index, flags uint32) []byte {
	b := []byte{family, 0}
	b = binary.NativeEndian.AppendUint16(b, hardware)
	b = append(append(b, u32(index)...), u32(flags)...)
	return append(b, u32(0)...)
}

// routeHeader is the header of a route message to a prefix of some length.
func routeHeader(family, bits, kind byte) []byte {
	return []byte{family, bits, 0, 0, 0, 0, 0, kind, 0, 0, 0, 0}
}

func neighbourHeader(family byte, index uint32, state uint16, flags byte) []byte {
	b := append([]byte{family, 0, 0, 0}, u32(index)...)
	b = binary.NativeEndian.AppendUint16(b, state)
	return append(b, flags, 0)
}

func addressHeader(family byte, flags byte, index uint32) []byte {
	return append([]byte{family, 24, flags, 0}, u32(index)...)
}

func TestDecode(t *testing.T) {
	mac := []byte{2, 0, 0, 0, 0, 1}
	named := []attr{{unix.IFLA_IFNAME, []byte("eth0\x00")}, {unix.IFLA_MTU, u32(1500)}, {unix.IFLA_ADDRESS, mac}}
	gateway := neighbourKey{device: 3, addr: netip.MustParseAddr("192.0.2.254")}
	tests := []struct {
		name string
		in   message
		want event
	}{
		{"link", built(unix.RTM_NEWLINK, linkHeader(0, unix.ARPHRD_ETHER, 3, unix.IFF_UP|unix.IFF_LOWER_UP), named...),
			linkEvent{link: Link{Index: 3, Name: "eth0", MTU: 1500, MAC: [6]byte(mac), AdminUp: true, Carrier: true, Ethernet: true}}},
		{"link without Ethernet", built(unix.RTM_NEWLINK, linkHeader(0, unix.ARPHRD_NONE, 3, unix.IFF_UP), named...),
			linkEvent{link: Link{Index: 3, Name: "eth0", MTU: 1500, AdminUp: true}}},
		{"link gone", built(unix.RTM_DELLINK, linkHeader(0, unix.ARPHRD_ETHER, 3, 0), named...),
			linkEvent{link: Link{Index: 3, Name: "eth0", MTU: 1500, MAC: [6]byte(mac), Ethernet: true}, gone: true}},
		{"a bridge's word on its port", built(unix.RTM_NEWLINK, linkHeader(unix.AF_BRIDGE, unix.ARPHRD_ETHER, 3, 0), named...), nil},
		{"wireless news without MTU", built(unix.RTM_NEWLINK, linkHeader(0, unix.ARPHRD_ETHER, 3, 0), named[0]), nil},
		{"address", built(unix.RTM_NEWADDR, addressHeader(unix.AF_INET, 0, 3), attr{unix.IFA_ADDRESS, ip("192.0.2.1")}),
			addressEvent{netip.MustParseAddr("192.0.2.1")}},
		{"tentative address", built(unix.RTM_NEWADDR, addressHeader(unix.AF_INET6, unix.IFA_F_TENTATIVE, 3), attr{unix.IFA_ADDRESS, ip("2001:db8::1")}),
			addressEvent{netip.MustParseAddr("2001:db8::1")}},
		{"neighbour", built(unix.RTM_NEWNEIGH, neighbourHeader(unix.AF_INET, 3, unix.NUD_STALE, 0), attr{unix.NDA_DST, ip("192.0.2.254")}, attr{unix.NDA_LLADDR, mac}),
			neighbourEvent{gateway, reach{state: unix.NUD_STALE, mac: [6]byte(mac)}}},
		{"neighbour gone", built(unix.RTM_DELNEIGH, neighbourHeader(unix.AF_INET, 3, unix.NUD_STALE, 0), attr{unix.NDA_DST, ip("192.0.2.254")}, attr{unix.NDA_LLADDR, mac}),
			neighbourEvent{gateway, reach{mac: [6]byte(mac)}}},
		{"a bridge's forwarding entry", built(unix.RTM_NEWNEIGH, neighbourHeader(unix.AF_BRIDGE, 3, unix.NUD_STALE, 0), attr{unix.NDA_LLADDR, mac}), nil},
		{"proxy entry", built(unix.RTM_NEWNEIGH, neighbourHeader(unix.AF_INET, 3, 0, unix.NTF_PROXY), attr{unix.NDA_DST, ip("192.0.2.254")}), nil},
		{"route", built(unix.RTM_NEWROUTE, routeHeader(unix.AF_INET, 24, unix.RTN_UNICAST), attr{unix.RTA_DST, ip("192.0.2.0")}),
			routeEvent{netip.MustParsePrefix("192.0.2.0/24")}},
		{"default route", built(unix.RTM_DELROUTE, routeHeader(unix.AF_INET6, 0, unix.RTN_UNICAST)),
			routeEvent{netip.MustParsePrefix("::/0")}},
		{"MPLS route", built(unix.RTM_NEWROUTE, routeHeader(unix.AF_MPLS, 20, unix.RTN_UNICAST)), nil},
		{"rule", built(unix.RTM_NEWRULE, routeHeader(unix.AF_INET, 0, 0)), policyEvent{}},
		{"next hop object", built(unix.RTM_DELNEXTHOP, nil), policyEvent{}},
		{"something else", built(unix.RTM_NEWQDISC, routeHeader(0, 0, 0)), nil},
		{"empty", message{kind: unix.RTM_NEWROUTE}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decode(tt.in)
			opts := cmp.AllowUnexported(linkEvent{}, addressEvent{}, neighbourEvent{}, neighbourKey{}, reach{}, routeEvent{})
			if d := cmp.Diff(tt.want, got, opts, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
				t.Errorf("event (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseWay(t *testing.T) {
	remote := netip.MustParseAddr("198.51.100.1")
	out := attr{unix.RTA_OIF, u32(3)}
	via6 := append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET6), ip("fe80::1")...)
	to := func(addr string, mtu int) way {
		return way{hop: neighbourKey{device: 3, addr: netip.MustParseAddr(addr)}, mtu: mtu}
	}
	tests := []struct {
		name string
		kind byte
		in   []attr
		want way
		err  error
	}{
		{"gateway", unix.RTN_UNICAST, []attr{out, {unix.RTA_GATEWAY, ip("192.0.2.254")}}, to("192.0.2.254", 0), nil},
		{"on the link", unix.RTN_UNICAST, []attr{out}, to("198.51.100.1", 0), nil},
		{"IPv6 gateway", unix.RTN_UNICAST, []attr{out, {unix.RTA_VIA, via6}}, to("fe80::1", 0), nil},
		{"MTU among other metrics", unix.RTN_UNICAST, []attr{out, {unix.RTA_METRICS | unix.NLA_F_NESTED,
			appendAttribute(appendAttribute(nil, unix.RTAX_ADVMSS, u32(1000)), unix.RTAX_MTU, u32(1400))}}, to("198.51.100.1", 1400), nil},
		{"local", unix.RTN_LOCAL, []attr{out}, way{}, errNoWay},
		{"multicast", unix.RTN_MULTICAST, []attr{out}, way{}, errNoWay},
		{"black hole", unix.RTN_BLACKHOLE, []attr{out}, way{}, errNoWay},
		{"tunnel", unix.RTN_UNICAST, []attr{out, {unix.RTA_ENCAP_TYPE, []byte{1, 0}}}, way{}, errNoWay},
		{"no device", unix.RTN_UNICAST, nil, way{}, errNoWay},
		{"gateway of five bytes", unix.RTN_UNICAST, []attr{out, {unix.RTA_GATEWAY, make([]byte, 5)}}, way{}, errNoWay},
		{"via without address", unix.RTN_UNICAST, []attr{out, {unix.RTA_VIA, []byte{1}}}, way{}, errNoWay},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWay(built(unix.RTM_NEWROUTE, routeHeader(unix.AF_INET, 32, tt.kind), tt.in...), remote)
			if !errors.Is(err, tt.err) {
				t.Errorf("err = %v, want %v", err, tt.err)
			}
			if got != tt.want {
				t.Errorf("way = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReach(t *testing.T) {
	tests := []struct {
		state        uint16
		usable, idle bool
	}{
		{unix.NUD_NONE, false, true},
		{unix.NUD_INCOMPLETE, false, false},
		{unix.NUD_REACHABLE, true, false},
		{unix.NUD_STALE, true, true},
		{unix.NUD_DELAY, true, false},
		{unix.NUD_PROBE, true, false},
		{unix.NUD_FAILED, false, true},
		{unix.NUD_NOARP, true, false},
		{unix.NUD_PERMANENT, true, false},
	}
	for _, tt := range tests {
		r := reach{state: tt.state, mac: [6]byte{2}}
		if r.usable() != tt.usable || r.idle() != tt.idle {
			t.Errorf("state %#x: usable %v, idle %v, want %v, %v", tt.state, r.usable(), r.idle(), tt.usable, tt.idle)
		}
		if (reach{state: tt.state}).usable() {
			t.Errorf("state %#x is usable without a MAC address", tt.state)
		}
	}
}

func TestSplitMessages(t *testing.T) {
	one := buildMessage(unix.RTM_NEWROUTE, unix.NLM_F_MULTI, 7, []byte{1, 2, 3})
	two := buildMessage(unix.NLMSG_DONE, 0, 7, nil)
	padded := append(append(append([]byte{}, one...), 0), two...)
	got, err := splitMessages(padded)
	want := []message{
		{kind: unix.RTM_NEWROUTE, flags: unix.NLM_F_MULTI, seq: 7, body: []byte{1, 2, 3}},
		{kind: unix.NLMSG_DONE, seq: 7, body: []byte{}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(message{})); d != "" || err != nil {
		t.Errorf("error %v, messages (-want +got):\n%s", err, d)
	}
	for name, b := range map[string][]byte{
		"half a header":    one[:8],
		"half a message":   one[:len(one)-1],
		"length too long":  append(u32(200), one[4:]...),
		"length too short": append(u32(15), one[4:]...),
	} {
		if _, err := splitMessages(b); !errors.Is(err, errTruncated) {
			t.Errorf("%s: %v, want errTruncated", name, err)
		}
	}
}

// FuzzDecode checks that no bytes make the decoders fail.
func FuzzDecode(f *testing.F) {
	f.Add(buildMessage(unix.RTM_NEWROUTE, 0, 1, built(0, routeHeader(unix.AF_INET, 24, 1), attr{unix.RTA_DST, ip("192.0.2.0")}).body))
	f.Add(buildMessage(unix.RTM_NEWLINK, 0, 1, built(0, linkHeader(0, 1, 3, 1), attr{unix.IFLA_MTU, u32(1500)}).body))
	f.Add(buildMessage(unix.RTM_NEWNEIGH, 0, 1, neighbourHeader(unix.AF_INET6, 3, 2, 0)))
	f.Add(buildMessage(unix.RTM_NEWADDR, 0, 1, addressHeader(unix.AF_INET, 0, 3)))
	f.Add(buildMessage(unix.NLMSG_ERROR, 0, 1, u32(^uint32(0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		messages, err := splitMessages(b)
		if err != nil {
			return
		}
		for _, m := range messages {
			decode(m)
			_, _ = parseWay(m, netip.MustParseAddr("192.0.2.1"))
			_, _ = m.take(nil)
		}
	})
}

package interop

import (
	"fmt"
	"net/netip"

	"longwire/test/lab"
	"longwire/test/peer/exabgp"
)

// session is the far end's session id of all routes; cookie and far are what most
// of them say.
const (
	session = 1001
	cookie  = "deadbeefcafef00d"
	far     = "192.0.2.2" // PE 2, which runs nothing
)

// row is a route that ExaBGP sends, and what must become of the pseudowire that
// looks for it.
type row struct {
	name   string
	change func(*exabgp.Route)
	// wire says how the pseudowire differs from a plain one.
	wire func(*lab.Pseudowire)
	// state and reason are the outcome; the detail must have the words in it.
	state, reason, detail string
	// tunnel is what the packets of one that is up look like, unless they are
	// the plain ones of the session above.
	tunnel lab.Tunnel
}

// plain is the tunnel of an unchanged route.
func plain() lab.Tunnel {
	return lab.Tunnel{
		Source: lab.PE1Source4, Destination: lab.PE2Source4, Session: session, Cookie: cookie,
	}
}

// with changes the plain tunnel.
func with(change func(*lab.Tunnel)) lab.Tunnel {
	t := plain()
	change(&t)
	return t
}

func up(name string, change func(*exabgp.Route)) row {
	return row{name: name, change: change, state: "up", tunnel: plain()}
}

func blocked(name, reason, detail string, change func(*exabgp.Route)) row {
	return row{name: name, change: change, state: "blocked", reason: reason, detail: detail}
}

// tunnel sets the Tunnel Encapsulation attribute.
func tunnel(tlvs ...string) func(*exabgp.Route) {
	return func(r *exabgp.Route) {
		r.Tunnel = ""
		for _, t := range tlvs {
			r.Tunnel += t
		}
	}
}

func nextHop(address string) func(*exabgp.Route) {
	return func(r *exabgp.Route) { r.NextHop = netip.MustParseAddr(address) }
}

func label(n uint32) func(*exabgp.Route) { return func(r *exabgp.Route) { r.Label = n } }

// communities replaces all extended communities.
func communities(list ...string) func(*exabgp.Route) {
	return func(r *exabgp.Route) { r.Communities = list }
}

const target = "target:65000:1"

// goodRows are routes that must bring a pseudowire up, though some of them say
// strange things beside.
func goodRows() []row {
	color := sub(4, "030b000000000064")
	good := l2tpv3(session, cookie, far)
	return []row{
		up("cookie of 8 bytes", nil),
		{name: "cookie of 4 bytes", change: tunnel(l2tpv3(session, "01020304", far)), state: "up", tunnel: with(func(t *lab.Tunnel) { t.Cookie = "01020304" })},
		{name: "no cookie", change: tunnel(l2tpv3(session, "", far)), state: "up", tunnel: with(func(t *lab.Tunnel) { t.Cookie = "" })},
		{name: "the largest session id", change: tunnel(l2tpv3(0xffffffff, cookie, far)), state: "up", tunnel: with(func(t *lab.Tunnel) { t.Session = 0xffffffff })},
		up("egress endpoint is the next hop", tunnel(tlv(1, encapsulation(session, cookie), byNextHop))),
		up("egress endpoint is not the next hop", nextHop("192.0.2.254")),
		up("endpoint before encapsulation, color behind", tunnel(tlv(1, egress(far), encapsulation(session, cookie), color))),
		up("a VXLAN tunnel in front", tunnel(tlv(8, sub(1, "800000000000000000000000"), egress(far)), good)),
		up("a tunnel of an unknown type in front", tunnel(tlv(0xfffe, sub(1, "c0ffee00c0ffee00")), good)),
		up("sub-TLVs of unknown types, one with a long length", tunnel(tlv(1, sub(99, "00"), encapsulation(session, cookie), longSub(200, "abcd"), egress(far)))),
		up("two encapsulation sub-TLVs: the first counts", tunnel(tlv(1, encapsulation(session, cookie), encapsulation(7, ""), egress(far)))),
		up("two tunnels of type 1: the first counts", tunnel(good, l2tpv3(7, "", far))),
		up("two tunnels of type 1, the first with a bad cookie", tunnel(l2tpv3(7, "010203", far), good)),
		up("the UDP port sub-TLV 8 is disregarded", tunnel(tlv(1, encapsulation(session, cookie), egress(far), sub(8, "06a5")))),
		{name: "UDP by the experimental sub-TLV 126", change: tunnel(tlv(1, encapsulation(session, cookie), egress(far), sub(126, "06a5"))),
			wire:  func(pw *lab.Pseudowire) { pw.Encapsulation = "udp" },
			state: "up", tunnel: with(func(t *lab.Tunnel) { t.UDP = true })},
		{name: "UDP wanted, and not offered", wire: func(pw *lab.Pseudowire) { pw.Encapsulation = "udp" }, state: "up", detail: "protocol 115", tunnel: plain()},
		up("label 0", label(0)),
		up("MTU 0 is not checked", communities(target, layer2(0, 0))),
		up("no Layer 2 Attributes", communities(target)),
		up("a second route target and an encapsulation community", communities("target:65000:9", target, layer2(0, 1500), "0x030c000000000001")),
		{name: "control word and default sublayer", change: communities(target, layer2(4, 1500)), wire: func(pw *lab.Pseudowire) { pw.Sublayer = "default" },
			state: "up", tunnel: with(func(t *lab.Tunnel) { t.Sublayer = true })},
	}
}

// sixRows are routes for pseudowires with an IPv6 source, and others with IPv6
// next hops.
func sixRows() []row {
	from6 := func(pw *lab.Pseudowire) { pw.Source = lab.PE1Source6.String() }
	to6 := with(func(t *lab.Tunnel) { t.Source, t.Destination = lab.PE1Source6, lab.PE2Source6 })
	return []row{
		{name: "IPv6 egress endpoint", change: tunnel(l2tpv3(session, cookie, "2001:db8::2")), wire: from6, state: "up", tunnel: to6},
		{name: "IPv6 next hop and endpoint", change: func(r *exabgp.Route) {
			nextHop("2001:db8::2")(r)
			tunnel(tlv(1, encapsulation(session, cookie), byNextHop))(r)
		}, wire: from6, state: "up", tunnel: to6},
		{name: "two tunnels of type 1, the IPv4 one in front of a PE that has no IPv4 source",
			change: tunnel(l2tpv3(7, "", far), l2tpv3(session, cookie, "2001:db8::2")), wire: from6, state: "up", tunnel: to6},
		{name: "next hop ::1", change: nextHop("::1"), state: "blocked", reason: "bad_next_hop", detail: "loopback"},
		{name: "next hop ff02::1", change: nextHop("ff02::1"), state: "blocked", reason: "bad_next_hop", detail: "multicast"},
	}
}

// badRows are routes that no pseudowire may use: the table of verdicts of RFC 9012
// section 13, and what else a sender can do wrong.
func badRows() []row {
	encap, end := encapsulation(session, cookie), egress(far)
	return []row{
		blocked("no Tunnel Encapsulation attribute", "no_encapsulation", "", tunnel()),
		blocked("another tunnel type", "no_encapsulation", "no tunnel of type 1", tunnel(tlv(8, encap, end))),
		blocked("a sub-TLV that runs past its tunnel", "no_encapsulation", "", tunnel(tlv(1, encap, end, "0408aa"))),
		blocked("a tunnel that runs past the attribute", "no_encapsulation", "", tunnel("0001ff00"+encap+end)),
		blocked("an encapsulation sub-TLV of 2 bytes", "no_encapsulation", "", tunnel(tlv(1, sub(1, "03e9"), end))),
		blocked("no encapsulation sub-TLV", "no_encapsulation", "no encapsulation sub-TLV", tunnel(tlv(1, end))),
		blocked("cookie of 3 bytes", "bad_cookie", "not 3", tunnel(l2tpv3(session, "010203", far))),
		blocked("cookie of 5 bytes", "bad_cookie", "not 5", tunnel(l2tpv3(session, "0102030405", far))),
		blocked("cookie of 12 bytes", "bad_cookie", "not 12", tunnel(l2tpv3(session, "0102030405060708090a0b0c", far))),
		blocked("session id 0", "bad_session_id", "", tunnel(l2tpv3(0, cookie, far))),
		blocked("no egress endpoint", "bad_endpoint", "0 egress endpoints", tunnel(tlv(1, encap))),
		blocked("two egress endpoints", "bad_endpoint", "2 egress endpoints", tunnel(tlv(1, encap, end, end))),
		blocked("an egress endpoint of 8 bytes", "no_encapsulation", "", tunnel(tlv(1, encap, sub(6, "000000000001c000")))),
		blocked("egress endpoint 224.0.0.9", "bad_endpoint", "multicast", tunnel(l2tpv3(session, cookie, "224.0.0.9"))),
		blocked("egress endpoint is our own address", "bad_endpoint", "our own", tunnel(l2tpv3(session, cookie, "192.0.2.1"))),
		blocked("egress endpoint of a family that we have no source of", "bad_endpoint", "IPv6", tunnel(l2tpv3(session, cookie, "2001:db8::2"))),
		blocked("next hop 0.0.0.0", "bad_next_hop", "", nextHop("0.0.0.0")),
		blocked("next hop multicast", "bad_next_hop", "multicast", nextHop("224.0.0.9")),
		blocked("next hop loopback", "bad_next_hop", "loopback", nextHop("127.0.0.1")),
		blocked("next hop is our own address", "bad_next_hop", "our own", nextHop("192.0.2.1")),
		blocked("a label", "bad_label", "label 16", label(16)),
		blocked("another MTU", "mtu_mismatch", "MTU 9000, we have 1500", communities(target, layer2(0, 9000))),
		blocked("an MTU that counts the Ethernet header", "mtu_mismatch", "Ethernet header", communities(target, layer2(0, 1514))),
		blocked("a control word that we do not use", "control_word_mismatch", "", communities(target, layer2(4, 1500))),
		blocked("a multihomed segment", "multihoming_unsupported", "", func(r *exabgp.Route) { r.ESI = [10]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9} }),
		// GoBGP v3.37.0 reads sub-TLV 1 of every tunnel as that of L2TPv3.
		blocked("a tunnel of an unknown type, with a short sub-TLV 1, in front", "no_encapsulation", "", tunnel(tlv(0xfffe, sub(1, "c0ffee")), l2tpv3(session, cookie, far))),
		{name: "another route target", change: communities("target:65000:77", layer2(0, 1500)), state: "down", reason: "no_remote"},
		{name: "another service", change: func(r *exabgp.Route) { r.Tag += 500 }, state: "down", reason: "no_remote"},
		// GoBGP v3.37.0 takes such a route for a withdrawal, against RFC 7606.
		{name: "an EVPN community of an unknown sub-type: withdrawn", change: communities(target, layer2(0, 1500), "0x067f000000000000"), state: "down", reason: "no_remote"},
	}
}

// service is the remote service of the pseudowire of a row.
func service(i int) int { return 2000 + i }

// route is what ExaBGP announces for a row.
func (r row) route(i int) exabgp.Route {
	route := exabgp.Route{
		RD: fmt.Sprintf("192.0.2.2:%d", i+1), Tag: uint32(service(i)), Label: 3, NextHop: netip.MustParseAddr(far),
		Communities: []string{target, layer2(0, 1500)}, Tunnel: l2tpv3(session, cookie, far),
	}
	if r.change != nil {
		r.change(&route)
	}
	return route
}

// pseudowire is the configuration of the one that looks for it.
func (r row) pseudowire(i int) lab.Pseudowire {
	size := 8
	pw := lab.Pseudowire{
		Name: fmt.Sprintf("pw%d", i), Interface: lab.Circuit(i), Source: lab.PE1Source4.String(), Encapsulation: "ip", Cookie: &size,
		EVPN: &lab.EVPN{RouteTarget: "65000:1", LocalService: 1000 + i, RemoteService: service(i)},
	}
	if r.wire != nil {
		r.wire(&pw)
	}
	return pw
}

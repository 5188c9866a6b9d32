package l2tp

import (
	"fmt"
	"net/netip"
	"strings"

	"longwire/dataplane"
	"longwire/test/lab"
)

// The ends of every pseudowire: side 1 is Longwire, side 2 the kernel.
const (
	ours   = 1
	theirs = 2
)

// combination is one pseudowire. Its number is that of its circuit and of its
// sessions.
type combination struct {
	number   int
	v6, udp  bool
	cookie   int // bytes
	sublayer bool
	kind     kind
}

// kind is what distinguishes a few pseudowires from the others.
type kind string

const (
	ordinary  kind = ""
	sequenced kind = "sequence numbers"
	unsummed  kind = "ports 1702 and 1703, no checksum"
)

// combinations lists every outer header with every cookie size and sublayer.
func combinations() []combination {
	var all []combination
	for _, v6 := range []bool{false, true} {
		for _, udp := range []bool{true, false} {
			for _, cookie := range []int{0, 4, 8} {
				for _, sublayer := range []bool{false, true} {
					all = append(all, combination{number: len(all), v6: v6, udp: udp, cookie: cookie, sublayer: sublayer})
				}
			}
		}
	}
	return all
}

// special lists pseudowires whose both ends number their frames, and one with UDP
// ports of its own that has no checksum over IPv6, from number first on.
func special(first int) []combination {
	c := combination{udp: true, cookie: 8, sublayer: true, kind: sequenced}
	all := []combination{c, c, c}
	all[1].v6 = true
	all[2].v6, all[2].kind = true, unsummed
	for i := range all {
		all[i].number = first + i
	}
	return all
}

func choose[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// String is the row of a table: "IPv4, UDP, cookie 8, default sublayer".
func (c combination) String() string {
	text := fmt.Sprintf("%s, %s, cookie %d, %s", choose(c.v6, "IPv6", "IPv4"), choose(c.udp, "UDP", "IP"),
		c.cookie, choose(c.sublayer, "default sublayer", "no sublayer"))
	return text + choose(c.kind == ordinary, "", ", "+string(c.kind))
}

// name is that of the pseudowire and of its test.
func (c combination) name() string {
	return fmt.Sprintf("%s-%s-%s-ck%d%s", choose(c.v6, "v6", "v4"), choose(c.udp, "udp", "ip"),
		choose(c.sublayer, "default", "none"), c.cookie, map[kind]string{sequenced: "-seq", unsummed: "-zero"}[c.kind])
}

// session is the id of the packets towards a side.
func (c combination) session(side int) uint32 { return uint32(side*10_000 + c.number) }

// cookieOf is the cookie of the packets towards a side, in hexadecimal.
func (c combination) cookieOf(side int) string {
	return fmt.Sprintf("%02x%02xc00c1e5abade", side, c.number)[:2*c.cookie]
}

// wrongCookie is cookieOf but for its last digit.
func (c combination) wrongCookie(side int) string {
	right := c.cookieOf(side)
	return right[:len(right)-1] + choose(strings.HasSuffix(right, "0"), "1", "0")
}

// wrongSession is the id of no session.
func (c combination) wrongSession(side int) uint32 { return c.session(side) + 500 }

// source is the outer address of a side.
func (c combination) source(side int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(choose(c.v6, "2001:db8::%d", "192.0.2.%d"), side))
}

// tunnelID numbers the kernel's tunnels, one for each outer header. One has the
// sessions of all cookies and sublayers, and ports are not shared by tunnels.
func (c combination) tunnelID() int {
	return 1 + choose(c.v6, 2, 0) + choose(c.udp, 1, 0) + choose(c.kind == unsummed, 4, 0)
}

// device is the kernel's end, stranger a session beside it that sends what is
// wrong.
func (c combination) device() string   { return fmt.Sprintf("kernel%d", c.number) }
func (c combination) stranger() string { return fmt.Sprintf("stranger%d", c.number) }

// config is the pseudowire as Longwire has it.
func (c combination) config() lab.Pseudowire {
	pw := lab.Pseudowire{
		Name: c.name(), Interface: lab.Circuit(c.number), Source: c.source(ours).String(),
		Encapsulation: choose(c.udp, "udp", "ip"), Sublayer: choose(c.sublayer, "default", "none"),
		Static: &lab.Static{
			Remote: c.source(theirs), LocalSession: c.session(ours), RemoteSession: c.session(theirs),
			LocalCookie: c.cookieOf(ours), RemoteCookie: c.cookieOf(theirs),
		},
	}
	switch c.kind {
	case sequenced:
		pw.More = lab.Keys{"sequencing": true}
	case unsummed:
		pw.More = lab.Keys{"udp_checksum": "zero", "port": 1702}
		pw.Static.RemotePort = 1703
	case ordinary:
	}
	return pw
}

// addTunnel and addSession are what ip(8) is told for the kernel's end. To it, a
// cookie is what it sends.
func (c combination) addTunnel() string {
	encapsulation := choose(c.udp, "udp udp_sport 1701 udp_dport 1701", "ip")
	if c.kind == unsummed {
		encapsulation = "udp udp_sport 1703 udp_dport 1702 udp6_csum_tx off udp6_csum_rx off"
	}
	return fmt.Sprintf("l2tp add tunnel tunnel_id %d peer_tunnel_id %d local %s remote %s encap %s",
		c.tunnelID(), c.tunnelID(), c.source(theirs), c.source(ours), encapsulation)
}

func (c combination) addSession() string {
	return c.addSessionAs(c.device(), c.session(theirs), c.session(ours), c.cookieOf(ours))
}

// addStranger is a session of the kernel's that sends to Longwire what it must
// refuse: the wrong cookie, or where there is none, the wrong session id.
func (c combination) addStranger() string {
	if c.cookie == 0 {
		return c.addSessionAs(c.stranger(), c.wrongSession(theirs)+500, c.wrongSession(ours), "")
	}
	return c.addSessionAs(c.stranger(), c.wrongSession(theirs)+500, c.session(ours), c.wrongCookie(ours))
}

func (c combination) addSessionAs(device string, session, peerSession uint32, cookie string) string {
	line := fmt.Sprintf("l2tp add session name %s tunnel_id %d session_id %d peer_session_id %d l2spec_type %s",
		device, c.tunnelID(), session, peerSession, choose(c.sublayer, "default", "none"))
	if cookie != "" {
		line += fmt.Sprintf(" cookie %s peer_cookie %s", cookie, c.cookieOf(theirs))
	}
	return line + choose(c.kind == sequenced, " seq both", "")
}

// tunnel is what the packets from a side look like.
func (c combination) tunnel(side int) lab.Tunnel {
	far := ours + theirs - side
	return lab.Tunnel{Source: c.source(side), Destination: c.source(far), UDP: c.udp,
		Session: c.session(far), Cookie: c.cookieOf(far), Sublayer: c.sublayer}
}

// header is what Longwire says that precedes a customer's payload.
func (c combination) header() dataplane.Header {
	return dataplane.Header{
		Family: dataplane.FamilyOf(c.source(ours)), CookieLen: c.cookie,
		Encapsulation: choose(c.udp, dataplane.EncapsulationUDP, dataplane.EncapsulationIP),
		Sublayer:      choose(c.sublayer, dataplane.SublayerDefault, dataplane.SublayerNone),
	}
}

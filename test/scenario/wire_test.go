package scenario

import (
	"fmt"
	"net/netip"
	"strings"

	"longwire/test/lab"
)

// wire is one pseudowire between the two PEs of a topology, as a test means it.
// Its number is that of its circuits, its services and its sessions.
type wire struct {
	number    int
	v6, udp   bool
	cookie    int // bytes
	sublayer  bool
	signalled bool
	static    bool
	when      string // of the static part; empty = always the static one
}

// encapsulations lists a wire of each outer header, from number first on.
func encapsulations(first int) []wire {
	return []wire{
		{number: first},
		{number: first + 1, udp: true},
		{number: first + 2, v6: true},
		{number: first + 3, v6: true, udp: true},
	}
}

// String names the wire in test names: "v4-udp-ck8-default".
func (w wire) String() string {
	family, carrier, layer := "v4", "ip", "none"
	if w.v6 {
		family = "v6"
	}
	if w.udp {
		carrier = "udp"
	}
	if w.sublayer {
		layer = "default"
	}
	return fmt.Sprintf("%s-%s-%s-ck%d", family, carrier, layer, w.cookie)
}

// name is the pseudowire's name in the configuration.
func (w wire) name() string { return fmt.Sprintf("pw%d", w.number) }

// session is the id that packets towards a side carry, when static.
func (w wire) session(side int) uint32 { return uint32(side*100_000 + w.number + 1) }

// cookieOf is the cookie that packets towards a side carry, when static.
func (w wire) cookieOf(side int) string {
	full := fmt.Sprintf("%02x%02xdeadbeefcafe", side, w.number)
	return full[:2*w.cookie]
}

// source is the outer address of a side.
func (w wire) source(side int) netip.Addr {
	switch {
	case w.v6 && side == 1:
		return lab.PE1Source6
	case w.v6:
		return lab.PE2Source6
	case side == 1:
		return lab.PE1Source4
	}
	return lab.PE2Source4
}

// config is the pseudowire in the configuration of a side.
func (w wire) config(side int) lab.Pseudowire {
	far := 3 - side
	pw := lab.Pseudowire{Name: w.name(), Interface: lab.Circuit(w.number), Source: w.source(side).String(), Encapsulation: "ip"}
	if w.udp {
		pw.Encapsulation = "udp"
	}
	if w.sublayer {
		pw.Sublayer = "default"
	}
	if w.signalled {
		cookie := w.cookie
		pw.Cookie = &cookie
		pw.EVPN = &lab.EVPN{
			RouteTarget:  fmt.Sprintf("65000:%d", w.number+1),
			LocalService: 1000*side + w.number, RemoteService: 1000*far + w.number,
		}
	}
	if w.static {
		pw.Static = &lab.Static{
			When: w.when, Remote: w.source(far), LocalSession: w.session(side), RemoteSession: w.session(far),
			LocalCookie: w.cookieOf(side), RemoteCookie: w.cookieOf(far),
		}
	}
	return pw
}

// tunnel is what the packets that a side sends by the static session look like.
func (w wire) tunnel(side int) lab.Tunnel {
	far := 3 - side
	return lab.Tunnel{
		Source: w.source(side), Destination: w.source(far), UDP: w.udp,
		Session: w.session(far), Cookie: w.cookieOf(far), Sublayer: w.sublayer,
	}
}

// filter is the pcap filter of Longwire's packets.
const filter = "ip proto 115 or ip6 proto 115 or udp port 1701"

// oneLine makes an error of a command fit into a test's message.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

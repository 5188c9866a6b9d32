package interop

import (
	"fmt"

	"longwire/test/lab"
	"longwire/test/peer/exabgp"
)

// decoders is the table of the matrix.
const decoders = "Decoders"

// layout is one kind of pseudowire whose route and packets others decode.
type layout struct {
	v6, udp, sublayer, sequencing bool
	cookie                        int // bytes
}

// layouts lists the four outer headers with every cookie size, without sublayer,
// with it, and with numbers in it.
func layouts() []layout {
	var list []layout
	for _, sublayer := range []int{0, 1, 2} {
		for _, cookie := range []int{0, 4, 8} {
			for _, v6 := range []bool{false, true} {
				for _, udp := range []bool{false, true} {
					list = append(list, layout{v6: v6, udp: udp, sublayer: sublayer > 0, sequencing: sublayer > 1, cookie: cookie})
				}
			}
		}
	}
	return list
}

// header names the outer header: "UDP over IPv6".
func (l layout) header() string {
	carrier, family := "protocol 115", "IPv4"
	if l.udp {
		carrier = "UDP"
	}
	if l.v6 {
		family = "IPv6"
	}
	return carrier + " over " + family
}

// layer names the sublayer.
func (l layout) layer() string {
	switch {
	case l.sequencing:
		return "sequence numbers"
	case l.sublayer:
		return "default sublayer"
	}
	return "no sublayer"
}

// String names it all.
func (l layout) String() string {
	return fmt.Sprintf("%s, %s, cookie of %d", l.header(), l.layer(), l.cookie)
}

// tunnel is what the packets look like that we send, as ExaBGP's route asks.
func (l layout) tunnel(i int) lab.Tunnel {
	t := lab.Tunnel{Source: lab.PE1Source4, Destination: lab.PE2Source4, UDP: l.udp, Session: uint32(session + i), Cookie: cookie[:2*l.cookie], Sublayer: l.sublayer}
	if l.v6 {
		t.Source, t.Destination = lab.PE1Source6, lab.PE2Source6
	}
	return t
}

// row is a route of the far end and a pseudowire for it.
func (l layout) row(i int) row {
	want, flags := l.tunnel(i), uint16(0)
	subs := []string{encapsulation(want.Session, want.Cookie), egress(want.Destination.String())}
	if l.udp {
		subs = append(subs, sub(126, "06a5"))
	}
	if l.sublayer {
		flags = 4
	}
	return row{
		name: l.String(), state: "up", tunnel: want,
		change: func(r *exabgp.Route) {
			tunnel(tlv(1, subs...))(r)
			r.Communities = []string{target, layer2(flags, 1500)}
		},
		wire: func(pw *lab.Pseudowire) {
			pw.Source, pw.Cookie = want.Source.String(), &l.cookie
			if l.udp {
				pw.Encapsulation = "udp"
			}
			if l.sublayer {
				pw.Sublayer = "default"
			}
			if l.sequencing {
				pw.More = lab.Keys{"sequencing": true}
			}
		},
	}
}

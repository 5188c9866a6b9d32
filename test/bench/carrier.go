package main

import (
	"fmt"
	"net/netip"

	"longwire/dataplane"
)

// carrier is a family and an encapsulation: what brings L2TPv3 to the far end.
type carrier struct{ v6, udp bool }

// carriers are all four.
var carriers = []carrier{{false, false}, {false, true}, {true, false}, {true, true}}

// String returns "ipv4/ip" and the like.
func (c carrier) String() string {
	family := 4
	if c.v6 {
		family = 6
	}
	return fmt.Sprintf("ipv%d/%s", family, c.encapsulation())
}

func (c carrier) encapsulation() dataplane.Encapsulation {
	if c.udp {
		return dataplane.EncapsulationUDP
	}
	return dataplane.EncapsulationIP
}

// l2tpPort is the UDP port of both ends.
const l2tpPort = 1701

// session is one direction of a pseudowire: everything that sender and receiver
// must agree on.
type session struct {
	carrier    carrier
	id         dataplane.SessionID
	from, to   netip.Addr
	pseudowire string
	version    byte // of the cookie
}

// session returns a session of the benchmark's only pseudowire, sent by that end
// of the underlay, 0 or 1.
func (c carrier) session(id dataplane.SessionID, sender int) session {
	address := underlay4
	if c.v6 {
		address = underlay6
	}
	return session{carrier: c, id: id, from: address(sender), to: address(1 - sender), pseudowire: pseudowire}
}

// cookie returns the session's 8-byte cookie.
func (s session) cookie() (dataplane.Cookie, error) {
	return dataplane.NewCookie([]byte{byte(s.id >> 8), byte(s.id), s.version, 4, 5, 6, 7, 8})
}

// flow is what the sender's next hop is leased for.
func (s session) flow() dataplane.Flow { return dataplane.Flow{Local: s.from, Remote: s.to} }

// pseudowire is the name of the only one that most data planes have.
const pseudowire = "bench"

// transmit puts the session into the sender's data plane.
func (s session) transmit(t dataplane.Target, circuit int) error {
	cookie, err := s.cookie()
	if err != nil {
		return err
	}
	return t.PutTransmit(dataplane.Transmit{
		Circuit: dataplane.Port(circuit), Pseudowire: s.pseudowire, Session: s.id, Local: s.from, Remote: s.to,
		Encapsulation: s.carrier.encapsulation(), LocalPort: l2tpPort, RemotePort: l2tpPort,
		Cookie: cookie, TTL: 64, DontFragment: true,
	})
}

// receive puts the session into the receiver's data plane.
func (s session) receive(t dataplane.Target, circuit int) error {
	cookie, err := s.cookie()
	if err != nil {
		return err
	}
	return t.PutReceive(dataplane.Receive{
		Session: s.id, Pseudowire: s.pseudowire, Circuit: circuit, Local: s.to, Remote: s.from,
		AcceptIP: !s.carrier.udp, AcceptUDP: s.carrier.udp, LocalPort: l2tpPort, RemotePort: l2tpPort,
		Cookie: cookie,
	})
}

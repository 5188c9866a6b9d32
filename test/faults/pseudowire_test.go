package faults

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"

	"longwire/dataplane"
	"longwire/test/lab"
)

// port is the UDP port of both ends.
const port = 1701

// pseudowire is one of the pseudowires between the two PEs; its number is that of
// its circuits.
type pseudowire struct {
	number  int
	v6, udp bool
}

// pseudowires lists one of each encapsulation.
var pseudowires = []pseudowire{{0, false, false}, {1, false, true}, {2, true, false}, {3, true, true}}

// String names the pseudowire in counters and tests: "ipv4-udp".
func (p pseudowire) String() string {
	return fmt.Sprintf("ipv%d-%s", map[bool]int{false: 4, true: 6}[p.v6], map[bool]string{false: "ip", true: "udp"}[p.udp])
}

// source is the outer address of a side.
func (p pseudowire) source(side int) netip.Addr {
	if p.v6 {
		return [...]netip.Addr{lab.PE1Source6, lab.PE2Source6}[side-1]
	}
	return [...]netip.Addr{lab.PE1Source4, lab.PE2Source4}[side-1]
}

// session and cookie are what packets towards a side carry.
func (p pseudowire) session(side int) uint32 { return uint32(side*100_000 + p.number + 1) }

func (p pseudowire) cookie(side int) string {
	return fmt.Sprintf("%02x%02xdeadbeefcafe", side, p.number)
}

// tunnel is what the packets that a side sends look like.
func (p pseudowire) tunnel(side int) lab.Tunnel {
	far := 3 - side
	return lab.Tunnel{Source: p.source(side), Destination: p.source(far), UDP: p.udp,
		Session: p.session(far), Cookie: p.cookie(far), Sublayer: true}
}

// endpoint is where packets towards a side arrive.
func (p pseudowire) endpoint(side int) dataplane.Endpoint {
	e := dataplane.Endpoint{Address: p.source(side)}
	if p.udp {
		e.Port = port
	}
	return e
}

// receive is the session that a side accepts.
func (p pseudowire) receive(t *testing.T, side, circuit int) dataplane.Receive {
	return dataplane.Receive{
		Session: dataplane.SessionID(p.session(side)), Pseudowire: p.String(), Circuit: circuit,
		Local: p.source(side), Remote: p.source(3 - side), AcceptIP: !p.udp, AcceptUDP: p.udp,
		LocalPort: port, RemotePort: port, Cookie: newCookie(t, p.cookie(side)), Sublayer: dataplane.SublayerDefault,
	}
}

// transmit is how a side sends.
func (p pseudowire) transmit(t *testing.T, side, circuit int) dataplane.Transmit {
	far := 3 - side
	tx := dataplane.Transmit{
		Circuit: dataplane.Port(circuit), Pseudowire: p.String(), Session: dataplane.SessionID(p.session(far)),
		Local: p.source(side), Remote: p.source(far), LocalPort: port, RemotePort: port,
		Cookie: newCookie(t, p.cookie(far)), Sublayer: dataplane.SublayerDefault, TTL: 64, DontFragment: true,
	}
	if p.udp {
		tx.Encapsulation = dataplane.EncapsulationUDP
	}
	return tx
}

func newCookie(t *testing.T, digits string) dataplane.Cookie {
	t.Helper()
	raw, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := dataplane.NewCookie(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

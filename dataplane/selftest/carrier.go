package selftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"longwire/dataplane"
)

// carrier is a family and an encapsulation.
type carrier struct{ v6, udp bool }

// String returns "IPv6/UDP" and the like.
func (c carrier) String() string {
	family, encapsulation := "IPv4", "IP"
	if c.v6 {
		family = "IPv6"
	}
	if c.udp {
		encapsulation = "UDP"
	}
	return family + "/" + encapsulation
}

const (
	session     = 0x4c570001
	tunnelPort  = 1701
	underlayMTU = 2000 // bytes of IP, enough for every frame sent
)

var cookie = []byte{1, 2, 3, 4, 5, 6, 7, 8}

// addresses returns our outer address and the far end's.
func (c carrier) addresses() (near, far netip.Addr) {
	if c.v6 {
		return netip.MustParseAddr("fd00:4c57:1::1"), netip.MustParseAddr("fd00:4c57:2::2")
	}
	return netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.2")
}

func (c carrier) flow() dataplane.Flow {
	near, far := c.addresses()
	return dataplane.Flow{Local: near, Remote: far}
}

// sublayer: half of the carriers have one.
func (c carrier) sublayer() dataplane.Sublayer {
	if c.udp {
		return dataplane.SublayerDefault
	}
	return dataplane.SublayerNone
}

// transmit is the sending half of the session, with its circuit's ifindex.
func (c carrier) transmit(circuit int) dataplane.Transmit {
	near, far := c.addresses()
	key, _ := dataplane.NewCookie(cookie) // of 8 bytes
	t := dataplane.Transmit{
		Circuit: dataplane.Port(circuit), Pseudowire: "a", Session: session, Local: near, Remote: far,
		LocalPort: tunnelPort, RemotePort: tunnelPort, Cookie: key, Sublayer: c.sublayer(), TTL: 64,
		DontFragment: true, TooBig: dataplane.TooBigDrop,
	}
	if c.udp {
		t.Encapsulation = dataplane.EncapsulationUDP
	}
	return t
}

// receive is the receiving half, with the circuit that frames leave by.
func (c carrier) receive(circuit int) dataplane.Receive {
	near, far := c.addresses()
	key, _ := dataplane.NewCookie(cookie) // of 8 bytes
	return dataplane.Receive{
		Session: session, Pseudowire: "b", Circuit: circuit, Local: far, Remote: near, AcceptIP: !c.udp, AcceptUDP: c.udp,
		LocalPort: tunnelPort, RemotePort: tunnelPort, Cookie: key, Sublayer: c.sublayer(),
	}
}

// carries tells the session's packets from others by the outer addresses.
func (c carrier) carries(p []byte) bool {
	near, far := c.addresses()
	pair := append(near.AsSlice(), far.AsSlice()...)
	at := ethernetLen + 12
	if c.v6 {
		at = ethernetLen + 8
	}
	return len(p) >= at+len(pair) && bytes.Equal(p[at:at+len(pair)], pair)
}

// unwrap returns the frame in a packet, and an error unless every outer field is
// as it has to be on a wire: RFC 791, RFC 8200, RFC 768, RFC 3931 section 4.1.
func (c carrier) unwrap(p []byte) ([]byte, error) {
	if len(p) < ethernetLen+ipv6Len || !c.carries(p) {
		return nil, fmt.Errorf("%d bytes are no packet of the session", len(p))
	}
	b, pseudo, err := c.network(p[ethernetLen:])
	if err != nil {
		return nil, err
	}
	if c.udp {
		if b, err = c.datagram(b, pseudo); err != nil {
			return nil, err
		}
	}
	want := binary.BigEndian.AppendUint32(nil, session)
	want = append(want, cookie...)
	want = append(want, make([]byte, c.sublayer().Len())...)
	if frame, ok := bytes.CutPrefix(b, want); ok {
		return frame, nil
	}
	return nil, fmt.Errorf("the L2TPv3 header is %x, not %x", b[:min(len(b), len(want))], want)
}

// network checks the IP header and returns what is behind it.
func (c carrier) network(b []byte) (rest []byte, pseudo uint32, err error) {
	protocol := byte(protocolL2TP)
	if c.udp {
		protocol = protocolUDP
	}
	length, got, header := int(binary.BigEndian.Uint16(b[2:])), b[9], ipv4Len
	if c.v6 {
		length, got, header = int(binary.BigEndian.Uint16(b[4:]))+ipv6Len, b[6], ipv6Len
	}
	switch {
	case length != len(b):
		return nil, 0, fmt.Errorf("the outer IP header says %d bytes of %d", length, len(b))
	case got != protocol:
		return nil, 0, fmt.Errorf("the outer protocol is %d, not %d", got, protocol)
	case !c.v6 && (b[0] != 0x45 || fold(add(0, b[:ipv4Len])) != 0xffff):
		return nil, 0, fmt.Errorf("the outer IP header %x has a wrong checksum", b[:ipv4Len])
	}
	addresses := b[12:ipv4Len]
	if c.v6 {
		addresses = b[8:ipv6Len]
	}
	return b[header:], add(uint32(protocol)+uint32(len(b)-header), addresses), nil
}

// datagram checks the UDP header and the word of L2TPv3 behind it, and returns what
// begins with the session id.
func (c carrier) datagram(b []byte, pseudo uint32) ([]byte, error) {
	if len(b) < udpLen+4 || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		return nil, fmt.Errorf("the outer UDP header says %d bytes of %d", binary.BigEndian.Uint16(b[4:]), len(b))
	}
	sum := binary.BigEndian.Uint16(b[6:])
	if (sum != 0 || c.v6) && (sum == 0 || fold(add(pseudo, b)) != 0xffff) {
		return nil, fmt.Errorf("the outer UDP checksum %#04x of %d bytes is wrong", sum, len(b))
	}
	if word := binary.BigEndian.Uint32(b[udpLen:]); word != 3<<16 {
		return nil, fmt.Errorf("the L2TPv3 header over UDP begins with %#08x", word)
	}
	return b[udpLen+4:], nil
}

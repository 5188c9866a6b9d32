package scenario

import (
	"encoding/binary"
	"encoding/hex"
	"net"

	"longwire/test/lab"
)

// crafted is an L2TPv3 packet over protocol 115 that a host sends by itself, as
// no PE would.
type crafted struct {
	net.PacketConn
	to      net.Addr
	payload []byte
}

// Send sends the packet.
func (c *crafted) Send() error {
	_, err := c.WriteTo(c.payload, c.to)
	return err
}

// craft makes a packet from a side's PE to the other one, with a broadcast frame
// in it.
func (p *pair) craft(side int, session uint32, cookie string) (*crafted, error) {
	c := &crafted{to: &net.IPAddr{IP: wire{}.source(3 - side).AsSlice()}}
	raw, err := hex.DecodeString(cookie)
	if err != nil {
		return nil, err
	}
	c.payload = append(binary.BigEndian.AppendUint32(nil, session), raw...)
	c.payload = append(c.payload, lab.Frame{Destination: lab.Broadcast, EtherType: lab.EtherTypeTest, Payload: lab.Pattern(1, 64)}.Bytes()...)
	c.PacketConn, err = p.listenRaw(side)
	return c, err
}

// listenRaw opens protocol 115 on a side's PE, beside the programs.
func (p *pair) listenRaw(side int) (conn net.PacketConn, err error) {
	_, pe := p.Side(side)
	err = pe.Do(func() error {
		conn, err = net.ListenPacket("ip4:115", wire{}.source(side).String())
		return err
	})
	return conn, err
}

package packet

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"longwire/bpf"
	"longwire/dataplane"
)

// combination is one way to configure both ends, and one frame that crosses.
type combination struct {
	format
	to       dataplane.Imposition
	from     dataplane.Delivery
	dscp     uint8
	copyDSCP bool
	copyECN  bool
	numbered bool
	entropy  bool
	zero     bool
	shared   bool
	number   uint32
	family   string
	tos      byte
	n        int
	tags     []tag
}

// drawCombination draws what the configuration allows together.
func drawCombination(t *rapid.T) combination {
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	c := combination{
		format: rapid.SampledFrom(formats()).Draw(t, "format"),
		dscp:   rapid.Uint8Range(0, 63).Draw(t, "dscp"), copyDSCP: flag("copy dscp"), copyECN: flag("copy ecn"),
		shared: flag("shared"), number: rapid.Uint32().Draw(t, "number"), tos: rapid.Byte().Draw(t, "tos"),
		family: rapid.SampledFrom([]string{"ipv4", "ipv6", "other"}).Draw(t, "family"),
		n:      rapid.IntRange(60, 1400).Draw(t, "bytes"),
		from:   deliveries[rapid.SampledFrom([]string{"keep", "pop", "set one", "set two", "push one", "push two"}).Draw(t, "delivery")],
	}
	c.to.Pop = rapid.Uint8Range(0, 2).Draw(t, "pop")
	if flag("push") {
		c.to.Push = dataplane.Tag{Type: rapid.SampledFrom([]uint16{0x8100, 0x88a8, 0x9100}).Draw(t, "type"), VID: rapid.Uint16Range(1, 4094).Draw(t, "vid")}
	}
	for range rapid.IntRange(0, 3).Draw(t, "tags") {
		c.tags = append(c.tags, tag{rapid.SampledFrom([]uint16{0x8100, 0x88a8, 0x9100}).Draw(t, "its type"), rapid.Uint16().Draw(t, "its tci")})
	}
	c.numbered = c.sublayer == dataplane.SublayerDefault && flag("numbered")
	c.entropy, c.zero = c.udp && flag("entropy"), c.udp && c.v6 && flag("zero checksum")
	return c
}

// transmit is how the near end sends.
func (c combination) transmit(t testing.TB) dataplane.Transmit {
	tx := c.format.transmit(t)
	tx.Tags, tx.DSCP, tx.CopyDSCP, tx.CopyECN = c.to, c.dscp, c.copyDSCP, c.copyECN
	tx.Sequencing, tx.Entropy, tx.ZeroChecksum, tx.Shared = c.numbered, c.entropy, c.zero, c.shared
	return tx
}

// receive is what the far end accepts.
func (c combination) receive(t testing.TB) dataplane.Receive {
	r := c.format.receive(t)
	r.Session, r.Local, r.Remote, r.LocalPort, r.RemotePort = farSession, r.Remote, r.Local, farPort, nearPort
	r.Sequencing, r.ZeroChecksum, r.Tags = c.numbered, c.zero, c.from
	if c.entropy {
		r.RemotePort = 0
	}
	return r
}

// frame is what the customer sends, without its tags.
func (c combination) frame() []byte {
	if c.family == "other" {
		return frame(c.n, 0x88b5)
	}
	return ipFrame(c.family == "ipv6", c.tos, c.n)
}

// sent is the packet between the ends, whose source port is the one given if
// it is drawn from the flow.
func (c combination) sent(t *testing.T, nh dataplane.NextHop, inner []byte, port []byte) []byte {
	b := c.format.sent(t, nh, inner)
	tos := c.dscp << 2
	if c.copyDSCP {
		tos = 0
	}
	if c.family != "other" && c.copyDSCP {
		tos = c.tos & 0xfc
	}
	if c.family != "other" && c.copyECN {
		tos |= c.tos & 3
	}
	b = c.withTOS(b, tos)
	if c.numbered {
		binary.BigEndian.PutUint32(b[c.header()-4:], 0x40000000|c.number&0xffffff)
	}
	if c.entropy {
		copy(b[c.l4():], port)
	}
	if c.udp && c.v6 {
		fixUDP(c.format, b)
		if c.zero {
			clear(b[c.l4()+6 : c.l4()+8])
		}
	}
	return b
}

// TestCombinations sends frames by random policies, which must not get into each
// other's way, compares each packet with one made by other means, and takes it
// apart again at the far end.
func TestCombinations(t *testing.T) {
	m, dir := openAt(t, 64)
	p, nh := newPort(t), lease(1600)
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCombination(rt)
		tx := c.transmit(t)
		must(t, m.PutTransmit(tx))
		must(t, m.PutReceive(c.receive(t)))
		must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
		setSequence(t, dir, bpf.LongwireSequence{Send: c.number})
		crosses := impose(c.tags, c.to)
		inner := tagged(c.frame(), crosses...)
		got := p.encap(t, m, tagged(c.frame(), c.tags...))
		port := got.packet[c.l4():min(c.l4()+2, len(got.packet))]
		if diff := diffOf(c.sent(t, nh, inner, port), got.packet); got.verdict != redirect || diff != "" {
			rt.Fatalf("%+v: verdict %d (-want +got):\n%s", c, got.verdict, diff)
		}
		clear(got.packet[:6]) // the address of the device that a test run pretends
		back := run(t, m.Programs().Decap, got.packet, skb{})
		want := tagged(c.frame(), deliver(crosses, c.from)...)
		if diff := diffOf(want, back.packet); back.verdict != redirect || diff != "" {
			rt.Fatalf("%+v: delivered with verdict %d, drops %v (-want +got):\n%s", c, back.verdict, dropsOf(t, m), diff)
		}
	})
	wantDrops(t, m, map[dataplane.Drop]uint64{})
}

package selftest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"longwire/dataplane"
)

const (
	smallMTU         = 1300 // bytes of IP, too small for the frames sent and enough for IPv6
	protocolFragment = 44   // RFC 8200 section 4.5
	fragmentLen      = 8
	moreFragmentsV4  = 0x2000
	moreFragmentsV6  = 1
)

// fragments makes the underlay too small and puts together what leaves it.
func (r *runner) fragments() (err error) {
	w := r.world
	defer func() { err = errors.Join(err, w.in(w.edge, func() error { return w.mtu(underlayMTU) })) }()
	if err := w.in(w.edge, func() error { return w.mtu(smallMTU) }); err != nil {
		return err
	}
	whole := packet{payload: pattern(1400), seq: 1}
	sent := append(complete(plainFrame(1513, typeTest)), whole.partial(0))
	expected := [][]byte{sent[0].bytes, whole.whole()}
	for _, c := range w.carriers() {
		if err := w.fragmented(c, sent, expected); err != nil {
			return fmt.Errorf("over %s: %w", c, err)
		}
	}
	return nil
}

func (w *world) mtu(bytes int) error {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: w.index[underlayA], Name: underlayA}}
	if err := netlink.LinkSetMTU(link, bytes); err != nil {
		return fmt.Errorf("set the MTU of %s: %w", underlayA, err)
	}
	return nil
}

func (w *world) fragmented(c carrier, sent []sendable, expected [][]byte) error {
	if err := w.carry(c, false); err != nil {
		return err
	}
	to := c.transmit(w.index[circuitA])
	to.DontFragment, to.TooBig = false, dataplane.TooBigFragment
	if err := w.plane.PutTransmit(to); err != nil {
		return err
	}
	for i, s := range sent {
		w.underlay.drain()
		if err := w.a.send(s); err != nil {
			return err
		}
		parts, err := w.underlay.collect(2, w.patience, c.carries)
		if err != nil {
			return err
		}
		if len(parts) != 2 {
			return wrongf("%d fragments instead of 2", len(parts))
		}
		packet, err := c.reassemble(parts)
		if err != nil {
			return wrong{err}
		}
		inner, err := c.unwrap(packet)
		if err != nil {
			return wrong{err}
		}
		if err := same(inner, expected[i]); err != nil {
			return err
		}
	}
	return nil
}

// reassemble puts fragments together that come in order (RFC 791 section 3.2, RFC 8200
// section 4.5).
func (c carrier) reassemble(parts []received) ([]byte, error) {
	var whole []byte
	var id uint32
	for i, p := range parts {
		f, err := c.fragment(p.frame)
		switch {
		case err != nil:
			return nil, fmt.Errorf("fragment %d: %w", i+1, err)
		case len(p.frame) > ethernetLen+smallMTU:
			return nil, fmt.Errorf("fragment %d has %d bytes", i+1, len(p.frame))
		case i == 0:
			whole, id = append(whole, f.header...), f.id
		}
		if got := len(whole) - len(f.header); f.offset != got || f.more == (i == len(parts)-1) || f.id != id {
			return nil, fmt.Errorf("fragment %d begins at byte %d instead of %d, is followed by more: %v, has id %#x instead of %#x", i+1, f.offset, got, f.more, f.id, id)
		}
		whole = append(whole, f.payload...)
	}
	b := whole[ethernetLen:]
	if c.v6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6Len))
		return whole, nil
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[6:8], []byte{0, 0})
	copy(b[10:12], []byte{0, 0})
	binary.BigEndian.PutUint16(b[10:], ^fold(add(0, b[:ipv4Len])))
	return whole, nil
}

// fragment is a part of a packet; the header is that of the whole, Ethernet included,
// but for its length.
type fragment struct {
	header, payload []byte
	offset          int // bytes
	more            bool
	id              uint32
}

func (c carrier) fragment(p []byte) (fragment, error) {
	b := p[ethernetLen:]
	if !c.v6 {
		if int(binary.BigEndian.Uint16(b[2:])) != len(b) || fold(add(0, b[:ipv4Len])) != 0xffff {
			return fragment{}, fmt.Errorf("the IP header %x is wrong", b[:ipv4Len])
		}
		at := binary.BigEndian.Uint16(b[6:])
		return fragment{
			header: p[:ethernetLen+ipv4Len], payload: b[ipv4Len:], offset: int(at&0x1fff) * 8,
			more: at&moreFragmentsV4 != 0, id: uint32(binary.BigEndian.Uint16(b[4:])),
		}, nil
	}
	if len(b) < ipv6Len+fragmentLen || int(binary.BigEndian.Uint16(b[4:])) != len(b)-ipv6Len || b[6] != protocolFragment {
		return fragment{}, fmt.Errorf("the IPv6 header %x is wrong, or has no fragment header behind it", b[:ipv6Len])
	}
	header := append([]byte(nil), p[:ethernetLen+ipv6Len]...)
	header[ethernetLen+6] = b[ipv6Len]
	at := binary.BigEndian.Uint16(b[ipv6Len+2:])
	return fragment{
		header: header, payload: b[ipv6Len+fragmentLen:], offset: int(at &^ 7),
		more: at&moreFragmentsV6 != 0, id: binary.BigEndian.Uint32(b[ipv6Len+4:]),
	}, nil
}

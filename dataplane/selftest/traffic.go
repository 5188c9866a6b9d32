package selftest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vishvananda/netlink"

	"longwire/dataplane"
)

// exchange sends frames from customer A, and wants the underlay to carry and
// customer B to get exactly what is expected, in order. What the underlay carries
// is not looked at when it may still be cut.
func (w *world) exchange(c carrier, sent []sendable, expected [][]byte, onWire bool) error {
	w.underlay.drain()
	w.b.drain()
	before, err := w.drops()
	if err != nil {
		return err
	}
	for _, f := range sent {
		if err := w.a.send(f); err != nil {
			return err
		}
	}
	got, err := w.b.collect(len(expected), w.patience, isOurs)
	if err != nil {
		return err
	}
	// What has passed there is waiting there.
	packets, err := w.underlay.collect(len(expected), 0, c.carries)
	if err != nil {
		return err
	}
	if onWire {
		if err := c.compareWire(packets, expected); err != nil {
			return fmt.Errorf("over %s, on the underlay: %w", c, errors.Join(err, w.dropped(before)))
		}
	}
	frames := make([][]byte, len(got))
	for i, r := range got {
		frames[i] = r.frame
	}
	if err := compare(frames, expected); err != nil {
		return fmt.Errorf("over %s, at the far end: %w", c, errors.Join(err, w.dropped(before)))
	}
	return nil
}

func (c carrier) compareWire(packets []received, expected [][]byte) error {
	inner := make([][]byte, len(packets))
	for i, p := range packets {
		var err error
		if inner[i], err = c.unwrap(p.frame); err != nil {
			return wrongf("packet %d of %d: %w", i+1, len(packets), err)
		}
	}
	return compare(inner, expected)
}

// compare wants the same frames in the same order.
func compare(got, want [][]byte) error {
	for i := range min(len(got), len(want)) {
		if err := same(comparable(got[i]), comparable(want[i])); err != nil {
			return fmt.Errorf("frame %d of %d: %w", i+1, len(want), err)
		}
	}
	if len(got) != len(want) {
		return wrongf("%d frames instead of %d", len(got), len(want))
	}
	return nil
}

// comparable returns an IPv4 frame without its identification, which whoever cuts
// it may choose (RFC 6864 section 4.1), provided that its checksum was right.
func comparable(frame []byte) []byte {
	at := macsLen
	for at+4 <= len(frame) && slices.Contains([]uint16{typeVLAN, typeQinQ}, binary.BigEndian.Uint16(frame[at:])) {
		at += 4
	}
	if at+2+ipv4Len > len(frame) || binary.BigEndian.Uint16(frame[at:]) != typeIPv4 {
		return frame
	}
	header := frame[at+2:][:ipv4Len]
	if header[0] != 0x45 || fold(add(0, header)) != 0xffff {
		return frame
	}
	frame = slices.Clone(frame)
	header = frame[at+2:][:ipv4Len]
	copy(header[4:6], []byte{0, 0})
	copy(header[10:12], []byte{0, 0})
	return frame
}

// drops are what the programs have dropped so far, by reason.
func (w *world) drops() (map[dataplane.Drop]uint64, error) {
	if w.closed {
		return nil, nil
	}
	all, err := w.plane.Counters()
	if err != nil {
		return nil, err
	}
	sum := map[dataplane.Drop]uint64{}
	for _, counters := range all {
		for reason, n := range counters.Drops {
			sum[reason] += n
		}
	}
	return sum, nil
}

// dropped says what has been dropped since, as far as the programs know; nil when
// nothing.
func (w *world) dropped(before map[dataplane.Drop]uint64) error {
	now, err := w.drops()
	for _, reason := range slices.Sorted(maps.Keys(now)) {
		if n := now[reason] - before[reason]; n > 0 {
			err = errors.Join(err, fmt.Errorf("%d dropped as %s", n, reason))
		}
	}
	return err
}

// complete are frames that need nothing of a device.
func complete(frames ...[]byte) []sendable {
	list := make([]sendable, len(frames))
	for i, f := range frames {
		list[i].bytes = f
	}
	return list
}

// coldNeighbour sends one frame in each family while the router is unknown.
func (r *runner) coldNeighbour() error {
	w := r.world
	if err := w.in(w.edge, w.forgetRouter); err != nil {
		return err
	}
	for _, c := range w.carriers() {
		if c.udp {
			continue
		}
		if err := w.carry(c, false); err != nil {
			return err
		}
		frame := plainFrame(100, typeTest)
		if err := w.exchange(c, complete(frame), [][]byte{frame}, true); err != nil {
			return fmt.Errorf("the first frame: %w", err)
		}
	}
	return nil
}

// forgetRouter empties the edge's neighbour tables.
func (w *world) forgetRouter() error {
	neighbours, err := netlink.NeighList(w.index[underlayA], 0)
	if err != nil {
		return fmt.Errorf("list the neighbours: %w", err)
	}
	for _, n := range neighbours {
		if n.State&(netlink.NUD_NOARP|netlink.NUD_PERMANENT) == 0 && !n.IP.IsMulticast() {
			// The kernel may have dropped the entry since.
			_ = netlink.NeighDel(&n)
		}
	}
	return nil
}

// tagStacks are the tags that frames have, outermost first.
var tagStacks = [][]vlan{
	nil,
	{{typeVLAN, 100}},
	{{typeVLAN, 0x6000}}, // a priority alone
	{{typeQinQ, 200}, {typeVLAN, 100}},
	{{typeOld, 300}, {typeVLAN, 100}},
	{{typeQinQ, 300}, {typeQinQ, 200}, {typeVLAN, 0xe000 | 100}},
}

// frames sends frames of every kind over every carrier, with and without a known
// next hop.
func (r *runner) frames() error {
	var kinds [][]byte
	for _, tags := range tagStacks {
		for _, etherType := range []uint16{typeIPv4, typeIPv6, typeTest} {
			for _, size := range []int{16, 33, 60, 1513} {
				kinds = append(kinds, plainFrame(size, etherType, tags...))
			}
		}
	}
	for _, c := range r.world.carriers() {
		for _, leased := range []bool{true, false} {
			if err := r.world.carry(c, leased); err != nil {
				return err
			}
			if err := r.world.exchange(c, complete(kinds...), kinds, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// checksums sends packets whose checksums are left to the device.
func (r *runner) checksums() error {
	var sent []sendable
	var expected [][]byte
	for _, v6 := range []bool{false, true} {
		for _, udp := range []bool{false, true} {
			for _, size := range []int{1, 2, 63, 64, 511, 1400} {
				p := packet{v6: v6, udp: udp, payload: pattern(size), id: uint16(size), seq: 1}
				sent, expected = append(sent, p.partial(0)), append(expected, p.whole())
			}
		}
	}
	for _, c := range r.world.carriers() {
		if err := r.world.carry(c, true); err != nil {
			return err
		}
		if err := r.world.exchange(c, sent, expected, true); err != nil {
			return err
		}
	}
	return nil
}

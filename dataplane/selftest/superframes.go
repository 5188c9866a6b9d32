package selftest

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const segment = 1000 // bytes of TCP payload

// superFrame sends one super-frame of TCP and wants its pieces.
func (w *world) superFrame(c carrier, v6, onWire bool, tags ...vlan) error {
	p := packet{v6: v6, payload: pattern(4*segment + 321), id: 7, seq: 1 << 31, push: true, tags: tags}
	if err := w.carry(c, true); err != nil {
		return err
	}
	return w.exchange(c, []sendable{p.partial(segment)}, p.pieces(segment), onWire)
}

// cutters are the devices that may have to cut a super-frame that was encapsulated
// whole: our own, a router's, and the far end's towards its customer.
func (w *world) cutters() []struct {
	name string
	ns   *os.File
} {
	return []struct {
		name string
		ns   *os.File
	}{{underlayA, w.edge}, {routerB, w.outside}, {circuitB, w.edge}}
}

// superFrames lets each device in turn be the only one that cuts.
func (r *runner) superFrames() (err error) {
	w, c := r.world, carrier{udp: true}
	defer func() { err = errors.Join(err, w.in(w.edge, func() error { return w.offloads(underlayA, false) })) }()
	for _, cutter := range w.cutters() {
		for _, other := range w.cutters() {
			if err := w.in(other.ns, func() error { return w.offloads(other.name, other.name != cutter.name) }); err != nil {
				return err
			}
		}
		for _, v6 := range []bool{false, true} {
			if err := w.superFrame(c, v6, cutter.name != circuitB); err != nil {
				return fmt.Errorf("cut by %s: %w", cutter.name, err)
			}
		}
	}
	return nil
}

// helperCuts sends what the kernel cannot cut behind the outer header.
func (r *runner) helperCuts() error {
	for _, c := range r.world.carriers() {
		for _, tags := range tagStacks[:2] {
			if c == (carrier{udp: true}) && tags == nil {
				continue // not the pair's
			}
			for _, v6 := range []bool{false, true} {
				if err := r.world.superFrame(c, v6, true, tags...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// helperPair are the ends of the pair: sent out of the one, a frame arrives at
// the other.
var helperPair = [2]string{"longwire1", "longwire0"}

// helperMark sends a marked frame through the pair and looks at its mark.
func (r *runner) helperMark() error {
	w, ends := r.world, helperPair
	if r.o.faults.helper != ([2]string{}) {
		ends = r.o.faults.helper
	}
	if err := w.openHelper(ends); err != nil {
		return err
	}
	const mark = 0x01234567
	if err := w.toHelper.mark(mark); err != nil {
		return fmt.Errorf("mark frames: %w", err)
	}
	if err := w.toHelper.send(sendable{bytes: plainFrame(100, typeTest)}); err != nil {
		return err
	}
	got, err := w.atHelper.collect(1, w.patience, isOurs)
	switch {
	case err != nil:
		return err
	case len(got) == 0:
		return wrongf("a frame sent into %s does not arrive at %s", ends[0], ends[1])
	case got[0].mark != mark:
		return wrongf("the mark %#x has become %#x", mark, got[0].mark)
	}
	return nil
}

// openHelper opens ports on two interfaces, wherever they are.
func (w *world) openHelper(ends [2]string) error {
	for i, p := range []**port{&w.toHelper, &w.atHelper} {
		if *p != nil {
			(*p).close()
			*p = nil
		}
		for _, ns := range []*os.File{w.edge, w.outside} {
			err := w.in(ns, func() error {
				l, err := netlink.LinkByName(ends[i])
				if err != nil {
					return nil // not in this namespace
				}
				*p, err = openPort(l.Attrs().Index, i == 0)
				return err
			})
			if err != nil {
				return err
			}
		}
		if *p == nil {
			return fmt.Errorf("find %s: %w", ends[i], unix.ENODEV)
		}
	}
	return nil
}

// pins closes every handle and sends on.
func (r *runner) pins() error {
	w := r.world
	c := carrier{udp: true}
	if !w.closed {
		if err := w.carry(c, false); err != nil {
			return err
		}
	}
	if err := w.closePlane(); err != nil {
		return err
	}
	frame := plainFrame(200, typeTest)
	return w.exchange(c, complete(frame), [][]byte{frame}, true)
}

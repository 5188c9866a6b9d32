package tc

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
	pinned "longwire/dataplane/maps"
)

// errForeign is why an interface goes without XDP: it can have one program.
var errForeign = errors.New("it has an XDP program of somebody else")

// errNoTransmit is why only one direction of an interface goes by XDP.
var errNoTransmit = errors.New("its driver takes no frames from XDP programs now, so those that leave by it go by tc")

// newXDP attaches XDP programs to drivers, never the generic kind.
func newXDP(pinDir string) *links {
	return newLinks(pinDir, "xdp-", func(ifindex int, prog *ebpf.Program) (link.Link, error) {
		l, err := link.AttachXDP(link.XDPOptions{Interface: ifindex, Program: prog, Flags: link.XDPDriverMode})
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			return nil, errForeign
		}
		if err != nil {
			return nil, fmt.Errorf("attach to the driver: %w", err)
		}
		return l, nil
	})
}

// WithoutXDP implements dataplane.XDP.
func (p *Plane) WithoutXDP() map[int]error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.without)
}

// attachXDP makes the XDP attachments those wanted. The tc programs are there
// before and after it, so what goes wrong here costs speed alone, unless
// something cannot be taken away: that is in failed. The programs serve an
// interface from when it is a port to when it is none: in between its driver
// takes frames from them and leaves tags in them.
func (p *Plane) attachXDP(want dataplane.Attachments) (repaired int, failed map[int]error) {
	wanted, without := p.xdpPlaces(want)
	failed = p.shrinkPorts(wanted)
	report := func(at int, err error) {
		if err != nil {
			failed[at] = errors.Join(failed[at], err)
		}
	}
	report(0, p.sweepXDP(wanted))
	for at := range wanted {
		again, err := p.attachXDPAt(at)
		if again {
			repaired++
		}
		if err != nil {
			without[at.ifindex] = err
			delete(wanted, at)
		}
	}
	maps.Copy(failed, p.shrinkPorts(wanted))
	report(0, p.sweepXDP(wanted))
	for i, err := range p.SetPorts(p.xdpPorts(wanted, without)) {
		if errors.Is(err, pinned.ErrPlace) {
			without[i] = err
		} else {
			report(i, err)
		}
	}
	p.tell(without)
	return repaired, failed
}

// sweepXDP takes our programs away from where they are not wanted, and puts the
// interfaces back as they were, also those that a crash has left.
func (p *Plane) sweepXDP(wanted map[place]bool) error {
	keep := map[int]bool{}
	for at := range wanted {
		keep[at.ifindex] = true
	}
	errs := []error{p.tags.restoreOthers(keep)}
	found, err := p.xdp.places()
	errs = append(errs, err)
	for _, at := range found {
		if !wanted[at] {
			errs = append(errs, p.xdp.detach(at))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach XDP: %w", err)
	}
	return nil
}

// xdpPlaces returns where XDP programs are wanted. An interface has one.
func (p *Plane) xdpPlaces(want dataplane.Attachments) (map[place]bool, map[int]error) {
	wanted, without := map[place]bool{}, map[int]error{}
	for _, i := range want.XDP {
		circuit, underlay := slices.Contains(want.Circuits, i), slices.Contains(want.Underlays, i)
		switch {
		case circuit && underlay:
			without[i] = errors.New("it is circuit and underlay at once")
		case circuit:
			wanted[place{roleEncap, i}] = true
		case underlay:
			wanted[place{roleDecap, i}] = true
		}
	}
	return wanted, without
}

// shrinkPorts takes the ports away that are no longer wanted.
func (p *Plane) shrinkPorts(wanted map[place]bool) map[int]error {
	have, err := p.Ports()
	if err != nil {
		return map[int]error{0: err}
	}
	var keep []pinned.Port
	for _, port := range have {
		if wanted[placeOf(port)] {
			keep = append(keep, port)
		}
	}
	if len(keep) == len(have) {
		return map[int]error{}
	}
	return p.SetPorts(keep)
}

func placeOf(port pinned.Port) place {
	if port.Underlay {
		return place{roleDecap, port.IfIndex}
	}
	return place{roleEncap, port.IfIndex}
}

// attachXDPAt puts an XDP program on an interface whose driver can run it and
// leave the tags in the frames. One for frames of any size is for drivers that
// refuse the other: it asks the kernel for the size of each.
func (p *Plane) attachXDPAt(at place) (repaired bool, err error) {
	f, err := featuresOf(at.ifindex)
	if err != nil {
		return false, err
	}
	if err := f.native(); err != nil {
		return false, err
	}
	if _, _, err := stripping(at.ifindex); err != nil {
		return false, err
	}
	programs := p.Programs()
	prog, large := programs.XdpEncap, programs.XdpEncapLarge
	if at.role == roleDecap {
		prog, large = programs.XdpDecap, programs.XdpDecapLarge
	}
	repaired, err = p.xdp.attach(at, prog)
	if err != nil && !errors.Is(err, errForeign) {
		repaired, err = p.xdp.attach(at, large)
	}
	if err != nil {
		return false, err
	}
	return repaired, p.tags.keep(at.ifindex)
}

// xdpPorts describes the interfaces that have their programs, and adds those
// that take no frames to without.
func (p *Plane) xdpPorts(have map[place]bool, without map[int]error) []pinned.Port {
	const tag = 4 // bytes that every driver takes beyond the MTU
	var ports []pinned.Port
	for at := range have {
		l, err := netlink.LinkByIndex(at.ifindex)
		if err != nil {
			without[at.ifindex] = fmt.Errorf("find interface %d: %w", at.ifindex, err)
			continue
		}
		port := pinned.Port{IfIndex: at.ifindex, Underlay: at.role == roleDecap}
		copy(port.MAC[:], l.Attrs().HardwareAddr)
		f, err := featuresOf(at.ifindex)
		switch {
		case err != nil:
			without[at.ifindex] = err
		case f&xdpTransmit == 0:
			without[at.ifindex] = errNoTransmit
		default:
			port.Largest = l.Attrs().MTU + ethernetHeader + tag
		}
		ports = append(ports, port)
	}
	return ports
}

const ethernetHeader = 14 // bytes

// tell keeps what WithoutXDP returns, and logs what is new in it.
func (p *Plane) tell(without map[int]error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, err := range without {
		if before := p.without[i]; before == nil || before.Error() != err.Error() {
			p.log.Warn("an interface does without XDP, tc goes on", "ifindex", i, "cause", err)
		}
	}
	p.without = without
}

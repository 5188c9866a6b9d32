package main

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// xdpPass is XDP_PASS: on to the stack.
const xdpPass = 2

// xdp loads a small XDP program of the benchmark's own.
func (w *world) xdp(code asm.Instructions) (*ebpf.Program, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "MIT", Instructions: code})
	if err != nil {
		return nil, fmt.Errorf("load an XDP program: %w", err)
	}
	w.Cleanup(func() { _ = prog.Close() })
	return prog, nil
}

// attachXDP puts a program on a device until the end, in its driver.
func (w *world) attachXDP(n *lab.Namespace, device string, prog *ebpf.Program) error {
	ifindex := n.Index(device)
	return n.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: link.XDPDriverMode})
		if err != nil {
			return fmt.Errorf("attach XDP to %s of %s: %w", device, n.Role, err)
		}
		w.Cleanup(func() { _ = l.Close() })
		return nil
	})
}

// joinByXDPRedirect is joinByRedirect with XDP on all ports of the PEs.
func joinByXDPRedirect(w *world, s *site) error {
	if err := w.prepareHosts(s); err != nil {
		return err
	}
	for end, pe := range s.pe {
		for from, to := range map[string]string{lab.Circuit(0): lab.Uplink, lab.Uplink: lab.Circuit(0)} {
			prog, err := w.xdp(redirectCode(pe.Index(to)))
			if err != nil {
				return err
			}
			if err := w.attachXDP(pe, from, prog); err != nil {
				return err
			}
			if end == 0 && from == lab.Circuit(0) {
				s.xdp = prog
			}
		}
	}
	return nil
}

// joinByLongwireXDP is joinByLongwire with XDP on all ports of the PEs.
func joinByLongwireXDP(c carrier) func(*world, *site) error {
	return func(w *world, s *site) error {
		if err := w.prepareHosts(s); err != nil {
			return err
		}
		if err := w.openPlanes(s, c, bothPortsXDP); err != nil {
			return err
		}
		// A port takes frames from XDP only once the far one has a program, which
		// the first plane could not know.
		for end, p := range s.planes {
			if err := attachAgain(s.pe[end], p); err != nil {
				return err
			}
		}
		s.xdp = s.planes[0].Programs().XdpEncap
		return w.leaseBoth(s, c)
	}
}

func bothPortsXDP(pe *lab.Namespace) dataplane.Attachments {
	a := bothPorts(pe)
	a.XDP = slices.Concat(a.Circuits, a.Underlays)
	return a
}

func attachAgain(pe *lab.Namespace, p *tc.Plane) error {
	a := bothPortsXDP(pe)
	return pe.Do(func() error {
		_, failed := p.Attach(a)
		if without := p.WithoutXDP(); len(failed) > 0 || len(without) > 0 {
			return fmt.Errorf("attach: failed %v, without XDP %v", failed, without)
		}
		return nil
	})
}

// prepareHosts makes the hosts' ports what stands opposite a real port with XDP:
// a veth takes redirected frames only if it polls, as it does with a program of
// its own, and a frame that is redirected by XDP has lost what the stack knew of
// its unfinished checksum, so the hosts finish theirs.
func (w *world) prepareHosts(s *site) error {
	pass, err := w.xdp(asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()})
	if err != nil {
		return err
	}
	for _, ce := range s.ce {
		if _, err := ce.Try("ethtool", "-K", lab.HostPort(0), "tx", "off"); err != nil {
			return err
		}
		if err := w.attachXDP(ce, lab.HostPort(0), pass); err != nil {
			return err
		}
	}
	return nil
}

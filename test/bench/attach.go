package main

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"longwire/test/lab"
)

// order is the place of a program on its hook. Programs are attached in their
// order: TCX goes by that, and clsact by the number.
type order uint16

const (
	first order = iota + 1
	second
)

// attach puts a program on an interface's ingress by the hook that Longwire takes
// there as well: TCX, or clsact where the kernel has none.
func (w *world) attach(n *lab.Namespace, ifindex int, prog *ebpf.Program, at order) error {
	return n.Do(func() error {
		l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: prog, Attach: ebpf.AttachTCXIngress})
		if errors.Is(err, ebpf.ErrNotSupported) {
			return attachClsact(ifindex, prog, at)
		}
		if err != nil {
			return fmt.Errorf("attach by TCX: %w", err)
		}
		w.Cleanup(func() { _ = l.Close() })
		return nil
	})
}

// attachClsact attaches by a filter, which goes with the namespace.
func attachClsact(ifindex int, prog *ebpf.Program, at order) error {
	err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add the clsact qdisc: %w", err)
	}
	err = netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: uint16(at),
		},
		Fd: prog.FD(), Name: "bench", DirectAction: true,
	})
	if err != nil {
		return fmt.Errorf("add the filter: %w", err)
	}
	return nil
}

// classifier loads a small program of the benchmark's own.
func (w *world) classifier(code asm.Instructions) (*ebpf.Program, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "MIT", Instructions: code})
	if err != nil {
		return nil, fmt.Errorf("load a program: %w", err)
	}
	w.Cleanup(func() { _ = prog.Close() })
	return prog, nil
}

package tc

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// newTCX attaches by TCX (kernel 6.6).
func newTCX(pinDir string) *links {
	return newLinks(pinDir, "link-", func(ifindex int, prog *ebpf.Program) (link.Link, error) {
		l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: prog, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			return nil, fmt.Errorf("attach by TCX: %w", err)
		}
		return l, nil
	})
}

// HaveTCX returns why programs cannot be attached by TCX (6.6), or nil. It tries
// it: a program that lets everything go on its way is attached to the loopback
// interface for a moment.
func HaveTCX() error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "MIT", AttachType: ebpf.AttachTCXIngress,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load a probe program: %w", err)
	}
	defer func() { _ = prog.Close() }()
	const loopback = 1
	l, err := link.AttachTCX(link.TCXOptions{Interface: loopback, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return err
	}
	return l.Close()
}

package maps

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Arguments of bpf_skb_adjust_room (include/uapi/linux/bpf.h).
const (
	adjustRoomMAC      = 1
	adjustDecapL3IPv4  = 1 << 7
	probeShrink        = -20
	probePayloadLength = 100
)

// HaveDecapFlags tells whether the kernel knows BPF_F_ADJ_ROOM_DECAP_L3_IPV4
// (6.3): it shrinks a packet with the flag and looks at the result.
func HaveDecapFlags() (bool, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, probeShrink),
			asm.Mov.Imm(asm.R3, adjustRoomMAC),
			asm.LoadImm(asm.R4, adjustDecapL3IPv4, asm.DWord),
			asm.FnSkbAdjustRoom.Call(),
			asm.Return(),
		},
	})
	if err != nil {
		return false, fmt.Errorf("load a probe program: %w", explain(err))
	}
	defer func() { _ = prog.Close() }()
	packet := make([]byte, probePayloadLength)
	packet[12], packet[13] = 0x08, 0x00 // IPv4
	packet[14] = 0x45
	verdict, _, err := prog.Test(packet)
	if err != nil {
		return false, fmt.Errorf("run the probe: %w", err)
	}
	return verdict == 0, nil
}

// castToKernelContext is the kernel function that shows a program the skb (6.2).
const castToKernelContext = "bpf_cast_to_kern_ctx"

// HaveKernelContext returns why programs cannot see the skb, or nil: the kernel has
// no such function, or no BTF that says where the skb's fields are. It reads the
// kernel's BTF once.
func HaveKernelContext() error { return haveKernelContext() }

var haveKernelContext = sync.OnceValue(func() error {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("read the kernel's BTF: %w", err)
	}
	var f *btf.Func
	if err := kernel.TypeByName(castToKernelContext, &f); err != nil {
		return fmt.Errorf("look for %s in the kernel: %w", castToKernelContext, err)
	}
	return nil
})

// noTypes stands for the kernel's BTF where it is not used: what refers to it is
// made invalid, in code that the verifier then finds dead.
func noTypes() (*btf.Spec, error) {
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make an empty BTF: %w", err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make an empty BTF: %w", err)
	}
	return btf.LoadSpecFromReader(bytes.NewReader(raw))
}

package lab

import (
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Tagged makes a host send all its frames of a device with tags, outermost
// first, and take as many off what it receives, as a VLAN device would. It works
// where the kernel has no VLAN devices, and leaves super-frames whole. The
// returned function ends it.
func (n *Namespace) Tagged(dev string, tags ...Tag) (stop func()) {
	n.lab.tb.Helper()
	var links []link.Link
	stop = func() {
		for _, l := range links {
			// It is ours alone: closed, it is detached.
			_ = l.Close()
		}
		links = nil
	}
	n.lab.tb.Cleanup(stop)
	for at, code := range map[ebpf.AttachType]asm.Instructions{
		ebpf.AttachTCXEgress:  pushTags(tags),
		ebpf.AttachTCXIngress: popTags(len(tags)),
	} {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
		n.check(err, "load a tagger")
		index := n.Index(dev)
		err = n.Do(func() error {
			l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: at})
			if err == nil {
				links = append(links, l)
			}
			return err
		})
		// The link holds the program.
		prog.Close()
		n.check(err, "attach a tagger to "+dev)
	}
	return stop
}

// pass ends a tagger: what comes after it goes on.
var pass = asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}

func pushTags(tags []Tag) asm.Instructions {
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for _, tag := range slices.Backward(tags) {
		tpid := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, tag.TPID))
		code = append(code, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, int32(tpid)),
			asm.Mov.Imm(asm.R3, int32(tag.TCI)), asm.FnSkbVlanPush.Call())
	}
	return append(code, pass...)
}

func popTags(count int) asm.Instructions {
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for range count {
		code = append(code, asm.Mov.Reg(asm.R1, asm.R6), asm.FnSkbVlanPop.Call())
	}
	return append(code, pass...)
}

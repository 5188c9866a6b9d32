package packet

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"longwire/dataplane/maps"
)

// tag is a VLAN tag: EtherType, and priority with VLAN id.
type tag struct{ kind, tci uint16 }

// tagged returns the frame with tags, the first one outermost.
func tagged(inner []byte, tags ...tag) []byte {
	b := append([]byte(nil), inner[:12]...)
	for _, v := range tags {
		b = binary.BigEndian.AppendUint16(b, v.kind)
		b = binary.BigEndian.AppendUint16(b, v.tci)
	}
	return append(b, inner[12:]...)
}

// port runs programs as a port of the kernel does, which keeps the outermost
// tag beside the frame. A test run cannot say so in the context: a program of
// its own pushes the tag, calls the program under test, and brings a tag that
// is left beside the frame back into it.
type port struct {
	prog    *ebpf.Program
	targets *ebpf.Map
	target  *ebpf.Program // in targets
}

// Offsets in struct __sk_buff.
const (
	skbVLANPresent = 20
	skbCB0         = 48
	skbCB1         = 52
)

func newPort(t testing.TB) *port {
	t.Helper()
	targets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(t, err)
	t.Cleanup(func() { _ = targets.Close() })
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	function := func(name string, linkage btf.FuncLinkage) *btf.Func {
		context := &btf.Pointer{Target: &btf.Struct{Name: "__sk_buff"}}
		return &btf.Func{Name: name, Linkage: linkage, Type: &btf.FuncProto{Return: integer, Params: []btf.FuncParam{{Name: "skb", Type: context}}}}
	}
	vlan := int32(onWire(0x8100))
	code := asm.Instructions{
		btf.WithFuncMetadata(asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("port"), function("port", btf.GlobalFunc)),
		asm.LoadMem(asm.R2, asm.R6, skbCB0, asm.Word),
		asm.JEq.Imm(asm.R2, 0, "call"),
		asm.LoadMem(asm.R3, asm.R6, skbCB1, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnSkbVlanPush.Call(),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("call"),
		asm.Call.Label("target"),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.LoadMem(asm.R2, asm.R6, skbVLANPresent, asm.Word),
		asm.JEq.Imm(asm.R2, 0, "out"),
		// A second tag beside the frame makes the first one part of it.
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, vlan),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnSkbVlanPush.Call(),
		asm.Mov.Reg(asm.R0, asm.R7).WithSymbol("out"),
		asm.Return(),
		btf.WithFuncMetadata(asm.LoadMapPtr(asm.R2, targets.FD()).WithSymbol("target"), function("target", btf.StaticFunc)),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, -2),
		asm.Return(),
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "port", Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	must(t, err)
	t.Cleanup(func() { _ = prog.Close() })
	return &port{prog: prog, targets: targets}
}

// onWire turns a number into the one that has its bytes in wire order when it
// is stored natively.
func onWire(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// run gives the program a frame as it was on the wire, and returns what it made
// of it as it would be on the wire.
func (p *port) run(t testing.TB, prog *ebpf.Program, frame []byte, ctx skb) result {
	t.Helper()
	// The kernel patches its code when a target changes.
	if p.target != prog {
		must(t, p.targets.Put(uint32(0), prog))
		p.target = prog
	}
	frame = append([]byte(nil), frame...)
	// The kernel knows tags of two types; others stay in the frame.
	if kind := binary.BigEndian.Uint16(frame[12:]); kind == 0x8100 || kind == 0x88a8 {
		ctx.CB[0], ctx.CB[1] = uint32(onWire(kind)), uint32(binary.BigEndian.Uint16(frame[14:]))
		frame = append(frame[:12], frame[16:]...)
	}
	return run(t, p.prog, frame, ctx)
}

// encap runs a frame through the program of attachment circuits.
func (p *port) encap(t testing.TB, m *maps.Maps, frame []byte) result {
	t.Helper()
	return detour(t, m, frame, skb{}, func(prog *ebpf.Program, frame []byte, ctx skb) result { return p.run(t, prog, frame, ctx) })
}

// TestPort holds the means of these tests to their word: a frame that a program
// lets pass comes back as it was, whatever its tags, and one that takes a tag
// off finds it.
func TestPort(t *testing.T) {
	m := open(t, 64)
	p := newPort(t)
	pop, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.FnSkbVlanPop.Call(), asm.Mov.Imm(asm.R0, 5), asm.Return(),
	}})
	must(t, err)
	t.Cleanup(func() { _ = pop.Close() })
	for name, tags := range map[string][]tag{
		"none": nil, "one": {{0x8100, 0xe064}}, "0x88a8": {{0x88a8, 200}}, "0x9100": {{0x9100, 7}},
		"two": {{0x88a8, 200}, {0x8100, 100}}, "three": {{0x88a8, 200}, {0x8100, 100}, {0x8100, 300}},
	} {
		t.Run(name, func(t *testing.T) {
			sent := tagged(frame(100, 0x0800), tags...)
			if got := p.run(t, m.Programs().Empty, sent, skb{}); got.verdict != pass || string(got.packet) != string(sent) {
				t.Errorf("passed with verdict %d as %x, want %x", got.verdict, got.packet[:30], sent[:30])
			}
			want := sent
			if len(tags) > 0 && tags[0].kind != 0x9100 {
				want = tagged(frame(100, 0x0800), tags[1:]...)
			}
			if got := p.run(t, pop, sent, skb{}); got.verdict != 5 || string(got.packet) != string(want) {
				t.Errorf("popped with verdict %d as %x, want %x", got.verdict, got.packet[:30], want[:30])
			}
		})
	}
}

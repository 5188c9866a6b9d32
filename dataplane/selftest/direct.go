package selftest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"longwire/dataplane"
)

const (
	loopback    = 1      // the interface of a test run
	probe       = 0x4c57 // a circuit that is no interface
	tcRedirect  = 7      // TC_ACT_REDIRECT
	headerSpace = 128    // more than an outer header
)

// Fields of struct __sk_buff, by their offsets.
const (
	skbVLANPresent = 20
	skbVLANTCI     = 24
	skbVLANProto   = 28
)

// skb is the beginning of struct __sk_buff.
type skb struct{ Len, PktType, Mark uint32 }

// testRun runs a program over a frame and returns what becomes of it.
func testRun(prog *ebpf.Program, frame []byte, mark uint32) (verdict uint32, out []byte, err error) {
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+headerSpace), Context: skb{Mark: mark}}
	verdict, err = prog.Run(&o)
	if err != nil {
		return 0, nil, fmt.Errorf("run a program over %d bytes: %w", len(frame), err)
	}
	return verdict, o.DataOut, nil
}

// The frames of the direct checks, without tags: EtherTypes with the least length
// that a test run takes, and lengths.
var (
	directTypes = map[uint16]int{
		typeIPv4: ethernetLen + ipv4Len, typeIPv6: ethernetLen + ipv6Len, typeARP: 15, typeTest: 15, 0x0026: 15,
	}
	directSizes = []int{15, 33, 34, 53, 54, 60, 61, 1514}
)

// each calls f for every frame over every carrier with the session programmed
// both ways: what one program makes is what the other gets.
func (r *runner) each(f func(c carrier, frame []byte) error) error {
	m := r.maps()
	for _, c := range []carrier{{}, {udp: true}, {v6: true}, {v6: true, udp: true}} {
		err := errors.Join(m.PutReceive(c.receive(loopback)), m.PutTransmit(c.transmit(probe)),
			m.Lease(c.flow(), dataplane.NextHop{IfIndex: loopback, MTU: underlayMTU}))
		if err != nil {
			return err
		}
		for etherType, least := range directTypes {
			for _, size := range directSizes {
				if size < least {
					continue
				}
				frame := plainFrame(size, etherType)
				if err := f(c, frame); err != nil {
					return fmt.Errorf("%d bytes of EtherType %#04x over %s: %w", size, etherType, c, err)
				}
			}
		}
	}
	// The way to the far end is another one in the private network.
	return errors.Join(m.DeleteTransmit(dataplane.Port(probe)), m.DeleteReceive(session))
}

// wrap encapsulates a frame. The program is the one behind the helper pair,
// which does so in every mode.
func (r *runner) wrap(frame []byte) ([]byte, error) {
	verdict, out, err := testRun(r.maps().Programs().Segment, bytes.Clone(frame), probe)
	if err == nil && verdict != tcRedirect {
		err = wrongf("verdict %d", int32(verdict))
	}
	return out, err
}

func (r *runner) encapsulation() error {
	return r.each(func(c carrier, frame []byte) error {
		out, err := r.wrap(frame)
		if err != nil {
			return err
		}
		inner, err := c.unwrap(out)
		if err != nil {
			return wrong{err}
		}
		return same(inner, frame)
	})
}

func (r *runner) decapsulation() error {
	return r.each(func(_ carrier, frame []byte) error {
		packet, err := r.wrap(frame)
		if err != nil {
			return err
		}
		verdict, out, err := testRun(r.maps().Programs().Decap, packet, 0)
		if err == nil && verdict != tcRedirect {
			err = wrongf("verdict %d", int32(verdict))
		}
		if err != nil {
			return err
		}
		return same(out, frame)
	})
}

// same compares a frame with the one that it has to be. Zeros may follow up to
// the least length of Ethernet: short frames are padded.
func same(got, want []byte) error {
	const least = 60
	if len(got) > len(want) && len(got) <= least && len(bytes.Trim(got[len(want):], "\x00")) == 0 {
		got = got[:len(want)]
	}
	if len(got) != len(want) {
		return wrongf("%d bytes became %d", len(want), len(got))
	}
	for i := range got {
		if got[i] != want[i] {
			return wrongf("byte %d of %d is %#02x instead of %#02x", i, len(want), got[i], want[i])
		}
	}
	return nil
}

// vlanProbe pushes two tags and takes them off. It returns 0 when each was beside
// the packet when it was the outermost, else the number of the step that shows
// another.
func vlanProbe() asm.Instructions {
	const inner, outer = 100, 200
	wire := func(etherType uint16) int32 {
		return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType)))
	}
	push := func(etherType uint16, tci int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, wire(etherType)), asm.Mov.Imm(asm.R3, tci), asm.FnSkbVlanPush.Call(),
		}
	}
	expect := func(step int32, field int16, value int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Imm(asm.R0, step), asm.LoadMem(asm.R2, asm.R6, field, asm.Word), asm.JNE.Imm(asm.R2, value, "exit"),
		}
	}
	pop := asm.Instructions{asm.Mov.Reg(asm.R1, asm.R6), asm.FnSkbVlanPop.Call()}
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for _, part := range []asm.Instructions{
		push(typeVLAN, inner), push(typeQinQ, outer),
		expect(1, skbVLANTCI, outer), expect(2, skbVLANProto, wire(typeQinQ)), pop,
		expect(3, skbVLANPresent, 1), expect(4, skbVLANTCI, inner), expect(5, skbVLANProto, wire(typeVLAN)), pop,
		expect(6, skbVLANPresent, 0),
	} {
		code = append(code, part...)
	}
	return append(code, asm.Mov.Imm(asm.R0, 0), asm.Return().WithSymbol("exit"))
}

func (r *runner) vlanTags() error {
	code := r.o.faults.vlans
	if code == nil {
		code = vlanProbe()
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	if err != nil {
		return fmt.Errorf("load the probe for tags: %w", err)
	}
	defer func() { _ = prog.Close() }()
	frame := plainFrame(100, typeTest)
	verdict, out, err := testRun(prog, frame, 0)
	if err != nil {
		return err
	}
	if verdict != 0 {
		return wrongf("step %d of pushing and popping two tags shows another tag than the outermost", verdict)
	}
	return same(out, frame)
}

package maps

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"longwire/bpf"
	"longwire/dataplane"
)

// SessionFilter is a socket filter of one endpoint that lets the packets of our
// sessions through and refuses all others, so that nobody else's packets cost
// the slow path more than a look.
type SessionFilter struct {
	prog    *ebpf.Program
	refused *ebpf.Map // one counter
}

// Offsets in what a UDP socket's filter sees, from the UDP header on, and what it
// reads there (RFC 768, RFC 3931 section 4.1.2.1).
const (
	udpChecksumAt = 6
	udpVersionAt  = 8
	udpSessionAt  = 12

	typeAndVersion = 0x800f // L2TP_TYPE_AND_VERSION of bpf/consts.h
	dataVersion3   = 3
)

// The labels of the filter.
const (
	labelAccept = "accept"
	labelRefuse = "refuse"
)

// SessionFilter makes the filter of the socket of an endpoint: a raw socket, or
// a UDP socket if it has a port. Without checksum, UDP over IPv6 passes only for
// sessions that allow it (RFC 6935).
func (m *Maps) SessionFilter(e dataplane.Endpoint) (*SessionFilter, error) {
	refused, err := ebpf.NewMap(&ebpf.MapSpec{Name: "refused", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make the counter of a socket filter: %w", explain(err))
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "session_filter", Type: ebpf.SocketFilter, License: "MIT",
		Instructions: sessionFilter(e, m.objects.Receives.FD(), refused.FD()),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load a socket filter: %w", explain(err)), refused.Close())
	}
	return &SessionFilter{prog: prog, refused: refused}, nil
}

// sessionFilter is the program. A load beyond the packet refuses it as well.
func sessionFilter(e dataplane.Endpoint, receives, refused int) asm.Instructions {
	const key = -4 // on the stack
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	code = append(code, loadSession(e)...)
	code = append(code,
		asm.StoreMem(asm.RFP, key, asm.R0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, key),
		asm.LoadMapPtr(asm.R1, receives),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, labelRefuse),
	)
	if e.Port != 0 && e.Address.Is6() {
		code = append(code,
			asm.JNE.Imm(asm.R8, 0, labelAccept),
			asm.LoadMem(asm.R1, asm.R0, int16(unsafe.Offsetof(bpf.LongwireReceive{}.Flags)), asm.Word),
			asm.And.Imm(asm.R1, int32(bpf.LongwireReceiveFlagRECEIVE_ZERO_CHECKSUM)),
			asm.JEq.Imm(asm.R1, 0, labelRefuse),
		)
	}
	return append(code,
		asm.Mov.Imm(asm.R0, -1).WithSymbol(labelAccept),
		asm.Return(),
		asm.LoadMapValue(asm.R1, refused, 0).WithSymbol(labelRefuse),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	)
}

// loadSession loads the session id into R0 in host order, and the checksum of
// UDP over IPv6 into R8. A raw IPv4 socket sees the packet from the IP header on,
// a raw IPv6 socket from behind it and its extensions.
func loadSession(e dataplane.Endpoint) asm.Instructions {
	switch {
	case e.Port != 0:
		return asm.Instructions{
			asm.LoadMem(asm.R0, asm.R6, 0, asm.Word), // __sk_buff.len
			asm.JLT.Imm(asm.R0, udpSessionAt+4, labelRefuse),
			asm.LoadAbs(udpVersionAt, asm.Half),
			asm.And.Imm(asm.R0, typeAndVersion),
			asm.JNE.Imm(asm.R0, dataVersion3, labelRefuse),
			asm.LoadAbs(udpChecksumAt, asm.Half),
			asm.Mov.Reg(asm.R8, asm.R0),
			asm.LoadAbs(udpSessionAt, asm.Word),
		}
	case e.Address.Is6():
		return asm.Instructions{asm.LoadAbs(0, asm.Word)}
	}
	return asm.Instructions{
		asm.LoadAbs(0, asm.Byte),
		asm.And.Imm(asm.R0, 0xf),
		asm.LSh.Imm(asm.R0, 2), // the header's length
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.LoadInd(asm.R0, asm.R7, 0, asm.Word),
	}
}

// FD is the loaded program.
func (f *SessionFilter) FD() int { return f.prog.FD() }

// Refused is how many packets it has refused.
func (f *SessionFilter) Refused() (n uint64, err error) {
	if err := f.refused.Lookup(uint32(0), &n); err != nil {
		return 0, fmt.Errorf("read the counter of a socket filter: %w", err)
	}
	return n, nil
}

// Close closes our handles; a socket that has the filter keeps it.
func (f *SessionFilter) Close() error { return errors.Join(f.prog.Close(), f.refused.Close()) }

package main

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// callCost returns the nanoseconds of a call from a program to a kernel function
// that does next to nothing. Processors differ in it by more than in anything
// else here, because of what is done against speculation past a return, and our
// programs make from three to a dozen calls for a packet.
func (w *world) callCost() (float64, error) {
	const (
		calls   = 64
		repeats = 20000
		passes  = 5
	)
	var times [2][]float64
	for i, n := range []int{0, calls} {
		prog, err := w.classifier(callCode(n))
		if err != nil {
			return 0, err
		}
		for range passes {
			ns, err := benchmark(prog, repeats)
			if err != nil {
				return 0, err
			}
			times[i] = append(times[i], ns)
		}
	}
	return (summarise(times[1]).least - summarise(times[0]).least) / calls, nil
}

// benchmark returns the nanoseconds of one run of a program that leaves its
// packet as it is.
func benchmark(prog *ebpf.Program, repeats int) (float64, error) {
	_, took, err := prog.Benchmark(make([]byte, smallFrame), repeats, nil)
	if err != nil {
		return 0, fmt.Errorf("repeat a program: %w", err)
	}
	// The kernel has divided already, and to whole nanoseconds.
	return float64(took) / float64(time.Nanosecond), nil
}

// callCode calls n times.
func callCode(n int) asm.Instructions {
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for range n {
		// It refuses, as the packet has no checksum of its own.
		code = append(code, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 0), asm.FnCsumUpdate.Call())
	}
	return append(code, asm.Mov.Imm(asm.R0, 0), asm.Return())
}

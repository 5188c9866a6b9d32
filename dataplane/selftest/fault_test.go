package selftest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"longwire/bpf"
	"longwire/dataplane/maps"
	"longwire/dataplane/tc"
)

// root ends a test that needs more than a user has.
func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the self-test needs root: run this as root")
	}
}

// print logs a report when its test fails.
func print(t *testing.T, r Report) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, c := range r.Checks {
		t.Logf("%-16s %-8s %-18s %s", c.Name, c.Result, c.Mode, c.Detail)
	}
}

func (r Report) named(name string) Check {
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	return Check{}
}

func TestThisKernel(t *testing.T) {
	root(t)
	var told []string
	r := Run(t.Context(), Options{Progress: func(c Check) { told = append(told, c.Name) }})
	defer print(t, r)
	for i, c := range r.Checks {
		if c.Name != checks[i].name || c.Proves == "" || c.Result != OK || c.Detail != "" || told[i] != c.Name {
			t.Errorf("%+v", c)
		}
	}
	if r.Err() != nil || !r.Complete() || r.Modes != (Modes{}) {
		t.Errorf("complete %v, modes %+v: %v", r.Complete(), r.Modes, r.Err())
	}
	if len(r.Checks) != len(checks) || len(told) != len(checks) {
		t.Errorf("%d checks, %d told, of %d", len(r.Checks), len(told), len(checks))
	}
}

// replace puts a program of few instructions in the place of one of ours.
func replace(name string, code ...asm.Instruction) func(*ebpf.CollectionSpec) error {
	return func(spec *ebpf.CollectionSpec) error {
		spec.Programs[name] = &ebpf.ProgramSpec{Name: name, Type: ebpf.SchedCLS, License: "GPL", Instructions: code}
		return nil
	}
}

// patch changes instructions of a program, and fails when there are none to change.
func patch(name string, change func(*asm.Instruction) bool) func(*ebpf.CollectionSpec) error {
	return func(spec *ebpf.CollectionSpec) error {
		code, n := spec.Programs[name].Instructions, 0
		for i := range code {
			if change(&code[i]) {
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("%s has no such instruction", name)
		}
		return nil
	}
}

// wrongField makes encap read the start of an open checksum where it means its offset,
// as on a kernel whose skb is not what it says.
func wrongField(spec *ebpf.CollectionSpec) error {
	const (
		offset, start = "[0:2]", "[0:1]" // of struct sk_buff___longwire, where start is at
		csumStart     = 2
	)
	var other *btf.CORERelocation
	code := spec.Programs[bpf.LongwireProgEncap].Instructions
	for i := range code {
		if relo := btf.CORERelocationMetadata(&code[i]); relo != nil && strings.Contains(relo.String(), start) {
			other = relo
		}
	}
	return patch(bpf.LongwireProgEncap, func(ins *asm.Instruction) bool {
		relo := btf.CORERelocationMetadata(ins)
		if relo == nil || other == nil || !strings.Contains(relo.String(), offset) {
			return false
		}
		*ins = btf.WithCORERelocationMetadata(*ins, other)
		ins.Offset = csumStart
		return true
	})(spec)
}

// Arguments of bpf_skb_adjust_room in our programs.
const (
	encapWhole   = 14<<56 | 0x73 // whole super-frames
	encapAsIs    = 0x21          // without a word about the encapsulation
	decapAsIPv4  = 0xa1
	decapAsIPv6  = 0x121
	decapUnknown = 1 << 20
)

func withoutMetadata(ins *asm.Instruction) bool {
	found := ins.OpCode.IsDWordLoad() && ins.Constant == encapWhole
	if found {
		ins.Constant = encapAsIs
	}
	return found
}

func unknownFlags(ins *asm.Instruction) bool {
	found := ins.OpCode.ALUOp() == asm.Mov && (ins.Constant == decapAsIPv4 || ins.Constant == decapAsIPv6)
	if found {
		ins.Constant = decapUnknown
	}
	return found
}

// filter attaches a program to an interface of the private network, in front of ours.
func filter(ns func(*world) *os.File, device string, at ebpf.AttachType, code ...asm.Instruction) func(*world) error {
	return func(w *world) error {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
		if err != nil {
			return err
		}
		defer prog.Close()
		return w.in(ns(w), func() error {
			l, err := link.AttachTCX(link.TCXOptions{Interface: w.index[device], Program: prog, Attach: at, Anchor: link.Head()})
			if err != nil {
				return err
			}
			// It stays there when we have forgotten it. The next one, after a
			// change of mode, takes its place.
			pin := filepath.Join(pinRoot, "fault-"+device)
			if err := os.Remove(pin); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return l.Pin(pin)
		})
	}
}

func edge(w *world) *os.File    { return w.edge }
func outside(w *world) *os.File { return w.outside }

const next = -1 // TCX_NEXT

// deaf drops every ARP request.
var deaf = asm.Instructions{
	asm.LoadMem(asm.R2, asm.R1, 16, asm.Word), // skb->protocol
	asm.Mov.Imm(asm.R0, 2),
	asm.JEq.Imm(asm.R2, 0x0608, "exit"),
	asm.Mov.Imm(asm.R0, next),
	asm.Return().WithSymbol("exit"),
}

// untagging takes a tag off each frame that has one beside it.
var untagging = asm.Instructions{
	asm.LoadMem(asm.R2, asm.R1, skbVLANPresent, asm.Word),
	asm.JEq.Imm(asm.R2, 0, "exit"),
	asm.FnSkbVlanPop.Call(),
	asm.Mov.Imm(asm.R0, next).WithSymbol("exit"),
	asm.Return(),
}

// flipping changes a byte of long frames.
var flipping = asm.Instructions{
	asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // skb->len
	asm.JLT.Imm(asm.R2, 1000, "exit"),
	asm.StoreImm(asm.RFP, -8, 0xee, asm.Byte),
	asm.Mov.Imm(asm.R2, 15),
	asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8),
	asm.Mov.Imm(asm.R4, 1), asm.Mov.Imm(asm.R5, 0),
	asm.FnSkbStoreBytes.Call(),
	asm.Mov.Imm(asm.R0, next).WithSymbol("exit"), asm.Return(),
}

// firstOnly drops IPv4 fragments but the first.
var firstOnly = asm.Instructions{
	asm.Mov.Reg(asm.R6, asm.R1),
	asm.LoadAbs(macsLen, asm.Half), // skb->protocol may still be the frame's
	asm.JNE.Imm(asm.R0, typeIPv4, "pass"),
	asm.LoadAbs(ethernetLen+6, asm.Half),
	asm.And.Imm(asm.R0, 0x1fff),
	asm.JEq.Imm(asm.R0, 0, "pass"),
	asm.Mov.Imm(asm.R0, 2), asm.Return(),
	asm.Mov.Imm(asm.R0, next).WithSymbol("pass"), asm.Return(),
}

// clearing takes the mark away behind the helper pair.
var clearing = asm.Instructions{
	asm.Mov.Imm(asm.R2, 0), asm.StoreMem(asm.R1, 8, asm.R2, asm.Word), asm.Mov.Imm(asm.R0, next), asm.Return(),
}

// uncutting gives the helper pair its segmentation offload back.
func uncutting(w *world) error {
	return w.in(w.edge, func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		for _, name := range helperPair {
			if err := e.Change(name, map[string]bool{"tx-tcp-segmentation": true, "tx-tcp6-segmentation": true}); err != nil {
				return err
			}
		}
		return nil
	})
}

func unpinning(*world) error {
	pins, err := filepath.Glob(filepath.Join(pinRoot, "longwire", "link-*"))
	for _, pin := range pins {
		err = errors.Join(err, os.Remove(pin))
	}
	return err
}

// TestFaults breaks one thing at a time. The report names the feature, and the safe
// mode if there is one; every other check is passed in that mode, so traffic is
// right in it.
func TestFaults(t *testing.T) {
	root(t)
	tests := []struct {
		name   string
		faults faults
		attach tc.Mode
		check  string
		mode   Mode   // "" when it fails
		detail string // part of it
		rest   Result // of the checks that follow a failed one, "" for any
	}{
		{name: "the verifier refuses a program", check: "programs", detail: "load the programs", rest: Skipped,
			faults: faults{adjust: replace(bpf.LongwireProgDecap, asm.Mov.Reg(asm.R0, asm.R9), asm.Return())}},
		{name: "no sight of the skb", check: "kernel_context", mode: ModeNoKernelContext, detail: "6.2",
			faults: faults{absent: maps.Safe{NoKernelContext: true}}},
		{name: "no flags", check: "decap_flags", mode: ModeNoDecapFlags, detail: "6.3",
			faults: faults{absent: maps.Safe{NoDecapFlags: true}}},
		{name: "a tag is left behind", check: "vlan_tags", detail: "step 3", rest: OK,
			faults: faults{vlans: withoutSecondPush()}},
		{name: "frames are not encapsulated", check: "encapsulation", detail: "no packet of the session",
			faults: faults{adjust: replace(bpf.LongwireProgSegment, asm.Mov.Imm(asm.R0, tcRedirect), asm.Return())}},
		{name: "packets are not decapsulated", check: "decapsulation", detail: "verdict 2",
			faults: faults{adjust: replace(bpf.LongwireProgDecap, asm.Mov.Imm(asm.R0, 2), asm.Return())}},
		{name: "the flags are known and refused", check: "decapsulation", mode: ModeNoDecapFlags, detail: "verdict 2",
			faults: faults{adjust: patch(bpf.LongwireProgDecap, unknownFlags)}},
		{name: "no TCX", check: "attach", mode: ModeClsact, detail: "6.6", faults: faults{tcx: ebpf.ErrNotSupported}},
		{name: "no TCX, which is asked for", check: "attach", attach: tc.ModeTCX, detail: "6.6", faults: faults{tcx: ebpf.ErrNotSupported}},
		{name: "a pair that loses the mark", check: "helper_mark", detail: "has become 0x0", rest: OK,
			faults: faults{helper: [2]string{customerPortA, circuitA}}},
		{name: "no pair at all", check: "helper_mark", detail: "does not arrive", rest: OK,
			faults: faults{helper: [2]string{customerPortA, "longwire0"}}},
		{name: "the mark is gone when it is looked at", check: "cold_neighbour", detail: "0 frames instead of 1",
			faults: faults{world: markless}},
		{name: "neighbours do not answer", check: "cold_neighbour", detail: "0 frames instead of 1",
			faults: faults{world: filter(outside, routerA, ebpf.AttachTCXIngress, deaf...)}},
		{name: "tags vanish on the way in", check: "frames", detail: "20 bytes became 16",
			faults: faults{world: filter(edge, circuitA, ebpf.AttachTCXIngress, untagging...)}},
		{name: "bytes change on the way out", check: "frames", detail: "byte 15 of 1513 is 0xee",
			faults: faults{world: filter(edge, circuitB, ebpf.AttachTCXEgress, flipping...)}},
		{name: "the skb is not what it says", check: "checksums", mode: ModeNoKernelContext, detail: "over IPv6/UDP",
			faults: faults{adjust: wrongField}},
		{name: "super-frames are cut wrongly", check: "super_frames", mode: ModeCutFirst, detail: "cut by ul-a: over IPv4/UDP, on the underlay",
			faults: faults{adjust: patch(bpf.LongwireProgEncap, withoutMetadata)}},
		{name: "the pair does not cut", check: "helper_cuts", detail: "dropped as no_helper",
			faults: faults{world: uncutting}},
		{name: "later fragments are lost", check: "fragments", detail: "over IPv4/IP: 1 fragments instead of 2", rest: OK,
			faults: faults{world: filter(edge, underlayA, ebpf.AttachTCXEgress, firstOnly...)}},
		{name: "the pins are gone", check: "pins", detail: "0 frames instead of 1", faults: faults{world: unpinning}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.faults.patience = 300 * time.Millisecond
			r := Run(t.Context(), Options{Modes: Modes{Attach: tt.attach}, faults: tt.faults})
			defer print(t, r)
			got := r.named(tt.check)
			want := Degraded
			if tt.mode == "" {
				want = Failed
			}
			if got.Result != want || got.Mode != tt.mode || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("got %+v", got)
			}
			var first string
			for _, c := range r.Checks {
				if c.Result != OK && first == "" {
					first = c.Name
				}
				switch {
				case c.Name == tt.check || c.Result == OK:
				case tt.mode != "", first == tt.check && tt.rest != "" && c.Result != tt.rest:
					t.Errorf("besides: %+v", c)
				}
			}
			if first != tt.check {
				t.Errorf("the first that is not right is %s", first)
			}
			if err := r.Err(); (err != nil) != (tt.mode == "") || err != nil && !strings.Contains(err.Error(), tt.check+": ") {
				t.Errorf("error %v", err)
			}
			if modes := r.Modes; tt.mode != "" && modes.enable(tt.mode) {
				t.Errorf("mode %s is not in force: %+v", tt.mode, r.Modes)
			}
		})
	}
}

// withoutSecondPush is the probe for tags without its first tag, as on a kernel that
// does not bring the next one to the front.
func withoutSecondPush() asm.Instructions {
	code := vlanProbe()
	return append(code[:1:1], code[5:]...)
}

// markless clears the mark in front of the program that routes.
func markless(w *world) error {
	resolve := w.in(w.edge, func() error { return w.learn(helperPair[1]) })
	return errors.Join(resolve, filter(edge, helperPair[1], ebpf.AttachTCXIngress, clearing...)(w))
}

// TestTwoFaults finds two modes, and in both together traffic is right.
func TestTwoFaults(t *testing.T) {
	root(t)
	r := Run(t.Context(), Options{faults: faults{
		patience: 300 * time.Millisecond, absent: maps.Safe{NoKernelContext: true}, tcx: unix.EINVAL,
		adjust: patch(bpf.LongwireProgEncap, withoutMetadata),
	}})
	defer print(t, r)
	want := Modes{Safe: maps.Safe{NoKernelContext: true, CutFirst: true}, Attach: tc.ModeClsact}
	if r.Modes != want || r.Err() != nil || !r.Complete() {
		t.Errorf("modes %+v, %v", r.Modes, r.Err())
	}
	for name, mode := range map[string]Mode{"kernel_context": ModeNoKernelContext, "attach": ModeClsact, "super_frames": ModeCutFirst} {
		if c := r.named(name); c.Result != Degraded || c.Mode != mode {
			t.Errorf("%+v", c)
		}
	}
}

// TestAskedFor begins in safe modes: nothing is to be found, and all are shown.
func TestAskedFor(t *testing.T) {
	root(t)
	asked := Modes{Safe: maps.Safe{NoKernelContext: true, NoDecapFlags: true, CutFirst: true}, Attach: tc.ModeClsact}
	r := Run(t.Context(), Options{Modes: asked})
	defer print(t, r)
	if r.Modes != asked || r.Err() != nil {
		t.Errorf("modes %+v, %v", r.Modes, r.Err())
	}
	for _, c := range r.Checks {
		degraded := map[string]bool{"kernel_context": true, "decap_flags": true, "super_frames": true}[c.Name]
		if (c.Result == Degraded) != degraded || c.Result != OK && c.Result != Degraded {
			t.Errorf("%+v", c)
		}
	}
}

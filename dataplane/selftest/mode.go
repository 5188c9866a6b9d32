package selftest

import (
	"longwire/dataplane/maps"
	"longwire/dataplane/tc"
)

// Mode is a way to do without a feature of the kernel.
type Mode string

// The safe modes. Each is slower than the feature that it is chosen for, and as
// right.
const (
	// ModeNoKernelContext: IPv6/UDP frames take the helper pair, which fills in
	// every checksum; received UDP checksums are not looked at.
	ModeNoKernelContext Mode = "no_kernel_context"
	// ModeNoDecapFlags: short frames are padded before their outer header goes.
	ModeNoDecapFlags Mode = "no_decap_flags"
	// ModeCutFirst: every super-frame takes the helper pair, which cuts it.
	ModeCutFirst Mode = "cut_first"
	// ModeClsact: programs are attached by a clsact qdisc.
	ModeClsact Mode = "clsact"
)

// Modes are the modes in force.
type Modes struct {
	Safe   maps.Safe `json:"safe"`
	Attach tc.Mode   `json:"attach"` // "" is by TCX where there is one
}

// enable chooses a mode; it returns false when that is in force already, or is
// not what the programs may be attached by.
func (m *Modes) enable(mode Mode) bool {
	before := *m
	switch mode {
	case ModeNoKernelContext:
		m.Safe.NoKernelContext = true
	case ModeNoDecapFlags:
		m.Safe.NoDecapFlags = true
	case ModeCutFirst:
		m.Safe.CutFirst = true
	case ModeClsact:
		if m.Attach != tc.ModeTCX {
			m.Attach = tc.ModeClsact
		}
	}
	return *m != before
}

// safe lists the modes of Safe that are in force.
func (m Modes) safe() []Mode {
	var list []Mode
	for mode, on := range map[Mode]bool{
		ModeNoKernelContext: m.Safe.NoKernelContext, ModeNoDecapFlags: m.Safe.NoDecapFlags, ModeCutFirst: m.Safe.CutFirst,
	} {
		if on {
			list = append(list, mode)
		}
	}
	return list
}

// Apply sets the modes in the options of a data plane.
func (m Modes) Apply(o *tc.Options) {
	o.Safe = m.Safe
	if m.Attach != "" {
		o.Mode = m.Attach
	}
}

// check returns the check whose feature a mode does without, the first one.
func (m Mode) check() check {
	for _, c := range checks {
		if c.mode == m {
			return c
		}
	}
	return check{}
}

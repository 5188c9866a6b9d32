package selftest

import (
	"fmt"

	"longwire/dataplane/maps"
	"longwire/dataplane/tc"
)

// check is one assumption of the programs.
type check struct {
	name, proves string
	inWorld      bool // needs the private network
	mode         Mode // to do without it; "" when there is none
	run          func(*runner) error
}

const namePrograms = "programs"

// checks are in an order in which a later one can rely on the earlier.
var checks []check

func init() {
	checks = []check{
		{name: namePrograms, proves: "the kernel's verifier takes the programs", run: (*runner).programs},
		{name: "kernel_context", proves: "programs can read the kernel's own view of a packet (kernel BTF, bpf_cast_to_kern_ctx)",
			mode: ModeNoKernelContext, run: (*runner).kernelContext},
		{name: "decap_flags", proves: "bpf_skb_adjust_room knows the DECAP_L3 flags", mode: ModeNoDecapFlags, run: (*runner).decapFlags},
		{name: "vlan_tags", proves: "the outermost VLAN tag is beside the packet, and taking it brings the next one there", run: (*runner).vlanTags},
		{name: "encapsulation", proves: "bpf_skb_change_head keeps the frame, whatever its EtherType and length", run: (*runner).encapsulation},
		{name: "decapsulation", proves: "bpf_skb_adjust_room gives the same frame back", mode: ModeNoDecapFlags, run: (*runner).decapsulation},
		{name: "attach", proves: "programs can be attached by TCX", mode: ModeClsact, run: (*runner).attachment},
		{name: "helper_mark", proves: "skb->mark survives the helper pair", inWorld: true, run: (*runner).helperMark},
		{name: "cold_neighbour", proves: "bpf_redirect_neigh resolves an unknown neighbour and loses no packet", inWorld: true, run: (*runner).coldNeighbour},
		{name: "frames", proves: "the far end gets identical frames: EtherTypes, lengths, VLAN tags", inWorld: true, run: (*runner).frames},
		{name: "checksums", proves: "partial checksums are seen, and local checksum offload gives the right outer one",
			inWorld: true, mode: ModeNoKernelContext, run: (*runner).checksums},
		{name: "super_frames", proves: "an encapsulated super-frame is cut right, by a device, a router or the far end",
			inWorld: true, mode: ModeCutFirst, run: (*runner).superFrames},
		{name: "helper_cuts", proves: "the helper pair cuts super-frames", inWorld: true, run: (*runner).helperCuts},
		{name: "fragments", proves: "a packet that is too big for its way leaves in fragments that are the whole together",
			inWorld: true, run: (*runner).fragments},
		{name: "pins", proves: "what is pinned goes on forwarding without a process", inWorld: true, run: (*runner).pins},
	}
}

// programs loads the programs. A private network in which they cannot be opened
// is given up, if they can be loaded without one.
func (r *runner) programs() error {
	err := r.open()
	if err != nil && r.world != nil {
		r.noWorld, r.world = err, nil
		err = r.open()
	}
	if err != nil {
		return wrong{err}
	}
	return nil
}

// found are the features that the kernel does not have, as loading showed.
func (r *runner) found() maps.Safe {
	s, absent := r.maps().Safe(), r.o.faults.absent
	s.NoKernelContext = s.NoKernelContext || absent.NoKernelContext
	s.NoDecapFlags = s.NoDecapFlags || absent.NoDecapFlags
	return s
}

func (r *runner) kernelContext() error {
	if r.found().NoKernelContext && !r.modes.Safe.NoKernelContext {
		return wrongf("the kernel does not show the skb to programs (it does from 6.2, with CONFIG_DEBUG_INFO_BTF)")
	}
	return nil
}

func (r *runner) decapFlags() error {
	if r.found().NoDecapFlags && !r.modes.Safe.NoDecapFlags {
		return wrongf("the kernel refuses BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (it takes it from 6.3)")
	}
	return nil
}

// attachment puts the programs on the private network's interfaces; without one
// the loopback interface shows for a moment whether there is TCX.
func (r *runner) attachment() error {
	if r.modes.Attach != tc.ModeClsact {
		if err := r.tcx(); err != nil {
			return wrongf("the kernel has no TCX (it has from 6.6): %w", err)
		}
	}
	if r.world == nil {
		return nil
	}
	if err := r.world.attach(); err != nil {
		return wrong{err}
	}
	if f := r.o.faults.world; f != nil {
		if err := f(r.world); err != nil {
			return fmt.Errorf("break the private network: %w", err)
		}
	}
	return nil
}

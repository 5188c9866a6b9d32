package packet

import (
	"reflect"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// What old kernels lack, by the names of longwire doctor.
const (
	kernelContext = "kernel_context"
	decapFlags    = "decap_flags"
)

// encap runs a frame through the program of attachment circuits.
func encap(t testing.TB, m *maps.Maps, frame []byte, ctx skb) result {
	t.Helper()
	return detour(t, m, frame, ctx, func(prog *ebpf.Program, frame []byte, ctx skb) result {
		return run(t, prog, append([]byte(nil), frame...), ctx)
	})
}

// detour runs a frame as encap does. Where programs cannot read the skb some
// frames are sent through the helper pair first, behind which they are
// encapsulated: TestOldKernelSent says which. What comes out is the same.
func detour(t testing.TB, m *maps.Maps, frame []byte, ctx skb, run func(*ebpf.Program, []byte, skb) result) result {
	t.Helper()
	got := run(m.Programs().Encap, frame, ctx)
	if m.KernelContext() || got.verdict != redirect || got.mark == 0 || len(got.packet) != len(frame) {
		return got
	}
	lab.Absent(t, kernelContext)
	return run(m.Programs().Segment, got.packet, skb{Mark: got.mark})
}

// delivered is what the customer gets of a frame that crosses: one too short to
// be IPv6 is padded where the kernel takes an outer IPv6 header off like that.
func delivered(t testing.TB, m *maps.Maps, frame []byte) []byte {
	t.Helper()
	const innerIPv6, least = 54, 60
	if !m.Safe().NoDecapFlags || len(frame) >= innerIPv6 {
		return frame
	}
	lab.Absent(t, decapFlags)
	return append(append([]byte(nil), frame...), make([]byte, least-len(frame))...)
}

// diffOf is cmp.Diff, at no cost when there is no difference.
func diffOf[T any](want, got T) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

package maps_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// verdicts runs the filter of an endpoint on what its socket would see.
func verdicts(t *testing.T, f *maps.SessionFilter) func([]byte) bool {
	t.Helper()
	// The library takes the descriptor over.
	fd, err := unix.FcntlInt(uintptr(f.FD()), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	prog, err := ebpf.NewProgramFromFD(fd)
	must(t, err)
	t.Cleanup(func() { _ = prog.Close() })
	return func(seen []byte) bool {
		t.Helper()
		// The kernel takes off the Ethernet header, which it wants first, and
		// would want a whole header behind an EtherType that it knows.
		frame := append(append(make([]byte, 12, 14+len(seen)), 0x88, 0xb5), seen...)
		verdict, err := prog.Run(&ebpf.RunOptions{Data: frame})
		must(t, err)
		if verdict != 0 && verdict != 0xffffffff {
			t.Errorf("verdict %d", verdict)
		}
		return verdict != 0
	}
}

func TestSessionFilter(t *testing.T) {
	m := open(t, filepath.Join(lab.New(t).BPFFS(), "pins"), 64)
	strict := receive(0x01020304, "strict")
	lax := receive(0x0a0b0c0d, "lax")
	lax.ZeroChecksum = true
	must(t, m.PutReceive(strict))
	must(t, m.PutReceive(lax))

	session := []byte{1, 2, 3, 4, 0xaa, 0xbb}
	ipv4 := append(append([]byte{0x45}, make([]byte, 19)...), session...)
	options := append(append([]byte{0x4f}, make([]byte, 59)...), session...)
	udp := func(checksum byte, version byte, id ...byte) []byte {
		return append([]byte{0, 1, 0, 2, 0, 18, 0, checksum, 0, version, 0, 0}, id...)
	}
	near4, near6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	raw4, raw6 := dataplane.Endpoint{Address: near4}, dataplane.Endpoint{Address: near6}
	udp4, udp6 := dataplane.Endpoint{Address: near4, Port: 1701}, dataplane.Endpoint{Address: near6, Port: 1701}
	tests := []struct {
		name string
		e    dataplane.Endpoint
		seen []byte
		want bool
		// beyond is set where the packet ends before what the filter reads: it is
		// refused, and the filter does not count it.
		beyond bool
	}{
		{"IPv4", raw4, ipv4, true, false},
		{"IPv4, longest header", raw4, options, true, false},
		{"IPv4, nobody's session", raw4, append(append([]byte{0x45}, make([]byte, 19)...), 4, 3, 2, 1), false, false},
		{"IPv4, session 0", raw4, append([]byte{0x45}, make([]byte, 40)...), false, false},
		{"IPv4, ends in the session id", raw4, ipv4[:23], false, true},
		{"IPv4, header without a packet", raw4, []byte{0x4f, 0, 0, 0}, false, true},
		{"IPv6", raw6, session, true, false},
		{"IPv6, nobody's session", raw6, []byte{4, 3, 2, 1, 0, 0}, false, false},
		{"IPv6, ends in the session id", raw6, session[:3], false, true},
		{"UDP", udp4, udp(1, 3, session...), true, false},
		{"UDP, no checksum", udp4, udp(0, 3, session...), true, false},
		{"UDP, reserved bits", udp4, func() []byte { b := udp(1, 0xf3, session...); b[8] = 0x7f; return b }(), true, false},
		{"UDP, nobody's session", udp4, udp(1, 3, 9, 9, 9, 9), false, false},
		{"UDP, control message", udp4, func() []byte { b := udp(1, 3, session...); b[8] = 0x80; return b }(), false, false},
		{"UDP, version 2", udp4, udp(1, 2, session...), false, false},
		{"UDP, ends in the session id", udp4, udp(1, 3, 1, 2, 3), false, false},
		{"UDP, nothing in it", udp4, udp(1, 3)[:8], false, false},
		{"UDP over IPv6", udp6, udp(1, 3, session...), true, false},
		{"UDP over IPv6, no checksum", udp6, udp(0, 3, session...), false, false},
		{"UDP over IPv6, no checksum, allowed", udp6, udp(0, 3, 0x0a, 0x0b, 0x0c, 0x0d), true, false},
		{"UDP over IPv6, checksum though not needed", udp6, udp(1, 3, 0x0a, 0x0b, 0x0c, 0x0d), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := m.SessionFilter(tt.e)
			must(t, err)
			defer func() { must(t, f.Close()) }()
			if got := verdicts(t, f)(tt.seen); got != tt.want {
				t.Errorf("accepted: %v, want %v", got, tt.want)
			}
			n, err := f.Refused()
			must(t, err)
			if counted := n != 0; n > 1 || counted != (!tt.want && !tt.beyond) {
				t.Errorf("%d counted as refused", n)
			}
		})
	}
}

// The filter follows the sessions as they come and go.
func TestSessionFilterFollowsTheMap(t *testing.T) {
	m := open(t, filepath.Join(lab.New(t).BPFFS(), "pins"), 64)
	f, err := m.SessionFilter(dataplane.Endpoint{Address: netip.MustParseAddr("2001:db8::1")})
	must(t, err)
	defer func() { must(t, f.Close()) }()
	accepts := verdicts(t, f)
	seen := []byte{0, 0, 0, 7, 1, 2}
	if accepts(seen) {
		t.Error("accepted before there is a session")
	}
	must(t, m.PutReceive(receive(7, "a")))
	if !accepts(seen) {
		t.Error("refused although there is a session")
	}
	must(t, m.DeleteReceive(7))
	if accepts(seen) {
		t.Error("accepted after the session has gone")
	}
}

// What the filter asks of an L2TP header is what decapsulation asks.
func TestSessionFilterAsksAsTheProgramsDo(t *testing.T) {
	source, err := os.ReadFile("../../bpf/consts.h")
	must(t, err)
	for _, line := range []string{`L2TP_TYPE_AND_VERSION 0x800f`, `L2TP_DATA_VERSION_3 0x0003`} {
		if !regexp.MustCompile(`(?m)^#define ` + line + `$`).Match(source) {
			t.Errorf("bpf/consts.h does not say %q, which the socket filter relies on", line)
		}
	}
}

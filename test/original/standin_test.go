package original

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withKernel starts the script where ip is a stand-in that makes the sessions of
// a kernel with L2TP, so that all that the script does for such a kernel is done
// on every one.
func withKernel(t *testing.T, more []string, args ...string) *script {
	t.Helper()
	real, err := exec.LookPath("ip")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return startFile(t, scriptFile, append([]string{"MAP_SESSION=" + mapSession, "STANDIN_IP=" + real, "PATH=" + dir + ":" + os.Getenv("PATH")}, more...), args...)
}

// TestKernelEnds runs the configurations with an end that is the kernel's, as
// where the kernel has L2TP, or all of it but a part.
func TestKernelEnds(t *testing.T) {
	tests := []struct{ overlay, family, encapsulation, unsupported, lacks string }{
		{"", "ipv4", "udp", "", ""},
		{"", "ipv6", "ip", "", ""},
		{"ns1", "ipv6", "udp", "ip", ""},
		{"ns2", "ipv4", "ip", "udp", ""},
		{"", "ipv4", "ip", "ip", "l2tp_ip"},
		{"ns2", "ipv6", "ip", "ip", "l2tp_ip6"},
		{"", "ipv4", "udp", "session", "l2tp_eth"},
	}
	for _, tt := range tests {
		t.Run(strings.Join([]string{tt.overlay, tt.family, tt.encapsulation, tt.lacks}, "-"), func(t *testing.T) {
			t.Parallel()
			args := []string{"-t", tt.family, "-e", tt.encapsulation}
			if tt.overlay != "" {
				args = append(args, "-f", filepath.Join(overlays, tt.overlay+".conf"))
			}
			var n tally
			want := configuration{shipped[tt.overlay], tt.family, tt.encapsulation}.said(tt.lacks, &n)
			last, wantCode := n.summary()
			code, out := withKernel(t, []string{"STANDIN_LACKS=" + tt.unsupported}, args...).end(time.Minute)
			if diff := cmp.Diff(want+last, out); diff != "" || code != wantCode {
				t.Errorf("exit code %d, want %d (-want +said):\n%s", code, wantCode, diff)
			}
		})
	}
}

// TestKernelFails takes an error that is no lack for what it is.
func TestKernelFails(t *testing.T) {
	t.Parallel()
	for _, refuses := range []string{"ip", "session"} {
		code, out := withKernel(t, []string{"STANDIN_REFUSES=" + refuses}, "-t", "ipv4", "-e", "ip").end(time.Minute)
		for _, ns := range []string{"ns1", "ns2"} {
			if !strings.Contains(out, "ipv4 ip: kernel L2TP in "+ns+": FAILED\n    RTNETLINK answers: Device or resource busy\n") {
				t.Errorf("no failure in %s:\n%s", ns, out)
			}
		}
		if code != 1 || !strings.HasSuffix(out, "summary: 0 ok, 2 FAILED, 8 skipped\n") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	}
}

package maps_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/dataplane/maps"
	"longwire/test/lab"
)

// These make the test binary open a data plane with few capabilities and exit.
const (
	openDir  = "LONGWIRE_TEST_OPEN_DIR"
	openCaps = "LONGWIRE_TEST_OPEN_CAPS"
	// openBlind is set where the programs must not see the skb.
	openBlind = "LONGWIRE_TEST_OPEN_BLIND"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(openDir); dir != "" {
		if err := openConfined(dir); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%+v\n", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// openConfined drops every capability but those named, and opens.
func openConfined(dir string) error {
	set := cap.NewSet()
	for _, name := range strings.Fields(os.Getenv(openCaps)) {
		value, err := cap.FromName(name)
		if err != nil {
			return err
		}
		for _, which := range []cap.Flag{cap.Permitted, cap.Effective} {
			if err := set.SetFlag(which, true, value); err != nil {
				return err
			}
		}
	}
	if err := set.SetProc(); err != nil {
		return err
	}
	m, err := maps.Open(maps.Options{PinDir: dir, Capacity: 64})
	if err != nil {
		return err
	}
	if blind := os.Getenv(openBlind) != "" || maps.HaveKernelContext() != nil; m.KernelContext() == blind {
		return fmt.Errorf("programs see the skb: %v", m.KernelContext())
	}
	return m.Close()
}

// TestVerifierWithProductionCapabilities loads the programs as the kernel's
// verifier sees them from a process that is not all-powerful; with less the
// error says what is missing.
func TestVerifierWithProductionCapabilities(t *testing.T) {
	for _, row := range []struct{ caps, failure string }{
		{caps: "cap_bpf cap_net_admin cap_perfmon"},
		{caps: "cap_bpf cap_net_admin", failure: "CAP_PERFMON"},
		{caps: "cap_net_admin", failure: "CAP_BPF"},
	} {
		t.Run(row.caps, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), openDir+"="+lab.New(t).BPFFS(), openCaps+"="+row.caps)
			out, err := cmd.CombinedOutput()
			if row.failure == "" && err != nil || row.failure != "" && (err == nil || !strings.Contains(string(out), row.failure)) {
				t.Errorf("error %v, output %q; want it to name %q", err, out, row.failure)
			}
		})
	}
}

// TestWithoutBTF loads the programs where the kernel shows no type information, as
// some distributions build it: they do without sight of the skb.
func TestWithoutBTF(t *testing.T) {
	cmd := exec.Command("unshare", "--mount", "sh", "-c", `mount -t tmpfs none /sys/kernel/btf && exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), openDir+"="+lab.New(t).BPFFS(), openCaps+"=cap_bpf cap_net_admin cap_perfmon", openBlind+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("error %v, output %q", err, out)
	}
	if err := maps.HaveKernelContext(); err != nil {
		lab.Absent(t, "kernel_context")
		if !strings.Contains(err.Error(), "bpf_cast_to_kern_ctx") {
			t.Errorf("with it: %v", err)
		}
	}
}

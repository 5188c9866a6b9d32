package selftest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// These make the test binary run the self-test, with few capabilities or until it
// stands still for good, and print its report.
const (
	runCaps = "LONGWIRE_TEST_RUN_CAPS"
	runHang = "LONGWIRE_TEST_RUN_HANG"
)

func TestMain(m *testing.M) {
	if caps, hang := os.Getenv(runCaps), os.Getenv(runHang); caps != "" || hang != "" {
		if err := runConfined(caps, hang); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%+v\n", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// runConfined drops every capability but those named, and runs. It says when the
// check named hang is done, and then waits for its end.
func runConfined(caps, hang string) error {
	if caps != "" {
		set := cap.NewSet()
		for _, name := range strings.Fields(caps) {
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
	}
	report := Run(context.Background(), Options{Progress: func(c Check) {
		if c.Name == hang {
			fmt.Println(hang)
			select {}
		}
	}})
	return json.NewEncoder(os.Stdout).Encode(report)
}

// self returns a command that runs the self-test in a process of its own.
func self(t *testing.T, env string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), env), os.Stderr
	return cmd
}

// TestProductionCapabilities makes the checks that need no namespace with what the
// agent has in production, and says of the others what they need.
func TestProductionCapabilities(t *testing.T) {
	root(t)
	for caps, complete := range map[string]bool{
		"cap_net_admin cap_bpf cap_perfmon cap_net_bind_service":                           false,
		"cap_net_admin cap_bpf cap_perfmon cap_net_bind_service cap_sys_admin cap_net_raw": true,
	} {
		out, err := self(t, runCaps+"="+caps).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var r Report
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatal(err)
		}
		if r.Err() != nil || r.Complete() != complete || r.Modes != (Modes{}) {
			t.Errorf("with %s: complete %v, modes %+v, %v", caps, r.Complete(), r.Modes, r.Err())
		}
		for i, c := range r.Checks {
			want := OK
			if checks[i].inWorld && !complete {
				want = Skipped
			}
			if c.Result != want || want == Skipped && !strings.Contains(c.Detail, "CAP_SYS_ADMIN") {
				t.Errorf("with %s: %+v", caps, c)
			}
		}
	}
}

// TestWithoutCapabilities fails by name.
func TestWithoutCapabilities(t *testing.T) {
	root(t)
	out, err := self(t, runCaps+"=cap_net_admin").Output()
	var r Report
	if err != nil || json.Unmarshal(out, &r) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "programs: ") || !strings.Contains(err.Error(), "CAP_BPF") {
		t.Errorf("error %v", err)
	}
}

// traces are everything that a run could leave on the host.
type traces struct {
	Links, Mounts, Named, Pins []string
	Namespace                  string
}

func look(t *testing.T) traces {
	t.Helper()
	var s traces
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		// Other tests make and remove namespaces meanwhile, but no devices here.
		s.Links = append(s.Links, fmt.Sprint(l.Attrs().Index, l.Attrs().Name, l.Attrs().RawFlags))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, pinRoot) {
			s.Mounts = append(s.Mounts, line)
		}
	}
	s.Pins = append(s.Pins, entries(pinRoot)...)
	for _, e := range entries("/run/netns") {
		if !strings.HasPrefix(e, "lwlab") {
			s.Named = append(s.Named, e)
		}
	}
	if s.Namespace, err = os.Readlink("/proc/self/ns/net"); err != nil {
		t.Fatal(err)
	}
	return s
}

func entries(dir string) []string {
	var names []string
	list, _ := os.ReadDir(dir) // absent is empty
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestLeavesNothing looks at the host after a run that ends, one that is killed in
// its middle, and one that is interrupted.
func TestLeavesNothing(t *testing.T) {
	root(t)
	before := look(t)
	descriptors := len(entries("/proc/self/fd"))
	Run(t.Context(), Options{})
	if n := len(entries("/proc/self/fd")); n > descriptors {
		t.Errorf("%d descriptors were open, and %d are", descriptors, n)
	}
	if d := cmp.Diff(before, look(t)); d != "" {
		t.Errorf("after a run (-before +after):\n%s", d)
	}
	for _, at := range []string{"attach", "super_frames"} {
		killed(t, at)
		if d := cmp.Diff(before, look(t)); d != "" {
			t.Errorf("killed after %s (-before +after):\n%s", at, d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := Run(ctx, Options{Progress: func(c Check) {
		if c.Name == "attach" {
			cancel()
		}
	}})
	for i, c := range r.Checks {
		if skipped := i > slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == "attach" }); (c.Result == Skipped) != skipped {
			t.Errorf("interrupted: %+v", c)
		}
	}
	if d := cmp.Diff(before, look(t)); d != "" {
		t.Errorf("interrupted (-before +after):\n%s", d)
	}
}

// killed runs the self-test in a process that is killed when a check is done.
func killed(t *testing.T, at string) {
	t.Helper()
	cmd := self(t, runHang+"="+at)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len(at))
	if _, err := out.Read(line); err != nil || string(line) != at {
		t.Errorf("it said %q, %v", line, err)
	}
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	// Killed is how it is to end.
	_ = cmd.Wait()
}

// TestMainThread asks for a thread from the main one, which must not be used: it
// does not end, and stands for the process.
func TestMainThread(t *testing.T) {
	for range 50 {
		onOwnThread(func() {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it is the main thread")
			}
		})
	}
}

// TestHostSettings has the settings of a cautious operator in a new namespace, which
// are no property of the kernel.
func TestHostSettings(t *testing.T) {
	root(t)
	settings := []string{"ipv4/conf/all/arp_ignore", "ipv4/conf/default/rp_filter", "ipv6/conf/default/disable_ipv6"}
	err := privately(func(p *private) error {
		if _, err := p.network(); err != nil {
			return err
		}
		for _, key := range settings {
			if err := sysctl(key, "1"); err != nil {
				return err
			}
		}
		if err := quiet(); err != nil {
			return err
		}
		for _, key := range settings {
			if value, err := os.ReadFile("/proc/sys/net/" + key); err != nil || strings.TrimSpace(string(value)) != "0" {
				t.Errorf("%s is %q, %v", key, value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSilence wants no end of a circuit to send anything of its own: a frame of the
// kernel's would cross, and look like one too many of ours.
func TestSilence(t *testing.T) {
	root(t)
	err := privately(func(p *private) error {
		w, err := newWorld(p, time.Second)
		if err != nil {
			return err
		}
		defer w.close()
		for _, at := range []struct {
			in    *os.File
			names []string
		}{{w.edge, []string{circuitA, circuitB}}, {w.outside, []string{customerPortA, customerPortB}}} {
			if err := enter(at.in); err != nil {
				return err
			}
			for _, name := range at.names {
				link, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				if addresses, err := netlink.AddrList(link, netlink.FAMILY_V6); err != nil || len(addresses) > 0 {
					t.Errorf("%s has the addresses %v, %v", name, addresses, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

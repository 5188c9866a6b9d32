package original

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"longwire/test/lab"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	code, out := start(t, mapSession, "-h").end(time.Minute)
	for _, want := range []string{"usage: test/l2tp-test.sh", "-t ", "-e ", "-f ", "-c ", "-i ", "-p ", "Exit status"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q is not in\n%s", code, want, out)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.conf")
	if err := os.WriteFile(bad, []byte("ns1=longwire\nns3=kernel\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ args, want string }{
		{"-t ipv5", "-t ipv5: choose ipv4 or ipv6"},
		{"-e gre", "-e gre: choose udp or ip"},
		{"-t", "-t needs a value"},
		{"-x", "unknown option -x"},
		{"now", "unknown argument now"},
		{"-c -t ipv4 now", "unknown argument now"},
		{"-f /nonexistent", "-f /nonexistent: cannot read it"},
		{"-f " + bad, bad + `:2: "ns3=kernel": write ns1 or ns2, =, and longwire or kernel`},
	}
	for _, tt := range tests {
		code, out := start(t, mapSession, strings.Fields(tt.args)...).end(time.Minute)
		if want := "l2tp-test.sh: " + tt.want + "\nl2tp-test.sh: see test/l2tp-test.sh -h\n"; code != 2 || out != want {
			t.Errorf("%s: exit code %d, said %q, want %q", tt.args, code, out, want)
		}
	}
	absent := filepath.Join(t.TempDir(), "absent")
	code, out := start(t, absent, "-f", overlays+"/ns1.conf").end(time.Minute)
	if code != 1 || !strings.Contains(out, "MAP_SESSION="+absent+" is no program") {
		t.Errorf("without map_session: exit code %d, said %q", code, out)
	}
}

// TestBuilds makes map_session where there is none, and only for those who use
// it.
func TestBuilds(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	body, err := os.ReadFile(scriptFile)
	if err != nil {
		t.Fatal(err)
	}
	// A Makefile that stands for ours.
	makefile := "build:\n\tmkdir -p bin && cp " + mapSession + " bin/map_session && echo built\n"
	for name, content := range map[string]string{"Makefile": makefile, "test/l2tp-test.sh": string(body)} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		overlay string
		builds  bool
	}{{"", false}, {"ns1", true}, {"ns1", false}} {
		args := []string{"-t", "ipv4", "-e", "ip"}
		if tt.overlay != "" {
			args = append(args, "-f", overlays+"/"+tt.overlay+".conf")
		}
		_, out := startFile(t, filepath.Join(root, "test/l2tp-test.sh"), []string{"MAP_SESSION="}, args...).end(time.Minute)
		if strings.Contains(out, "\nbuilt\n") != tt.builds || strings.Contains(out, "FAILED\n") {
			t.Errorf("overlay %q: built %v, want %v:\n%s", tt.overlay, !tt.builds, tt.builds, out)
		}
	}
}

// TestShells opens a shell in each namespace, in order, before the pings.
func TestShells(t *testing.T) {
	t.Parallel()
	s := start(t, mapSession, "-i", "-t", "ipv4", "-e", "ip", "-f", overlays+"/both.conf")
	for _, ns := range []string{"ns0", "ns1", "ns2", "ns3"} {
		s.await("shell in " + ns)
		s.say("echo now in $(ip netns identify $$)")
		s.await("now in lwlab")
		s.say("exit")
	}
	code, out := s.end(time.Minute)
	if code != 0 || !strings.HasSuffix(out, "summary: 10 ok, 0 FAILED, 0 skipped\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	rest := out
	for _, want := range []string{"Longwire in ns2: ok", "-ns0\n", "shell in ns1", "-ns1\n", "shell in ns2", "-ns2\n", "shell in ns3", "-ns3\n", "ping ipv4 from ns0 to ns3, small: ok"} {
		var found bool
		if _, rest, found = strings.Cut(rest, want); !found {
			t.Errorf("%q is not said, or not in its turn:\n%s", want, out)
			break
		}
	}
}

// TestShellsAtEndOfInput does not wait for commands that cannot come.
func TestShellsAtEndOfInput(t *testing.T) {
	t.Parallel()
	s := start(t, mapSession, "-i", "-t", "ipv4", "-e", "ip")
	if err := s.in.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out := s.end(time.Minute); code == 1 || strings.Count(out, "shell in ns") != 4 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestForeignNamespace runs beside a namespace that another program is just
// making: it has its name, and is not there yet.
func TestForeignNamespace(t *testing.T) {
	t.Parallel()
	name := filepath.Join("/run/netns", fmt.Sprintf("lwlab%d-0-half-made", os.Getpid()))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	// What a step has said is shown when it fails.
	code, out := start(t, program(t, "echo out of order >&2; exit 1"), "-t", "ipv4", "-e", "ip", "-f", overlays+"/both.conf").end(time.Minute)
	if code != 1 || !strings.Contains(out, "Longwire in ns1: FAILED\n    out of order\nipv4 ip: Longwire in ns2: FAILED\n    out of order\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestPause keeps everything after a failure until Enter is pressed, each time.
func TestPause(t *testing.T) {
	t.Parallel()
	s := start(t, program(t, "echo out of order >&2; exit 1"), "-p", "-t", "ipv4", "-e", "ip", "-f", overlays+"/both.conf")
	for _, ns := range []string{"ns1", "ns2"} {
		s.await("ipv4 ip: Longwire in " + ns + ": FAILED\n    out of order\npaused")
		if found := s.namespaces(); len(found) != 4 {
			t.Errorf("paused with the namespaces %v", found)
		}
		s.say("")
	}
	code, out := s.end(time.Minute)
	if code != 1 || !strings.HasSuffix(out, "ping ipv6 from ns3 to ns0, full-size: skipped, no Longwire in ns1, no Longwire in ns2\nsummary: 0 ok, 2 FAILED, 8 skipped\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestFailure reports pings that are not answered, and goes on without a pause.
func TestFailure(t *testing.T) {
	t.Parallel()
	// The far end does not know the session.
	wrong := program(t, `case $1 in del | list) exec `+mapSession+` "$@" ;; esac; exec `+mapSession+` "$@" -I 99`)
	code, out := start(t, wrong, "-t", "ipv4", "-e", "ip", "-f", overlays+"/both.conf").end(time.Minute)
	if code != 1 || !strings.HasSuffix(out, "summary: 2 ok, 8 FAILED, 0 skipped\n") || strings.Count(out, "\n    ---") != 8 || strings.Contains(out, "paused") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestSignals end the script at once, wherever it is, and nothing is left.
func TestSignals(t *testing.T) {
	t.Parallel()
	const terminated = 128 + int(syscall.SIGTERM)
	tests := []struct {
		name, program, when string
		signal              syscall.Signal
		code                int
	}{
		{"paused", program(t, "exit 1"), "paused", syscall.SIGTERM, terminated},
		{"paused", program(t, "exit 1"), "paused", syscall.SIGINT, 128 + int(syscall.SIGINT)},
		{"paused", program(t, "exit 1"), "paused", syscall.SIGHUP, 128 + int(syscall.SIGHUP)},
		{"starting", program(t, "exec sleep 1000"), "", syscall.SIGTERM, terminated},
		{"pinging", mapSession, "Longwire in ns2: ok", syscall.SIGTERM, terminated},
	}
	for _, tt := range tests {
		s := start(t, tt.program, "-p", "-c", "-t", "ipv4", "-e", "ip", "-f", overlays+"/both.conf")
		if tt.when != "" {
			s.await(tt.when)
		} else {
			s.awaitProcess("sleep")
		}
		if err := s.cmd.Process.Signal(tt.signal); err != nil {
			t.Fatal(err)
		}
		code, out := s.end(5 * time.Second)
		first, _, _ := strings.Cut(out, "\n")
		s.captures = strings.TrimPrefix(first, "captures: ")
		if code != tt.code || strings.Contains(out, "summary") {
			t.Errorf("%v while %s: exit code %d, want %d:\n%s", tt.signal, tt.name, code, tt.code, out)
		}
	}
}

// awaitProcess waits until a program runs in one of the script's namespaces.
func (s *script) awaitProcess(name string) {
	s.t.Helper()
	err := lab.Await(30*time.Second, func() error {
		return findProcess(s.cmd.Process.Pid, name)
	})
	if err != nil {
		s.t.Fatalf("%v:\n%s", err, s.out)
	}
}

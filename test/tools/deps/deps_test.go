// Package deps tests test/deps.sh, which installs the packages that a make
// target lacks, with stand-ins for the package manager.
package deps

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// world is a directory of commands that stand for the system's.
type world struct {
	dir, log string
}

// newWorld makes the commands. installed lists the packages that are there,
// user is what "id -u" prints, and failures is how many times apt-get install
// fails before it works; -1 leaves apt-get out.
func newWorld(t *testing.T, installed, user string, failures int) world {
	t.Helper()
	w := world{dir: t.TempDir()}
	w.log = filepath.Join(w.dir, "log")
	w.command(t, "go", "")
	w.command(t, "id", "echo "+user)
	w.command(t, "dpkg-query", `for p in `+installed+`; do [ "${!#}" = "$p" ] && printf installed && exit 0; done; exit 1`)
	w.command(t, "apt-cache", `cat `+w.dir+`/kernels 2>/dev/null`)
	w.kernels(t, "linux-image-6.1.0-9-amd64", "linux-image-6.12.9+deb12-amd64")
	for _, name := range []string{"bash", "rm", "cat", "env", "chmod"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if failures >= 0 {
		w.command(t, "apt-get", `echo "apt-get $*" >> `+w.log+`
`+w.policy()+` 2>/dev/null; [ $? = 101 ] || echo "a service may start" >> `+w.log+`
[ "$1" = install ] || exit 0
left=`+strings.Repeat("x", failures)+`
tries=$(cat `+w.dir+`/tries 2>/dev/null || true)
[ "$tries" = "$left" ] && exit 0
echo "x$tries" > `+w.dir+`/tries
echo "E: no such package"; exit 100`)
	}
	return w
}

// policy is the world's policy-rc.d, which says whether services may start.
func (w world) policy() string { return filepath.Join(w.dir, "policy-rc.d") }

// kernels are those that apt knows.
func (w world) kernels(t *testing.T, names ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "kernels"), []byte(strings.Join(names, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w world) command(t *testing.T, name, body string) {
	t.Helper()
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte("#!"+shell+"\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// run runs the script in the world. It returns what apt-get was told, and what
// the script said.
func (w world) run(t *testing.T, target string) (apt, said string, err error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(w.dir, "bash"), "../../deps.sh", target)
	cmd.Env = []string{"PATH=" + w.dir, "POLICY_RC_D=" + w.policy()}
	out, err := cmd.CombinedOutput()
	log, logErr := os.ReadFile(w.log)
	if logErr != nil && !os.IsNotExist(logErr) {
		t.Fatal(logErr)
	}
	return string(log), string(out), err
}

func TestDeps(t *testing.T) {
	const all = "iproute2 iputils-ping util-linux ethtool tcpdump tshark"
	const install = "apt-get install -y -qq --no-install-recommends "
	tests := []struct {
		name, installed, user string
		failures              int
		target, apt, said     string
		fails                 bool
	}{
		{name: "all there", installed: all, user: "1000", target: "check"},
		{name: "two missing", installed: "iproute2 ethtool tshark iputils-ping", user: "0", target: "check",
			apt: install + "util-linux tcpdump\n", said: "Installing util-linux tcpdump"},
		{name: "lists too old", installed: "", user: "0", failures: 1, target: "demo",
			apt: install + "iproute2 iputils-ping util-linux\napt-get update -qq\n" + install + "iproute2 iputils-ping util-linux\n", said: "Installing"},
		{name: "not to be had", installed: "", user: "0", failures: 9, target: "demo", fails: true, said: "E: no such package",
			apt: install + "iproute2 iputils-ping util-linux\napt-get update -qq\n" + install + "iproute2 iputils-ping util-linux\n"},
		{name: "not root", installed: "", user: "1000", target: "demo", fails: true, said: "as root: apt-get install iproute2 iputils-ping util-linux"},
		// The race detector runs tests with networks too.
		{name: "race", installed: "gcc libc6-dev", user: "0", target: "race",
			apt: install + "iproute2 iputils-ping util-linux ethtool tcpdump tshark\n", said: "Installing"},
		{name: "strangers", installed: all + " frr exabgp docker.io qemu-system-x86 busybox-static xz-utils", user: "0", target: "interop",
			apt: install + "zstd\n", said: "Installing zstd"},
		{name: "no apt-get", installed: "", user: "0", failures: -1, target: "race", fails: true, said: "no apt-get"},
		{name: "unknown target", installed: all, user: "0", target: "everything", fails: true, said: "usage:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.installed, tt.user, tt.failures)
			apt, said, err := w.run(t, tt.target)
			if (err != nil) != tt.fails {
				t.Errorf("error %v, want one: %v", err, tt.fails)
			}
			if apt != tt.apt {
				t.Errorf("apt-get was told\n%q, want\n%q", apt, tt.apt)
			}
			if !strings.Contains(said, tt.said) {
				t.Errorf("said %q, want %q in it", said, tt.said)
			}
			if _, err := os.Stat(w.policy()); err == nil {
				t.Error("services are still kept from starting")
			}
		})
	}
}

// A Debian that lacks a kernel which make interop boots is told at once; one whose
// lists are old gets new ones.
func TestKernels(t *testing.T) {
	const all = "iproute2 iputils-ping util-linux ethtool tcpdump tshark frr exabgp docker.io qemu-system-x86 busybox-static xz-utils zstd"
	w := newWorld(t, all, "0", 0)
	w.kernels(t, "linux-image-6.1.0-9-amd64", "linux-image-6.12.9+deb13-amd64", "linux-image-6.12.9+deb12-amd64-dbg")
	apt, said, err := w.run(t, "interop")
	if err == nil || !strings.Contains(said, "bookworm-security") || !strings.HasPrefix(apt, "apt-get update -qq\n") || strings.Contains(apt, "install") {
		t.Errorf("error %v, said %q, apt-get was told %q", err, said, apt)
	}
	if _, _, err := w.run(t, "check"); err != nil {
		t.Errorf("make check, which boots none: %v", err)
	}
	w.command(t, "apt-get", `printf 'linux-image-6.1.0-9-amd64\nlinux-image-6.12.9+deb12-amd64\n' > `+w.dir+`/kernels`)
	if _, said, err := w.run(t, "interop"); err != nil {
		t.Errorf("with new lists: %v, said %q", err, said)
	}
}

// A host that has a policy of its own keeps it.
func TestPolicyOfTheHost(t *testing.T) {
	w := newWorld(t, "", "0", 0)
	w.command(t, "policy-rc.d", "exit 101")
	before, err := os.ReadFile(w.policy())
	if err != nil {
		t.Fatal(err)
	}
	if _, said, err := w.run(t, "demo"); err != nil {
		t.Fatal(err, said)
	}
	if after, err := os.ReadFile(w.policy()); err != nil || string(after) != string(before) {
		t.Errorf("the host's policy is now %q, %v", after, err)
	}
}

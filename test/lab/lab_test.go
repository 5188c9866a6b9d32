package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// line is two namespaces joined by one link.
func line(t *testing.T) (l *Lab, a, b *Namespace) {
	t.Helper()
	l = New(t)
	a, b = l.Namespace("a"), l.Namespace("b")
	l.Veth(a, "left", b, "right", DefaultMTU)
	return l, a, b
}

func TestLabLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	var id, dir string
	t.Run("lab", func(t *testing.T) {
		l, a, _ := line(t)
		id, dir = l.ID(), l.Dir()
		l.BPFFS()
		l.Mkdir("own")
		a.Lab().Write("own/file", "text")
		a.Start("sleeper", "sleep", "100")
		if _, err := os.Stat(a.Path()); err != nil {
			t.Fatal(err)
		}
	})
	if entries, _ := filepath.Glob(netnsDir + "/" + id + "-*"); len(entries) != 0 {
		t.Errorf("namespaces left: %v", entries)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s left: %v", dir, err)
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Errorf("a mount under %s is left", dir)
	}
}

func TestSweepTakesOnlyDeadLabs(t *testing.T) {
	// No process has this id: it is beyond the kernel's largest, 2^22.
	dead := fmt.Sprintf("%s%d-1", namePrefix, 1<<23)
	kept := fmt.Sprintf("%s%d-2", namePrefix, 1<<23)
	for _, id := range []string{dead, kept} {
		if _, err := run(t.Context(), "ip", "netns", "add", id+"-pe1"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(os.TempDir(), id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mark := filepath.Join(os.TempDir(), kept, keepMark)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	alive := New(t).Namespace("a")

	Sweep(false)
	assertNamespace(t, dead+"-pe1", false)
	assertNamespace(t, kept+"-pe1", true)
	assertNamespace(t, alive.Name, true)
	Sweep(true)
	assertNamespace(t, kept+"-pe1", false)
	assertNamespace(t, alive.Name, true)
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kept lab's directory is left: %v", err)
	}
}

func assertNamespace(t *testing.T, name string, want bool) {
	t.Helper()
	_, err := os.Stat(netnsDir + "/" + name)
	if got := err == nil; got != want {
		t.Errorf("namespace %s exists: %v, want %v", name, got, want)
	}
}

func TestCommandsSeeTheHostsMounts(t *testing.T) {
	t.Parallel()
	l, a, _ := line(t)
	pinned := l.BPFFS() + "/inside"
	a.Run("mkdir", pinned)
	if _, err := os.Stat(pinned); err != nil {
		t.Errorf("what a command made in the bpf file system is not seen: %v", err)
	}
	if got := a.Run("ls", "/sys/class/net"); strings.Contains(got, "left") {
		t.Errorf("/sys was remounted for the command: %q", got)
	}
	if got := a.Run("ip", "-o", "link"); !strings.Contains(got, "left") {
		t.Errorf("the command is not in the namespace: %q", got)
	}
}

func TestTryReportsWhatTheCommandSaid(t *testing.T) {
	t.Parallel()
	_, a, _ := line(t)
	_, err := a.Try("ip", "link", "show", "absent")
	if err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("error %v, want one that names the device", err)
	}
}

func TestDoStaysInTheNamespaceOnlyForTheCall(t *testing.T) {
	t.Parallel()
	_, a, _ := line(t)
	home, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var inside string
	if err := a.Do(func() (err error) { inside, err = os.Readlink("/proc/thread-self/ns/net"); return }); err != nil {
		t.Fatal(err)
	}
	after, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if inside == home || after != home {
		t.Errorf("home %s, inside %s, after %s", home, inside, after)
	}
	want := errors.New("own error")
	if err := a.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	l, a, _ := line(t)
	t.Run("stops by SIGTERM", func(t *testing.T) {
		d := a.Start("polite", "sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
		l.Poll(5*time.Second, "ready", func() error {
			if !strings.Contains(d.Log(), "ready") {
				return errors.New("not ready")
			}
			return d.Running()
		})
		if status := d.Stop(); status != 7 {
			t.Errorf("exit status %d, want 7", status)
		}
		if !strings.Contains(d.Log(), "bye") {
			t.Errorf("log %q lacks the last word", d.Log())
		}
		if d.Running() == nil {
			t.Error("it is said to run")
		}
	})
	t.Run("ends by itself", func(t *testing.T) {
		if status := a.Start("short", "sh", "-c", "exit 3").Exit(5 * time.Second); status != 3 {
			t.Errorf("exit status %d, want 3", status)
		}
	})
	t.Run("killed", func(t *testing.T) {
		d := a.Start("sleeper", "sleep", "100")
		if err := d.Running(); err != nil {
			t.Error(err)
		}
		d.Kill()
		if err := syscall.Kill(d.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d still exists: %v", d.PID(), err)
		}
	})
}

func TestAwait(t *testing.T) {
	t.Parallel()
	calls := 0
	err := Await(time.Second, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("error %v after %d calls, want none after 3", err, calls)
	}
	want := errors.New("never")
	if err := Await(time.Millisecond, func() error { return want }); !errors.Is(err, want) {
		t.Errorf("error %v, want the last one", err)
	}
}

// Package lab builds networks of namespaces for the end-to-end tests and the
// demonstration: links, addresses, routes, daemons, captures and raw frames.
//
// Every lab has names of its own, so labs run beside each other, and everything
// in it goes away when its test ends, however it ends.
package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// TB is what a lab needs of its test. *testing.T has it, and so has the
// demonstration, which is no test.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	Context() context.Context
}

// Lab is the world of one test.
type Lab struct {
	tb  TB
	id  string
	dir string
	mu  sync.Mutex
	// captures are numbered for their file names.
	captures []*Capture
}

// labs counts the labs of this process, for their names.
var labs atomic.Uint32

// sweepOnce clears up after processes that were killed, once in each process.
var sweepOnce sync.Once

// New makes an empty lab. It needs root and ends the test without it.
func New(tb TB) *Lab {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatalf("network namespaces need root: run this as root")
	}
	sweepOnce.Do(func() { Sweep(false) })
	l := &Lab{
		tb: tb,
		id: fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), labs.Add(1)),
	}
	l.dir = filepath.Join(os.TempDir(), l.id)
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		tb.Fatalf("lab directory: %v", err)
	}
	tb.Cleanup(func() { os.RemoveAll(l.dir) })
	return l
}

// ID returns the prefix of the lab's namespace names.
func (l *Lab) ID() string { return l.id }

// Dir returns the lab's own directory. Its path is short, so that it can hold
// unix sockets.
func (l *Lab) Dir() string { return l.dir }

// Path returns the path of a file in the lab's directory.
func (l *Lab) Path(name string) string { return filepath.Join(l.dir, name) }

// Write writes a file in the lab's directory, readable by its owner alone, and
// returns its path.
func (l *Lab) Write(name, content string) string {
	l.tb.Helper()
	path := l.Path(name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.tb.Fatalf("write %s: %v", name, err)
	}
	return path
}

// Mkdir makes a directory in the lab's directory, for its owner alone, and
// returns its path.
func (l *Lab) Mkdir(name string) string {
	l.tb.Helper()
	path := l.Path(name)
	if err := os.Mkdir(path, 0o700); err != nil {
		l.tb.Fatalf("%v", err)
	}
	return path
}

// BPFFS mounts a bpf file system of the lab's own and returns its path. What is
// still pinned in it when the test ends goes with it.
func (l *Lab) BPFFS() string {
	l.tb.Helper()
	path := l.Path("bpf")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		l.tb.Fatalf("bpffs: %v", err)
	}
	if err := syscall.Mount("bpf", path, "bpf", 0, ""); err != nil {
		l.tb.Fatalf("mount bpffs on %s: %v", path, err)
	}
	l.tb.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			l.tb.Errorf("unmount %s: %v", path, err)
		}
	})
	return path
}

// Keep leaves the lab as it is when the process ends: later labs do not clear
// it up. The caller must not run the clean-ups.
func (l *Lab) Keep() error { return os.WriteFile(l.Path(keepMark), nil, 0o600) }

// run runs a command of the host and returns its standard output; the error
// holds what it wrote to standard error.
func run(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err,
			strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

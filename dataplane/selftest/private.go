package selftest

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// private are namespaces that nobody else can see: they have no names, and what
// is in them, pins included, goes with the thread that made them, however the
// process ends. Its methods are for that thread.
type private struct {
	open []*os.File // network namespaces
}

// pinRoot is where the private bpf file system is mounted.
const pinRoot = "/sys/fs/bpf"

// privately runs f on a thread of its own, in a mount namespace of its own with an
// empty bpf file system. When it returns the thread ends, and all of it goes.
func privately(f func(*private) error) error {
	var err error
	onOwnThread(func() {
		p := &private{}
		defer p.close()
		if err = p.mount(); err == nil {
			err = f(p)
		}
	})
	return err
}

// onOwnThread runs f on a thread that ends after it. The main thread would not,
// and the process's own directory in /proc shows its namespaces.
func onOwnThread(f func()) {
	done := make(chan struct{})
	var start func()
	start = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			go start()
			<-done
			runtime.UnlockOSThread()
			return
		}
		defer close(done)
		f()
	}
	go start()
	<-done
}

// mount makes the mount namespace. Nothing that is mounted in it may reach the
// one that it is a copy of.
func (p *private) mount() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", explain(err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("bpf", pinRoot, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a bpf file system on %s: %w", pinRoot, err)
	}
	return nil
}

// network makes a network namespace and enters it.
func (p *private) network() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", explain(err))
	}
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("open a network namespace: %w", err)
	}
	p.open = append(p.open, f)
	return f, nil
}

// enter moves the thread to a network namespace.
func enter(f *os.File) error {
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return nil
}

func (p *private) close() {
	for _, f := range p.open {
		// It is open for reading; there is nothing to lose.
		_ = f.Close()
	}
}

func explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (CAP_SYS_ADMIN is needed)", err)
	}
	return err
}

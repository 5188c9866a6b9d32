package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a daemon has to end after SIGTERM.
const stopTime = 10 * time.Second

// shownLines is how much of a daemon's log a failed test shows.
const shownLines = 60

// Daemon is a program that runs in a namespace. Its log is shown when the test
// fails.
type Daemon struct {
	Name string
	lab  *Lab
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // of Wait, valid when done is closed
}

// Start starts a program in the namespace. name, unique in the lab unless the
// program is a restart, names its log; a restart appends.
func (n *Namespace) Start(name string, argv ...string) *Daemon {
	n.lab.tb.Helper()
	l := n.lab
	d := &Daemon{Name: name, lab: l, log: l.Path(name + ".log"), done: make(chan struct{})}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.tb.Fatalf("log of %s: %v", name, err)
	}
	// The program outlives the test's context: it is stopped in order.
	d.cmd = exec.Command("nsenter", append([]string{"--net=" + n.Path(), "--"}, argv...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// A group of its own, so that an interrupt of the terminal goes to us alone.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = d.cmd.Start()
	log.Close()
	if err != nil {
		l.tb.Fatalf("start %s: %v", name, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	l.tb.Cleanup(d.cleanup)
	return d
}

func (d *Daemon) cleanup() {
	d.Stop()
	if d.lab.tb.Failed() {
		d.lab.tb.Logf("---- log of %s, last %d lines ----\n%s", d.Name, shownLines, tail(d.Log(), shownLines))
	}
}

// PID returns the process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Signal sends a signal; to a program that has ended it does nothing.
func (d *Daemon) Signal(sig syscall.Signal) {
	// The error says only that the process has ended.
	_ = d.cmd.Process.Signal(sig)
}

// Kill ends the program by SIGKILL and waits until it is gone.
func (d *Daemon) Kill() {
	d.Signal(syscall.SIGKILL)
	<-d.done
}

// Stop ends the program by SIGTERM, or by SIGKILL when it does not obey, and
// returns its exit status.
func (d *Daemon) Stop() int {
	d.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(stopTime):
		d.lab.tb.Errorf("%s did not stop within %v of SIGTERM", d.Name, stopTime)
		d.Kill()
	}
	return d.cmd.ProcessState.ExitCode()
}

// Exit waits for the program to end by itself and returns its exit status.
func (d *Daemon) Exit(within time.Duration) int {
	d.lab.tb.Helper()
	select {
	case <-d.done:
	case <-time.After(within):
		d.lab.tb.Fatalf("%s still runs after %v", d.Name, within)
	}
	return d.cmd.ProcessState.ExitCode()
}

// Running returns an error when the program has ended.
func (d *Daemon) Running() error {
	select {
	case <-d.done:
		if d.err == nil {
			return fmt.Errorf("%s has ended", d.Name)
		}
		return fmt.Errorf("%s has ended: %w: %s", d.Name, d.err, tail(d.Log(), 3))
	default:
		return nil
	}
}

// Log returns what the program has written so far, to either output.
func (d *Daemon) Log() string {
	text, err := os.ReadFile(d.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(text)
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

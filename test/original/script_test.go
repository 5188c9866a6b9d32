// Package original runs test/l2tp-test.sh, the original demonstration's own test,
// in all of its configurations.
package original

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"longwire/test/lab"
)

const (
	scriptFile = "../l2tp-test.sh"
	overlays   = "../l2tp-overlays"
)

// mapSession is the program that all tests use.
var mapSession string

func TestMain(m *testing.M) { os.Exit(withMapSession(m.Run)) }

func withMapSession(run func() int) int {
	dir, err := os.MkdirTemp("", "map-session")
	if err == nil {
		defer os.RemoveAll(dir)
		mapSession, err = lab.Build(dir, "longwire/cmd/map_session")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// script is one run of the script, whose temporary files are in a directory of
// its own.
type script struct {
	t        *testing.T
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *lab.LogBuffer
	tmp      string
	exited   chan struct{}
	captures string // kept on purpose
}

// start starts the script with a program for Longwire's ends.
func start(t *testing.T, program string, args ...string) *script {
	t.Helper()
	return startFile(t, scriptFile, []string{"MAP_SESSION=" + program}, args...)
}

func startFile(t *testing.T, file string, env []string, args ...string) *script {
	t.Helper()
	s := &script{t: t, cmd: exec.Command(file, args...), out: &lab.LogBuffer{}, tmp: t.TempDir(), exited: make(chan struct{})}
	s.cmd.Env = append(append(os.Environ(), "TMPDIR="+s.tmp), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	// What a terminal would signal is the whole group.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // the exit code is asked for
		close(s.exited)
	}()
	t.Cleanup(s.clean)
	return s
}

// clean ends a script that still runs, and fails the test when one that ended
// has left something.
func (s *script) clean() {
	select {
	case <-s.exited:
	default:
		s.t.Errorf("the script still ran:\n%s", s.out)
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		<-s.exited
	}
	if left := s.namespaces(); len(left) > 0 {
		s.t.Errorf("namespaces are left: %v", left)
	}
	files, err := filepath.Glob(filepath.Join(s.tmp, "*"))
	if err != nil {
		s.t.Error(err)
	}
	for _, file := range files {
		if file != s.captures {
			s.t.Errorf("%s is left", file)
		}
	}
}

// namespaces returns the script's namespaces that exist.
func (s *script) namespaces() []string {
	found, err := filepath.Glob(fmt.Sprintf("/run/netns/lwlab%d-*", s.cmd.Process.Pid))
	if err != nil {
		s.t.Error(err)
	}
	return found
}

// await waits until the script has said something.
func (s *script) await(what string) {
	s.t.Helper()
	err := lab.Await(30*time.Second, func() error {
		if strings.Contains(s.out.String(), what) {
			return nil
		}
		select {
		case <-s.exited:
			return nil
		default:
			return errors.New("it is not said")
		}
	})
	if err != nil || !strings.Contains(s.out.String(), what) {
		s.t.Fatalf("never said %q:\n%s", what, s.out)
	}
}

// say writes a line to the script.
func (s *script) say(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the end of the script and returns its exit code and what it
// said.
func (s *script) end(within time.Duration) (int, string) {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(within):
		s.t.Fatalf("not done within %v:\n%s", within, s.out)
	}
	return s.cmd.ProcessState.ExitCode(), s.out.String()
}

// program writes a shell script that stands for map_session.
func program(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "map_session")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// findProcess fails unless a program of a name is in the process group.
func findProcess(group int, name string) error {
	commands, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return err
	}
	for _, file := range commands {
		comm, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(comm)) != name {
			continue // it may have ended since
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/comm", &pid); err != nil {
			return err
		}
		if pgid, err := syscall.Getpgid(pid); err == nil && pgid == group {
			return nil
		}
	}
	return fmt.Errorf("no %s runs", name)
}

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const pidFile = "longwire.pid"

// PIDFile is the name of the pid file in the runtime directory.
const PIDFile = pidFile

// ErrRunning is returned when another agent has the runtime directory.
var ErrRunning = errors.New("another agent is running")

// lock is the pid file of the one agent of a runtime directory. The kernel
// releases it when the process ends, however it ends.
type lock struct{ file *os.File }

// acquire takes the lock of a runtime directory and writes our pid. The error
// wraps ErrRunning and names the pid of the agent that has it.
func acquire(dir string) (*lock, error) {
	path := filepath.Join(dir, pidFile)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("make the pid file: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			defer f.Close()
			if !errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock the pid file: %w", err)
			}
			return nil, fmt.Errorf("%w with pid %s on %s", ErrRunning, readPID(path), dir)
		}
		// An uninstall may have removed the file between open and lock: then
		// we hold the lock of nothing.
		if !sameFile(f, path) {
			f.Close()
			continue
		}
		l := &lock{f}
		if err := l.write(); err != nil {
			f.Close()
			return nil, fmt.Errorf("write the pid file: %w", err)
		}
		return l, nil
	}
}

func (l *lock) write() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// release gives the lock up. The file stays: removing it would let two agents
// each lock one of their own.
func (l *lock) release() { l.file.Close() }

// remove gives the lock up and removes the file.
func (l *lock) remove() error {
	defer l.file.Close()
	return os.Remove(l.file.Name())
}

func readPID(path string) string {
	data, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(data)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}

func sameFile(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(open, named)
}

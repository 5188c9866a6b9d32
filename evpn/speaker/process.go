package speaker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	stopTimeout   = 2 * time.Second // after which a worker is killed
	maxLogLine    = 64 << 10        // bytes
	maxCrashLines = 40              // of a Go stack trace
)

// process is a running worker.
type process struct {
	command  *exec.Cmd
	lifeline io.Closer     // the worker ends when it closes
	done     chan struct{} // closed when the worker has ended
	err      error         // how it ended, valid once done is closed
}

// startProcess starts a worker. The caller's operating system thread must live
// as long as the worker shall, because the kernel kills the worker when that
// thread ends (PR_SET_PDEATHSIG in prctl(2)).
func startProcess(argv []string, log *slog.Logger, hear listener) (*process, error) {
	command := exec.Command(argv[0], argv[1:]...)
	command.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // the terminal's ^C is for the agent, which then ends us
	}
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make the worker's lifeline: %w", err)
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("make the worker's log pipe: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the BGP worker: %w", err)
	}
	p := &process{command: command, lifeline: stdin, done: make(chan struct{})}
	log = log.With("worker", command.Process.Pid)
	go func() {
		defer close(p.done)
		relayLog(stderr, log, hear)
		if p.err = command.Wait(); p.err == nil {
			p.err = errors.New("exit status 0")
		}
	}()
	return p, nil
}

// stop ends the worker and waits for it.
func (p *process) stop() {
	_ = p.lifeline.Close() // the worker may have gone first
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill() // likewise
		<-p.done
	}
}

// listener is shown the lines of the worker's log, and reports whether it has
// taken one: it is then not logged.
type listener func(message string, fields map[string]any) bool

// relayLog logs the worker's lines as our own until the worker ends. What is no
// log line is the trace of a crash and logged in one piece.
func relayLog(r io.Reader, log *slog.Logger, hear listener) {
	var crash []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		if !relayLine(lines.Bytes(), log, hear) && len(crash) < maxCrashLines {
			crash = append(crash, lines.Text())
		}
	}
	_, _ = io.Copy(io.Discard, r) // after an overlong line; the worker must not block
	if len(crash) > 0 {
		log.Error("the BGP worker crashed", "trace", strings.Join(crash, "\n"))
	}
}

// relayLine logs one JSON line of the worker, unless hear takes it, and reports
// whether it was one.
func relayLine(line []byte, log *slog.Logger, hear listener) bool {
	var fields map[string]any
	var level slog.Level
	if json.Unmarshal(line, &fields) != nil {
		return false
	}
	text, _ := fields[slog.LevelKey].(string)
	message, ok := fields[slog.MessageKey].(string)
	if !ok || level.UnmarshalText([]byte(text)) != nil {
		return false
	}
	for _, key := range []string{slog.TimeKey, slog.LevelKey, slog.MessageKey} {
		delete(fields, key)
	}
	if hear(message, fields) {
		return true
	}
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(key, fields[key]))
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
	return true
}

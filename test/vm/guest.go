package vm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"longwire/test/lab"
	"longwire/test/vm/port"
)

// ErrHarness says that the virtual machine failed, and nothing of what ran in
// it: no test result.
var ErrHarness = errors.New("the virtual machine failed, not the test in it")

const (
	// grace is how much longer than a script may run its answer may take.
	grace = 30 * time.Second
	// shownLines is how much of the console an error shows.
	shownLines = 60
)

// guests numbers the virtual machines of this process.
var guests atomic.Uint32

// Guest is a running virtual machine. Its methods may be called at the same
// time.
type Guest struct {
	// Kernel is what it runs.
	Kernel Kernel
	// Namespace has the other ends of its network cards.
	Namespace *lab.Namespace

	tb     lab.TB
	daemon *lab.Daemon
	conn   net.Conn

	mu      sync.Mutex
	last    uint64 // request
	waiting map[uint64]chan<- outcome
	closed  chan struct{} // when the port is
}

// outcome is an answer, or none.
type outcome struct {
	port.Answer
	err error
}

// ExitError says that a script failed, and how it ended.
type ExitError struct {
	Code   int    // exit status, -1 when it was killed
	Reason string // why it was killed, if the guest did so
	Output string // its last lines
}

// Error returns all of it.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("exit status %d", e.Code)
	if e.Reason != "" {
		text += ", " + e.Reason
	}
	return text + ": " + e.Output
}

// connect waits for the guest's first answer, which says that it is ready.
func (g *Guest) connect(socket string, within time.Duration) error {
	ready := make(chan outcome, 1)
	g.waiting[0] = ready
	err := lab.Await(within, func() (err error) {
		if err := g.daemon.Running(); err != nil {
			return nil // an error that waiting does not mend
		}
		g.conn, err = net.Dial("unix", socket)
		return err
	})
	if err := errors.Join(err, g.daemon.Running()); err != nil {
		return err
	}
	g.tb.Cleanup(func() { g.conn.Close() })
	go g.receive()
	select {
	case first := <-ready:
		if first.err == nil && first.Error != "" {
			return errors.New(first.Error)
		}
		return first.err
	case <-g.tb.Context().Done():
		return g.tb.Context().Err()
	case <-time.After(within):
		return fmt.Errorf("no answer within %v", within)
	}
}

// receive hands each answer to its caller, until the port is closed. Then every
// caller gets an error.
func (g *Guest) receive() {
	decoder := json.NewDecoder(bufio.NewReader(g.conn))
	for {
		var a port.Answer
		err := decoder.Decode(&a)
		g.mu.Lock()
		if err != nil {
			for id, to := range g.waiting {
				to <- outcome{err: fmt.Errorf("the port was closed: %w", err)}
				delete(g.waiting, id)
			}
			close(g.closed)
			g.mu.Unlock()
			return
		}
		if to, ok := g.waiting[a.ID]; ok {
			to <- outcome{Answer: a}
			delete(g.waiting, a.ID)
		}
		g.mu.Unlock()
	}
}

// Run runs a script with bash in the guest and returns what it writes, to either
// output. The error is an *ExitError when the script fails or does not end
// within its time, and ErrHarness, with the last lines of the console, when the
// guest does not answer. The script may leave processes running.
func (g *Guest) Run(within time.Duration, script string) (string, error) {
	reply := make(chan outcome, 1)
	id, err := g.request(port.Request{Script: script, Within: within}, reply)
	if err != nil {
		return "", g.harness(err)
	}
	select {
	case a := <-reply:
		if a.err != nil {
			return "", g.harness(a.err)
		}
		out := string(a.Output)
		if a.Code != 0 || a.Error != "" {
			return out, &ExitError{Code: a.Code, Reason: a.Error, Output: tail(out, shownLines)}
		}
		return out, nil
	case <-time.After(within + grace):
		g.mu.Lock()
		delete(g.waiting, id)
		g.mu.Unlock()
		return "", g.harness(fmt.Errorf("no answer within %v to %q", within+grace, script))
	}
}

// Must is Run for scripts that must succeed, in a minute.
func (g *Guest) Must(script string) string {
	g.tb.Helper()
	out, err := g.Run(time.Minute, script)
	if err != nil {
		g.tb.Fatalf("guest: %s: %v", script, err)
	}
	return out
}

// request sends a request under an id of its own.
func (g *Guest) request(r port.Request, reply chan<- outcome) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.closed:
		return 0, errors.New("the port is closed")
	default:
	}
	g.last++
	r.ID = g.last
	g.waiting[r.ID] = reply
	return r.ID, json.NewEncoder(g.conn).Encode(r)
}

// PowerOff ends the guest in order and waits until it is gone. A test that does
// not call it ends the guest as well, but not in order.
func (g *Guest) PowerOff(within time.Duration) error {
	g.mu.Lock()
	err := json.NewEncoder(g.conn).Encode(port.Request{})
	g.mu.Unlock()
	if err != nil {
		return g.harness(err)
	}
	err = lab.Await(within, func() error {
		if g.daemon.Running() == nil {
			return errors.New("it still runs")
		}
		return nil
	})
	if err != nil {
		return g.harness(err)
	}
	if code := g.daemon.Exit(within); code != 0 {
		return g.harness(fmt.Errorf("QEMU ended with status %d", code))
	}
	return nil
}

// Console returns what the guest's kernel has written to its console so far.
func (g *Guest) Console() string { return g.daemon.Log() }

// harness is an error of the virtual machine itself.
func (g *Guest) harness(err error) error {
	return fmt.Errorf("%w: %w; the console's last lines:\n%s", ErrHarness, err, tail(g.Console(), shownLines))
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

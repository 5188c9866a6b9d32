package lab

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
)

// Runner stands in for testing.T in programs that use a lab.
type Runner struct {
	ctx      context.Context
	name     string
	out      io.Writer
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// NewRunner returns a runner that ends its commands with ctx and prints what
// goes wrong to out.
func NewRunner(ctx context.Context, name string, out io.Writer) *Runner {
	return &Runner{ctx: ctx, name: name, out: out}
}

// Helper does nothing: there are no line numbers to improve.
func (r *Runner) Helper() {}

// Name returns the name of the program.
func (r *Runner) Name() string { return r.name }

// Context returns the context of the runner.
func (r *Runner) Context() context.Context { return r.ctx }

// Logf prints a remark.
func (r *Runner) Logf(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	_, _ = fmt.Fprintln(r.out, "  "+strings.ReplaceAll(text, "\n", "\n  "))
}

// Errorf prints an error and marks the run as failed.
func (r *Runner) Errorf(format string, args ...any) {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	r.Logf("FAILED: "+format, args...)
}

// Fatalf is Errorf, and ends the goroutine that calls it.
func (r *Runner) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Failed says whether anything went wrong so far.
func (r *Runner) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Cleanup registers a function for the end; the last one runs first.
func (r *Runner) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// Clean runs the registered functions.
func (r *Runner) Clean() {
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		f()
	}
}

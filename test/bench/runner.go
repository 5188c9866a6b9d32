package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// runner is to the benchmark what testing.T is to a test: it satisfies lab.TB.
type runner struct {
	ctx      context.Context
	begin    time.Time
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// Helper does nothing: there are no line numbers to improve.
func (r *runner) Helper() {}

// Name names the benchmark.
func (r *runner) Name() string { return "bench" }

// Context ends when the benchmark is interrupted.
func (r *runner) Context() context.Context { return r.ctx }

// Logf prints a line of progress to standard error.
func (r *runner) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.1fs  %s\n", time.Since(r.begin).Seconds(), fmt.Sprintf(format, args...))
}

// Errorf prints an error and marks the benchmark as failed. After an interrupt
// errors are its consequences, and not worth a line.
func (r *runner) Errorf(format string, args ...any) {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	if r.ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "bench:", fmt.Sprintf(format, args...))
	}
}

// Fatalf is Errorf and ends the benchmark. It must be called from the goroutine
// that measures.
func (r *runner) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// must ends the benchmark on an error, which it prints after what was tried.
func (r *runner) must(err error, what string) {
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
}

// Failed says whether anything went wrong so far.
func (r *runner) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Cleanup registers a function for the end; the last one runs first.
func (r *runner) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// clean runs the registered functions, also those that are registered while it
// runs.
func (r *runner) clean() {
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

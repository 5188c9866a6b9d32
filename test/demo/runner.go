package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
)

// runner is to the demonstration what testing.T is to a test: it satisfies
// lab.TB.
type runner struct {
	ctx      context.Context
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// Helper does nothing: there are no line numbers to improve.
func (r *runner) Helper() {}

// Name names the demonstration.
func (r *runner) Name() string { return "demo" }

// Context ends when the demonstration is interrupted.
func (r *runner) Context() context.Context { return r.ctx }

// Logf prints a remark.
func (r *runner) Logf(format string, args ...any) {
	fmt.Println(indent(fmt.Sprintf(format, args...)))
}

// Errorf prints an error and marks the demonstration as failed.
func (r *runner) Errorf(format string, args ...any) {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	fmt.Println(indent(paint(red, "FAILED: "+fmt.Sprintf(format, args...))))
}

// Fatalf is Errorf and ends the demonstration. It must be called from the
// goroutine that plays it.
func (r *runner) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
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

// clean runs the registered functions.
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

// Colours of a terminal.
const (
	red   = "31"
	green = "32"
	blue  = "1;34"
	plain = ""
)

// coloured is true when the output goes to a terminal that takes colours
// (https://no-color.org).
var coloured = isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func paint(colour, text string) string {
	if !coloured || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

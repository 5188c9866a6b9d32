package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"longwire/test/lab"
)

// runner is a lab's runner that says how far the benchmark is.
type runner struct {
	*lab.Runner
	begin time.Time
}

func newRunner(ctx context.Context) *runner {
	return &runner{Runner: lab.NewRunner(ctx, "bench", os.Stderr), begin: time.Now()}
}

// Logf prints a line of progress to standard error.
func (r *runner) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.1fs  %s\n", time.Since(r.begin).Seconds(), fmt.Sprintf(format, args...))
}

// Errorf prints an error and marks the benchmark as failed. Errors after an
// interrupt are its consequences: not worth a line.
func (r *runner) Errorf(format string, args ...any) {
	if r.Context().Err() == nil {
		r.Runner.Errorf(format, args...)
	}
}

// Fatalf is Errorf and ends the goroutine that calls it.
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

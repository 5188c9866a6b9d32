// Command map_session makes static L2TPv3 pseudowires without an agent: one call
// makes one session, in both directions.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"longwire/dataplane/tc"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it was tried and failed, and is as before
	exitUsage   = 2 // the command line is wrong; nothing was tried
)

// usageError is a mistake in the command line that cobra does not see.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	started := false
	root := newRoot(&started)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "map_session:", err)
	if errors.Is(err, tc.ErrBusy) {
		fmt.Fprintln(stderr, "map_session: if it is a longwire agent, stop it, or give it the session as a static pseudowire")
	}
	if !started || errors.As(err, &usageError{}) {
		fmt.Fprintln(stderr, "map_session: see map_session --help")
		return exitUsage
	}
	return exitFailure
}

// Command gotest runs groups of packages with go test, prints what ran as go
// test does, and closes with one line of counts. Skipped tests are named; with
// -fail-on-skip they fail the run.
//
//	gotest [-fail-on-skip] -- ./a ./b -- -C dir -timeout 15m ./c
//
// Each "--" begins a group with arguments of its own; those that begin with -C
// and a directory run in the module there. Groups run one after the other, and a
// group that fails does not stop the next.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

func main() {
	failOnSkip, groups, err := arguments(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(2)
	}
	r := newReport(os.Stdout)
	for _, group := range groups {
		if err := runGroup(r, group); err != nil {
			fmt.Fprintln(os.Stderr, "gotest:", err)
			r.broken = true
		}
	}
	r.close()
	if !r.ok(failOnSkip) {
		os.Exit(1)
	}
}

// arguments splits the command line into the flag and the groups.
func arguments(args []string) (failOnSkip bool, groups [][]string, err error) {
	if len(args) > 0 && args[0] == "-fail-on-skip" {
		failOnSkip, args = true, args[1:]
	}
	if len(args) == 0 || args[0] != "--" {
		return false, nil, errors.New("usage: gotest [-fail-on-skip] -- ARGUMENTS [-- ARGUMENTS]")
	}
	for _, arg := range args {
		if arg == "--" {
			groups = append(groups, nil)
			continue
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], arg)
	}
	return failOnSkip, groups, nil
}

// runGroup runs one go test and feeds its events to the report. That tests
// failed is no error here, because the report knows; that go test failed
// without any failed test is.
func runGroup(r *report, args []string) error {
	cmd := exec.Command("go", goTest(args)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	before := len(r.failed)
	readErr := r.read(out)
	if err := cmd.Wait(); err != nil && len(r.failed) == before {
		return fmt.Errorf("go test %v: %w", args, err)
	}
	return readErr
}

// goTest returns the arguments of go for a group. A group that begins with -C
// and a directory runs there, in another module; go wants that flag first.
func goTest(args []string) []string {
	command := []string{"test"}
	if len(args) > 1 && args[0] == "-C" {
		command, args = append(command, args[:2]...), args[2:]
	}
	return append(append(command, "-json"), args...)
}

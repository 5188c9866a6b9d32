package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// event is one line of go test -json (cmd/test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// test names one test of one package; Name is empty for the package itself.
type test struct{ Package, Name string }

// String returns "package.Test", or the package.
func (t test) String() string {
	if t.Name == "" {
		return t.Package
	}
	return t.Package + "." + t.Name
}

// report collects results and prints them while they come.
type report struct {
	out    io.Writer
	output map[test]*strings.Builder
	subs   map[test]int // passed subtests of a top-level test
	passed int
	failed []test
	skips  []string // with the reason given
	broken bool
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[test]*strings.Builder{}, subs: map[test]int{}}
}

// read takes the events of one go test run.
func (r *report) read(in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), 64<<20)
	for scanner.Scan() {
		var e event
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			// What a test binary prints past its own output is not JSON.
			fmt.Fprintln(r.out, scanner.Text())
			continue
		}
		r.take(e)
	}
	return scanner.Err()
}

func (r *report) take(e event) {
	id := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if r.output[id] == nil {
			r.output[id] = &strings.Builder{}
		}
		r.output[id].WriteString(e.Output)
	case "pass", "fail", "skip":
		if id.Name == "" {
			r.endPackage(id, e)
		} else {
			r.endTest(id, e)
		}
		delete(r.output, id)
	}
}

// endTest counts one test or subtest. A top-level test prints a line; failed
// and skipped ones print what they said.
func (r *report) endTest(id test, e event) {
	top, _, isSub := strings.Cut(id.Name, "/")
	switch e.Action {
	case "pass":
		r.passed++
		if isSub {
			r.subs[test{id.Package, top}]++
			return
		}
		r.line("PASS", id, e)
	case "fail":
		r.failed = append(r.failed, id)
		r.line("FAIL", id, e)
		r.said(id)
	case "skip":
		r.skips = append(r.skips, id.String()+": "+r.reason(id))
		r.line("SKIP", id, e)
		r.said(id)
	}
}

func (r *report) line(word string, id test, e event) {
	more := ""
	if n := r.subs[id]; n > 0 {
		more = fmt.Sprintf(" %d subtests", n)
	}
	took := time.Duration(e.Elapsed * float64(time.Second))
	fmt.Fprintf(r.out, "--- %s: %s (%.2fs)%s\n", word, id.Name, took.Seconds(), more)
}

// said prints a test's own output without the marks of go test.
func (r *report) said(id test) {
	if r.output[id] == nil {
		return
	}
	for _, line := range strings.SplitAfter(r.output[id].String(), "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "=== ") || strings.HasPrefix(trimmed, "--- ") {
			continue
		}
		fmt.Fprint(r.out, line)
	}
}

// reason returns the last thing that a skipped test said.
func (r *report) reason(id test) string {
	reason := "no reason given"
	if r.output[id] == nil {
		return reason
	}
	for _, line := range strings.Split(r.output[id].String(), "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed != "" && !strings.HasPrefix(trimmed, "=== ") && !strings.HasPrefix(trimmed, "--- ") {
			reason = trimmed
		}
	}
	return reason
}

// endPackage prints go test's own closing line for a package. One that failed
// without a failed test (it did not build, or it crashed) counts as failed
// itself.
func (r *report) endPackage(id test, e event) {
	if e.Action == "fail" && !r.hasFailed(id.Package) {
		r.failed = append(r.failed, id)
		r.said(id)
		return
	}
	r.lastLine(id)
}

func (r *report) hasFailed(pkg string) bool {
	for _, t := range r.failed {
		if t.Package == pkg {
			return true
		}
	}
	return false
}

// lastLine prints "ok package 1.2s", "FAIL package 1.2s" or "? package".
func (r *report) lastLine(id test) {
	if r.output[id] == nil {
		return
	}
	for _, line := range strings.SplitAfter(r.output[id].String(), "\n") {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?") {
			fmt.Fprint(r.out, line)
		}
	}
}

// close prints what failed and what was skipped, by name, and the counts.
func (r *report) close() {
	fmt.Fprintln(r.out)
	for _, skip := range r.skips {
		fmt.Fprintln(r.out, "skipped:", skip)
	}
	for _, failed := range r.failed {
		fmt.Fprintln(r.out, "failed:", failed)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skips))
}

// ok says whether the run is a success: something ran and nothing failed.
func (r *report) ok(failOnSkip bool) bool {
	return r.passed > 0 && len(r.failed) == 0 && !r.broken && (!failOnSkip || len(r.skips) == 0)
}

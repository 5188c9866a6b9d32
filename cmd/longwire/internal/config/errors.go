package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a configuration file.
type Error struct {
	File    string
	Line    int    // 1-based; 0 when the whole file is meant
	Key     string // path of the key, such as pseudowires[0].static.remote; may be empty
	Problem string // what is wrong
	Fix     string // what to do, may be empty
}

// Error implements error: "file:line: key: what is wrong; what to do".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Errors is every mistake that one reading found, by line.
type Errors []*Error

// Error implements error with one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// maxErrors bounds what a broken file can print.
const maxErrors = 20

// report collects mistakes while a file is read.
type report struct {
	file string
	errs Errors
	bad  map[string]bool // keys with a mistake
}

// add notes a mistake at a place.
func (r *report) add(at place, problem, fix string) {
	r.errs = append(r.errs, &Error{File: r.file, Line: at.Line, Key: at.Key, Problem: problem, Fix: fix})
	if r.bad == nil {
		r.bad = map[string]bool{}
	}
	r.bad[at.Key] = true
}

// faulty says whether a key, or one that holds it, has a mistake already, so
// that what follows from it is not told as a second one.
func (r *report) faulty(key string) bool {
	for key != "" && !r.bad[key] {
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return r.bad[key]
}

// err returns the mistakes in the order of the file, or nil.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	if len(r.errs) > maxErrors {
		return r.errs[:maxErrors]
	}
	return r.errs
}

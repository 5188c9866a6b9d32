// Package matrix collects what the interoperation tests find: which of our
// behaviours holds with which foreign program. The tests write cells,
// test/tools/matrix joins them into the tables of docs/interop.md.
package matrix

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Variable is the environment variable that names the directory for the cells.
// Without it nothing is recorded.
const Variable = "LONGWIRE_MATRIX"

// Result says how a test ended.
type Result string

// The results. A skipped test proves nothing, so it is shown as such.
const (
	Pass    Result = "pass"
	Fail    Result = "FAIL"
	Skipped Result = "skipped"
)

// Cell is one result in one table. Column is the foreign program with its
// version, Row is what was tried with it.
type Cell struct {
	Table  string `json:"table"`
	Row    string `json:"row"`
	Column string `json:"column"`
	Result Result `json:"result"`
}

// TB is what is needed of a test.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Failed() bool
	Skipped() bool
	Cleanup(func())
}

// Record notes the result of a test or subtest when it ends, after the
// clean-ups that it registers later. A cell that cannot be written fails the
// test.
func Record(tb TB, table, row, column string) {
	tb.Helper()
	dir := os.Getenv(Variable)
	if dir == "" {
		return
	}
	tb.Cleanup(func() {
		if err := write(dir, Cell{Table: table, Row: row, Column: column, Result: result(tb)}); err != nil {
			tb.Errorf("record in the matrix: %v", err)
		}
	})
}

func result(tb TB) Result {
	switch {
	case tb.Failed():
		return Fail
	case tb.Skipped():
		return Skipped
	}
	return Pass
}

// write appends one line to this process's file. Appending is atomic for a line
// of this size, so tests that run in parallel need no lock.
func write(dir string, c Cell) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, fmt.Sprintf("%d.jsonl", os.Getpid()))
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	return f.Close()
}

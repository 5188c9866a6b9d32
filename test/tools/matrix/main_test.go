package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/test/matrix"
)

func cell(table, row, column string, result matrix.Result) matrix.Cell {
	return matrix.Cell{Table: table, Row: row, Column: column, Result: result}
}

func TestRender(t *testing.T) {
	got := render([]matrix.Cell{
		cell("Two", "only", "bird 2", matrix.Pass),
		cell("One", "withdraw", "frr 8", matrix.Pass),
		cell("One", "bring-up", "gobgpd 3", matrix.Skipped),
		cell("One", "bring-up", "gobgpd 3", matrix.Pass),
		cell("One", "bring-up", "frr 8", matrix.Pass),
		cell("One", "bring-up", "frr 8", matrix.Fail),
		cell("One", "bring-up", "frr 8", matrix.Skipped),
	})
	want := `### One

| | frr 8 | gobgpd 3 |
|---|---|---|
| bring-up | FAIL | skipped |
| withdraw | pass | – |

### Two

| | bird 2 |
|---|---|
| only | pass |
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The tables of the last run go, the text around them stays.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	document := filepath.Join(dir, "interop.md")
	write(t, document, "# Title\n\n"+begin+"old\n"+end+"\nAfter.\n")
	results := filepath.Join(dir, "results")
	if err := os.Mkdir(results, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(results, "1.jsonl"), `{"table":"One","row":"a","column":"x","result":"pass"}
{"table":"One","row":"b","column":"x","result":"pass"}
`)
	write(t, filepath.Join(results, "2.jsonl"), `{"table":"One","row":"a","column":"y","result":"FAIL"}`+"\n")
	// Without a document none is touched.
	if err := run([]string{results}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := run([]string{results, document}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^# Title

<!-- .*begin -->

Written by .make interop. on \d{4}-\d\d-\d\d, on Linux [0-9].*\. A dash .*
.* tried with it\.

### One

\| \| x \| y \|
\|---\|---\|---\|
\| a \| pass \| FAIL \|
\| b \| pass \| – \|

<!-- .*end -->

After\.
$`)
	if !want.Match(text) {
		t.Errorf("the document is\n%s", text)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	good, bad, none := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "none")
	for _, d := range []string{good, bad, none} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(good, "1.jsonl"), `{"table":"One","row":"a","column":"x","result":"pass"}`+"\n")
	write(t, filepath.Join(bad, "1.jsonl"), "{}\nno result\n")
	marked, unmarked := filepath.Join(dir, "marked.md"), filepath.Join(dir, "unmarked.md")
	write(t, marked, begin+end)
	write(t, unmarked, "# Title\n"+end+begin)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "usage"},
		{[]string{good, marked, marked}, "usage"},
		{[]string{none, marked}, "did the tests run?"},
		{[]string{bad, marked}, "1.jsonl:2"},
		{[]string{good, filepath.Join(dir, "absent.md")}, "absent.md"},
		{[]string{good, unmarked}, "marks around the tables are missing"},
	} {
		if err := run(tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q in it", tt.args, err, tt.want)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

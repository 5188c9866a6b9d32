package matrix

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fake is a test whose end is chosen.
type fake struct {
	failed, skipped bool
	cleanups        []func()
	errors          int
}

func (f *fake) Helper()               {}
func (f *fake) Errorf(string, ...any) { f.errors++ }
func (f *fake) Failed() bool          { return f.failed }
func (f *fake) Skipped() bool         { return f.skipped }
func (f *fake) Cleanup(do func())     { f.cleanups = append(f.cleanups, do) }
func (f *fake) end() (errors int) {
	for _, do := range f.cleanups {
		do()
	}
	return f.errors
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Variable, dir)
	for row, f := range map[string]*fake{"good": {}, "bad": {failed: true}, "left out": {skipped: true}} {
		Record(f, "Reflectors", row, "bgpd 1.2")
		if f.end() != 0 {
			t.Errorf("%s: could not record", row)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]Cell{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c Cell
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		got[c.Row] = c
	}
	want := map[string]Cell{
		"good":     {"Reflectors", "good", "bgpd 1.2", Pass},
		"bad":      {"Reflectors", "bad", "bgpd 1.2", Fail},
		"left out": {"Reflectors", "left out", "bgpd 1.2", Skipped},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The result is that of the end of the test, not of the call.
func TestRecordLaterFailure(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Variable, dir)
	f := &fake{}
	Record(f, "a", "b", "c")
	f.failed = true
	f.end()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	text, err := os.ReadFile(files[0])
	if want := `{"table":"a","row":"b","column":"c","result":"FAIL"}` + "\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
}

// Without a directory a run leaves nothing; with one that is not there the test
// fails, because its result would be lost.
func TestRecordWhere(t *testing.T) {
	t.Setenv(Variable, "")
	f := &fake{}
	if Record(f, "a", "b", "c"); len(f.cleanups) != 0 {
		t.Error("recorded without a directory")
	}
	t.Setenv(Variable, filepath.Join(t.TempDir(), "absent"))
	if Record(f, "a", "b", "c"); f.end() != 1 {
		t.Errorf("%d errors for an absent directory", f.errors)
	}
}

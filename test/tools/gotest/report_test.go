package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events of one package: two passing tests, one of them with a subtest, a
// failed one and a skipped one.
const events = `
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA/one","Elapsed":0.1}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.5}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: it is wrong\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: kernel has no such hook\n"}
{"Action":"skip","Package":"p","Test":"TestC","Elapsed":0}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.010s\n"}
{"Action":"fail","Package":"p","Elapsed":0.01}
`

func readAll(t *testing.T, text string) (*report, string) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(strings.TrimSpace(text))); err != nil {
		t.Fatal(err)
	}
	r.close()
	return r, out.String()
}

func TestReport(t *testing.T) {
	r, got := readAll(t, events)
	const want = `--- PASS: TestA (0.50s) 1 subtests
--- FAIL: TestB (0.00s)
    b_test.go:7: it is wrong
--- SKIP: TestC (0.00s)
    c_test.go:9: kernel has no such hook
FAIL	p	0.010s

skipped: p.TestC: c_test.go:9: kernel has no such hook
failed: p.TestB
2 passed, 1 failed, 1 skipped
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if r.ok(false) {
		t.Error("a run with a failed test is a success")
	}
}

func TestSuccess(t *testing.T) {
	const pass = `{"Action":"pass","Package":"p","Test":"TestA"}`
	const skip = `{"Action":"skip","Package":"p","Test":"TestB"}`
	tests := []struct {
		name, events       string
		ok, okWithoutSkips bool
	}{
		{"all passed", pass, true, true},
		{"one skipped", pass + "\n" + skip, true, false},
		{"nothing ran", `{"Action":"start","Package":"p"}`, false, false},
		{"all skipped", skip, false, false},
		{"did not build", pass + "\n" + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: oops\n"}
{"Action":"output","Package":"q","Output":"FAIL\tq [build failed]\n"}
{"Action":"fail","Package":"q"}`, false, false},
		{"not JSON", pass + "\npanic: out of nowhere", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, out := readAll(t, tt.events)
			if r.ok(false) != tt.ok || r.ok(true) != tt.okWithoutSkips {
				t.Errorf("ok %v, without skips %v, want %v and %v; output:\n%s",
					r.ok(false), r.ok(true), tt.ok, tt.okWithoutSkips, out)
			}
		})
	}
}

func TestPackageThatCrashedIsNamed(t *testing.T) {
	_, out := readAll(t, `{"Action":"output","Package":"p","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}`)
	if !strings.Contains(out, "panic: boom") || !strings.Contains(out, "failed: p\n0 passed, 1 failed, 0 skipped") {
		t.Errorf("output:\n%s", out)
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		args   string
		skip   bool
		groups [][]string
		fails  bool
	}{
		{"-- ./a", false, [][]string{{"./a"}}, false},
		{"-fail-on-skip -- ./a ./b -- -timeout 1m ./c", true, [][]string{{"./a", "./b"}, {"-timeout", "1m", "./c"}}, false},
		{"", false, nil, true},
		{"./a", false, nil, true},
	}
	for _, tt := range tests {
		skip, groups, err := arguments(strings.Fields(tt.args))
		if (err != nil) != tt.fails || skip != tt.skip || !cmp.Equal(groups, tt.groups) {
			t.Errorf("%q: %v %v %v", tt.args, skip, groups, err)
		}
	}
}

// A group with a directory runs in the module there.
func TestGroupInAnotherModule(t *testing.T) {
	for args, want := range map[string]string{
		"./a -args -x=y":  "test -json ./a -args -x=y",
		"-C dir -p 1 ./a": "test -C dir -json -p 1 ./a",
		"-C":              "test -json -C",
		"-count=1 -C ./a": "test -json -count=1 -C ./a",
	} {
		if got := strings.Join(goTest(strings.Fields(args)), " "); got != want {
			t.Errorf("%s: go %s, want go %s", args, got, want)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module other\n\ngo 1.26\n",
		"a_test.go": "package other\n\nimport \"testing\"\n\nfunc TestThere(*testing.T) {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	r := newReport(&out)
	if err := runGroup(r, []string{"-C", dir, "."}); err != nil || r.passed != 1 || !strings.Contains(out.String(), "TestThere") {
		t.Errorf("%v, %d passed: %s", err, r.passed, &out)
	}
}

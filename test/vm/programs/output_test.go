package programs

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/test/lab"
)

// outcome is what a test binary has said with -test.v.
type outcome struct {
	passed  []string // tests, not subtests, sorted
	skipped []string // tests and subtests
	// lacking are the features that the kernel has not, each with the tests that
	// have taken the way around it.
	lacking map[string][]string
	report  string // what is said of tests that were not passed
}

// parse reads the output of a test binary.
func parse(output string) outcome {
	o := outcome{lacking: map[string][]string{}}
	lacking := map[string]map[string]bool{}
	current := "" // the test whose lines follow
	var said []string
	for _, line := range strings.Split(output, "\n") {
		text := strings.TrimSpace(line)
		words := strings.Fields(text)
		switch _, feature, lacks := strings.Cut(text, lab.AbsentPrefix); {
		case lacks:
			if lacking[feature] == nil {
				lacking[feature] = map[string]bool{}
			}
			lacking[feature][current] = true
		case strings.HasPrefix(text, "=== ") && len(words) > 2:
			current, _, _ = strings.Cut(words[2], "/")
		case strings.HasPrefix(text, "--- ") && len(words) > 2:
			o.add(words[1], words[2], line == text)
			if words[1] != "PASS:" {
				said = append(said, line)
			}
		case text != "":
			said = append(said, line)
		}
	}
	for feature, tests := range lacking {
		o.lacking[feature] = slices.Sorted(maps.Keys(tests))
	}
	slices.Sort(o.passed)
	o.report = strings.Join(said, "\n")
	return o
}

func (o *outcome) add(result, name string, whole bool) {
	switch {
	case result == "SKIP:":
		o.skipped = append(o.skipped, name)
	case result == "PASS:" && whole:
		o.passed = append(o.passed, name)
	}
}

func TestParse(t *testing.T) {
	got := parse(`=== RUN   TestB
=== RUN   TestB/one
    b_test.go:1: this kernel lacks: this
    b_test.go:2: wrong
=== RUN   TestB/two
    b_test.go:1: this kernel lacks: this
=== PAUSE TestB/two
--- FAIL: TestB (1.00s)
    --- FAIL: TestB/one (0.00s)
    --- SKIP: TestB/two (0.00s)
=== RUN   TestA
    --- PASS: TestA/one (0.00s)
--- PASS: TestA (1.00s)
=== RUN   TestC
    c_test.go:7: this kernel lacks: this
    c_test.go:8: this kernel lacks: that
--- PASS: TestC (1.00s)
FAIL
`)
	want := outcome{
		passed: []string{"TestA", "TestC"}, skipped: []string{"TestB/two"},
		lacking: map[string][]string{"this": {"TestB", "TestC"}, "that": {"TestC"}},
		report: `    b_test.go:2: wrong
--- FAIL: TestB (1.00s)
    --- FAIL: TestB/one (0.00s)
    --- SKIP: TestB/two (0.00s)
FAIL`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

package lab_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/test/lab"
)

// TestRunner ends where a fatal error is, remembers it, and cleans up backwards.
func TestRunner(t *testing.T) {
	var out strings.Builder
	r := lab.NewRunner(t.Context(), "program", &out)
	var order []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Cleanup(func() { order = append(order, "first made") })
		r.Cleanup(func() {
			order = append(order, "last made")
			r.Cleanup(func() { order = append(order, "made while cleaning") })
		})
		r.Logf("remark\nof two lines")
		if r.Failed() {
			t.Error("failed before anything was wrong")
		}
		r.Fatalf("no %s", "good")
		t.Error("went on after a fatal error")
	}()
	<-done
	r.Clean()
	if !r.Failed() || r.Name() != "program" || r.Context() != t.Context() {
		t.Errorf("failed %v, name %q", r.Failed(), r.Name())
	}
	if diff := cmp.Diff("  remark\n  of two lines\n  FAILED: no good\n", out.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"last made", "made while cleaning", "first made"}, order); diff != "" {
		t.Error(diff)
	}
}

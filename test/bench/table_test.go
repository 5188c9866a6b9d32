package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var example = outcome{title: "Rate, Mpps", digits: 1, series: []series{
	{"base", []float64{2, 4, 5}},
	{"ours, µs", []float64{1, 4, 4}},
}}

func TestOutcomeTable(t *testing.T) {
	// The middle ratio is not the ratio of the medians: rounds are divided first.
	want := `Rate, Mpps
          median  min–max  ÷ base    min–max
base         4.0  2.0–5.0    1.00  1.00–1.00
ours, µs     4.0  1.0–4.0    0.80  0.50–1.00
`
	if diff := cmp.Diff(want, example.table("base", "never measured")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOutcomeTableEmpty has a dash where a measurement is missing.
func TestOutcomeTableEmpty(t *testing.T) {
	o := outcome{title: "T", series: []series{{"a", nil}}}
	want := "T\n   median  min–max\na       -      -–-\n"
	if diff := cmp.Diff(want, o.table("a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBeyond(t *testing.T) {
	got := example.beyond("more", "base")
	want := outcome{title: "more", series: []series{{"base", []float64{0, 0, 0}}, {"ours, µs", []float64{500, 0, 50}}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{}, series{}), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s := example.beyond("more", "never measured").series[0]; len(s.values) != 0 {
		t.Errorf("without a base: %v", s.values)
	}
}

func TestAlign(t *testing.T) {
	got := align([][]string{{"a title longer than every column"}, {"", "n"}, {"left", "1"}, {"l", "µµµ", "more"}})
	want := "a title longer than every column\n        n\nleft    1\nl     µµµ  more\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

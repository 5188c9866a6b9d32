package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	for _, row := range []struct {
		figures []float64
		want    spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{5, 1, 3}, spread{3, 1, 5}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(row.figures); got != row.want {
			t.Errorf("spread of %v: %v, want %v", row.figures, got, row.want)
		}
	}
	if got, want := (spread{0.954, 0.9, 1}).String(), " 0.95 (0.90-1.00)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRatios(t *testing.T) {
	got := ratios([]float64{2, 9, 5}, []float64{4, 3})
	if diff := cmp.Diff([]float64{0.5, 3}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPercentile(t *testing.T) {
	figures := []float64{40, 10, 30, 20, 50}
	for share, want := range map[float64]float64{0: 10, 0.25: 20, 0.5: 30, 1: 50} {
		if got := percentile(figures, share); got != want {
			t.Errorf("share %v: %v, want %v", share, got, want)
		}
	}
}

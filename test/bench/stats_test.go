package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestSummarise(t *testing.T) {
	nan := math.NaN()
	for _, row := range []struct {
		name   string
		values []float64
		want   summary
	}{
		{"none", nil, summary{nan, nan, nan}},
		{"one", []float64{3}, summary{3, 3, 3}},
		{"odd", []float64{9, 1, 5}, summary{5, 1, 9}},
		{"even", []float64{4, 1, 3, 2}, summary{2.5, 1, 4}},
		{"an outlier moves the median little", []float64{1, 2, 1000}, summary{2, 1, 1000}},
	} {
		got := summarise(row.values)
		if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(summary{}), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestMedianKeepsOrder: ratios are taken round by round afterwards.
func TestMedianKeepsOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	median(values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestRatios(t *testing.T) {
	for _, row := range []struct {
		name             string
		values, by, want []float64
	}{
		{"each round by itself", []float64{2, 30}, []float64{1, 10}, []float64{2, 3}},
		{"a round that only one has", []float64{2, 30}, []float64{1}, []float64{2}},
		{"a divisor of zero", []float64{2, 30}, []float64{0, 10}, []float64{3}},
		{"nothing to divide by", []float64{2}, nil, nil},
	} {
		if diff := cmp.Diff(row.want, ratios(row.values, row.by)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestRotated measures every variant once in each round, and after as many
// rounds as there are variants each has been in every place.
func TestRotated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "variants")
		places := make([]map[int]bool, n)
		for round := range n {
			seen := map[int]bool{}
			for place, v := range rotated(n, round) {
				seen[v] = true
				if places[v] == nil {
					places[v] = map[int]bool{}
				}
				places[v][place] = true
			}
			if len(seen) != n {
				t.Fatalf("round %d measures %d of %d variants", round, len(seen), n)
			}
		}
		for v, p := range places {
			if len(p) != n {
				t.Errorf("variant %d was in %d of %d places", v, len(p), n)
			}
		}
	})
}

package main

import (
	"math"
	"slices"
)

// summary is what a table says about the values of all rounds.
type summary struct {
	median, least, most float64
}

// summarise sums values up; without values all is NaN.
func summarise(values []float64) summary {
	if len(values) == 0 {
		return summary{math.NaN(), math.NaN(), math.NaN()}
	}
	return summary{median(values), slices.Min(values), slices.Max(values)}
}

// median returns the middle value, or the mean of the two in the middle; NaN
// when there are none. The values stay in their order.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// ratios divides two series round by round, so that what slowed a whole round
// down cancels out. Rounds that only one of them has are left out, and so are
// those where the divisor is zero.
func ratios(values, by []float64) []float64 {
	var out []float64
	for i := range min(len(values), len(by)) {
		if by[i] != 0 {
			out = append(out, values[i]/by[i])
		}
	}
	return out
}

// rotated returns the numbers from 0 to n-1, beginning with another one each
// round: no variant is always measured first, or always after the same.
func rotated(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (i + round) % n
	}
	return order
}

package main

import (
	"strings"
	"testing"
)

// TestPrint puts ratios next to the figures that they come from, and turns them
// over where less is better.
func TestPrint(t *testing.T) {
	worlds := []*world{{way: way{name: "base"}}, {way: way{name: "vxlan"}}, {way: way{name: "ours"}}}
	figures := [][]float64{{10, 20}, {5, 10}, {20, 10}}
	for _, row := range []struct {
		m    measure
		want []string
	}{
		{measure{name: "m", unit: "u", scale: 0.1}, []string{"base 1.50 1.00 (1.00-1.00) 2.00 (2.00-2.00)", "ours 1.50 1.25 (0.50-2.00) 2.50 (1.00-4.00)"}},
		{measure{name: "m", unit: "u", scale: 1, smaller: true}, []string{"vxlan 7.50 2.00 (2.00-2.00) 1.00 (1.00-1.00)", "ours 15.00 1.25 (0.50-2.00) 0.62 (0.25-1.00)"}},
	} {
		var out strings.Builder
		if err := row.m.print(&out, worlds, figures); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(out.String()) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		all := strings.Join(lines, "\n")
		for _, want := range row.want {
			if !strings.Contains(all, want) {
				t.Errorf("no line %q in\n%s", want, all)
			}
		}
	}
}

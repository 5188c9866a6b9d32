package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"longwire/test/lab"
)

// measure is one thing to measure, in worlds of its own.
type measure struct {
	name     string
	unit     string
	scale    float64 // of the printed absolute figure
	offloads bool
	prepare  func(*world)
	take     func(*world) (float64, error)
	// smaller says that less is better; ratios are then turned over, so that
	// more is always better.
	smaller bool
}

func measures() []measure {
	return []measure{
		{name: "TCP, default offloads", unit: "Gb/s", scale: 1e-9, offloads: true, take: (*world).tcp},
		{name: "TCP, underlay offloads off", unit: "Gb/s", scale: 1e-9, take: (*world).tcp},
		{name: "64-byte frames", unit: "Mpps", scale: 1e-6, offloads: true, prepare: (*world).receivesXDP, take: (*world).rate},
		{name: "round trip", unit: "us", scale: 1, offloads: true, take: (*world).rtt, smaller: true},
	}
}

// receivesXDP makes the first circuit take generated frames: a veth has a
// receive queue of its own only with GRO.
func (x *world) receivesXDP() { x.pes[0].Run("ethtool", "-K", circuit, "gro", "on") }

// compare prints a table for each measure.
func compare(tb lab.TB, out io.Writer, rounds int) error {
	for _, m := range measures() {
		var worlds []*world
		for _, w := range ways() {
			x := newWorld(tb, w, m.offloads)
			if m.prepare != nil {
				m.prepare(x)
			}
			if err := x.ready(); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			worlds = append(worlds, x)
		}
		figures := make([][]float64, len(worlds))
		for round := range rounds {
			for i, x := range worlds {
				fmt.Fprintf(os.Stderr, "%s, round %d of %d, %s\n", m.name, round+1, rounds, x.way.name)
				f, err := m.take(x)
				if err != nil {
					return fmt.Errorf("%s over %s: %w", m.name, x.way.name, err)
				}
				figures[i] = append(figures[i], f)
			}
		}
		if err := m.print(out, worlds, figures); err != nil {
			return err
		}
	}
	return nil
}

// print writes the figures of every way, with ratios to the bare redirect and to
// VXLAN, the first two.
func (m measure) print(out io.Writer, worlds []*world, figures [][]float64) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\n%s\t%s\tof the bare redirect\tof vxlan+bridge\t\n", m.name, m.unit)
	for i, x := range worlds {
		fmt.Fprintf(table, "%s\t%.2f\t%s\t%s\t\n", x.way.name, m.scale*spreadOf(figures[i]).median,
			m.ratio(figures[i], figures[0]), m.ratio(figures[i], figures[1]))
	}
	return table.Flush()
}

// ratio is how much better figures are than those of a base.
func (m measure) ratio(figures, base []float64) spread {
	if m.smaller {
		figures, base = base, figures
	}
	return spreadOf(ratios(figures, base))
}

package main

import (
	"os/exec"
	"slices"
)

// measure is one thing that is measured of every variant in every round.
type measure struct {
	title  string
	digits int
	of     func(*site) (float64, error)
}

// titleRate is the measure that a second table is made of.
const titleRate = "64-byte frames, Mpps (more is better)"

// measures returns all of them.
func (w *world) measures(g *generator, s scale) []measure {
	return []measure{
		{"TCP, default offloads, Gb/s (more is better)", 2, func(at *site) (float64, error) {
			return throughput(w.Context(), at, s.tcp)
		}},
		{"TCP, underlay without offloads, Gb/s (more is better)", 2, func(at *site) (float64, error) {
			return throughputPlain(w.Context(), at, s.tcp, at.underlay)
		}},
		{"TCP, no device with offloads, Gb/s (more is better)", 2, func(at *site) (float64, error) {
			return throughputPlain(w.Context(), at, s.tcp, slices.Concat(at.underlay, at.circuits))
		}},
		{titleRate, 3, func(at *site) (float64, error) {
			return g.rate(w.Context(), at, s.rate)
		}},
		{"Round trip, µs (less is better)", 2, func(at *site) (float64, error) {
			return roundTrip(w.Context(), at, s.echoes)
		}},
	}
}

// measureEndToEnd measures all sites round by round and returns the tables.
func measureEndToEnd(w *world, g *generator, s scale) []string {
	all := w.measures(g, s)
	outcomes := make([]outcome, len(all))
	for i, m := range all {
		outcomes[i] = outcome{title: m.title, digits: m.digits}
		for _, at := range w.sites {
			outcomes[i].series = append(outcomes[i].series, series{variant: at.name})
		}
	}
	for round := range s.rounds {
		for i, m := range all {
			w.Logf("round %d of %d: %s", round+1, s.rounds, m.title)
			for _, v := range rotated(len(w.sites), round) {
				value, err := m.of(w.sites[v])
				w.must(err, w.sites[v].name+": "+m.title)
				outcomes[i].series[v].values = append(outcomes[i].series[v].values, value)
			}
		}
	}
	var tables []string
	for _, o := range outcomes {
		tables = append(tables, o.table(nameRedirect, nameVXLAN))
		if o.title == titleRate {
			tables = append(tables, o.beyond("64-byte frames, ns/packet beyond the bare redirect (less is better)", nameRedirect).table())
		}
	}
	return tables
}

// buildAll makes the sites. A kernel without VXLAN or bridge can be measured
// all the same; everything else must be there.
func (w *world) buildAll() {
	if _, err := exec.LookPath("iperf3"); err != nil {
		w.Fatalf("iperf3 is missing: install it (Debian: apt-get install iperf3)")
	}
	w.Logf("building %d variants", len(variants()))
	for _, v := range variants() {
		built, err := w.build(v)
		if err != nil && v.name == nameVXLAN && w.Context().Err() == nil {
			w.Logf("left out: %s: %v", v.name, err)
			continue
		}
		w.must(err, "build "+v.name)
		w.serveTCP(built)
		w.sites = append(w.sites, built)
	}
}

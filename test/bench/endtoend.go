package main

import (
	"errors"
	"os/exec"
	"slices"
)

// measure is one thing that is measured of every variant in every round.
type measure struct {
	title  string
	digits int
	turns  int // in each round
	of     func(*site) (float64, error)
}

// The titles of the measures.
const (
	titleTCP         = "TCP, default offloads, Gb/s (more is better)"
	titleTCPUnderlay = "TCP, underlay without offloads, Gb/s (more is better)"
	titleTCPPlain    = "TCP, no device with offloads, Gb/s (more is better)"
	titleRate        = "64-byte frames, Mpps (more is better)"
	titleRouted      = "64-byte frames from router to router, Mpps (more is better)"
	titleRoundTrip   = "Round trip, µs (less is better)"
)

// errLeftOut is returned by a measure that makes no sense for a variant.
var errLeftOut = errors.New("not for this variant")

// measures returns all of them. On a machine with other work many short turns say
// more than a long one.
func (w *world) measures(g *generator, s scale) []measure {
	return []measure{
		{titleTCP, 2, 1, func(at *site) (float64, error) {
			return throughput(w.Context(), at, s.tcp)
		}},
		{titleTCPUnderlay, 2, 1, func(at *site) (float64, error) {
			return throughputPlain(w.Context(), at, s.tcp, at.underlay)
		}},
		{titleTCPPlain, 2, 1, func(at *site) (float64, error) {
			return throughputPlain(w.Context(), at, s.tcp, slices.Concat(at.underlay, at.circuits))
		}},
		{titleRate, 3, s.turns, func(at *site) (float64, error) {
			return g.entrance(at).rate(w.Context(), s.rate)
		}},
		{titleRouted, 3, s.turns, func(at *site) (float64, error) {
			if at.routed == nil {
				return 0, errLeftOut
			}
			return at.routed.rate(w.Context(), s.rate)
		}},
		{titleRoundTrip, 2, 1, func(at *site) (float64, error) {
			return roundTrip(w.Context(), at, s.echoes)
		}},
	}
}

// measureEndToEnd measures all sites round by round.
func measureEndToEnd(w *world, g *generator, s scale) []outcome {
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
			for turn := range m.turns {
				w.takeTurn(m, &outcomes[i], round*m.turns+turn)
			}
		}
	}
	return outcomes
}

// takeTurn takes a value of every site.
func (w *world) takeTurn(m measure, o *outcome, turn int) {
	for _, v := range rotated(len(w.sites), turn) {
		value, err := m.of(w.sites[v])
		if errors.Is(err, errLeftOut) {
			continue
		}
		w.must(err, w.sites[v].name+": "+m.title)
		o.series[v].values = append(o.series[v].values, value)
	}
}

// endToEndTables renders them.
func endToEndTables(outcomes []outcome) []string {
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
		// A veth copies what the stack sends through it to XDP, which no card does.
		if built.xdp == nil {
			w.must(w.addRouters(built), "make the hosts of "+v.name+" routers")
		}
		w.serveTCP(built)
		w.sites = append(w.sites, built)
	}
}

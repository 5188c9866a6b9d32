package main

import (
	"fmt"
	"math"
)

// goal is a limit that every one of some figures should keep.
type goal struct {
	what    string
	limit   float64
	atMost  bool // otherwise at least
	digits  int  // behind the point
	figures []named
}

// named is the figure of something.
type named struct {
	of    string
	value float64
}

// worst returns the figure that is furthest on the wrong side, and whether
// anything was measured at all.
func (g goal) worst() (named, bool) {
	var worst named
	found := false
	for _, f := range g.figures {
		if math.IsNaN(f.value) {
			continue
		}
		if !found || g.keeps(worst.value, f.value) {
			worst, found = f, true
		}
	}
	return worst, found
}

// reached says whether even the worst figure keeps the limit.
func (g goal) reached() bool {
	worst, found := g.worst()
	return found && (worst.value == g.limit || g.keeps(worst.value, g.limit))
}

// keeps says whether a value is on the right side of a limit, and not at it.
func (g goal) keeps(value, limit float64) bool {
	if g.atMost {
		return value < limit
	}
	return value > limit
}

// line is a line of the summary.
func (g goal) line() []string {
	sign := "≥"
	if g.atMost {
		sign = "≤"
	}
	limit := fmt.Sprintf("%s %s", sign, number(g.limit, g.digits))
	worst, found := g.worst()
	if !found {
		return []string{g.what, limit, "-", "not measured", "-"}
	}
	verdict := "not reached"
	if g.reached() {
		verdict = "reached"
	}
	return []string{g.what, limit, number(worst.value, g.digits), verdict, worst.of}
}

// results are everything that a run measured.
type results struct {
	programs timings
	endToEnd []outcome
	crowds   []outcome
}

// outcome returns the one with a title, which may have no series.
func (r results) outcome(title string) outcome {
	for _, all := range [][]outcome{r.endToEnd, r.crowds} {
		for _, o := range all {
			if o.title == title {
				return o
			}
		}
	}
	return outcome{}
}

// against returns the ratios of variants to a base, under one measure. What was
// not measured has none.
func (r results) against(title, base string, variants []string) []named {
	o := r.outcome(title)
	var all []named
	for _, v := range variants {
		all = append(all, named{v, median(ratios(o.find(v), o.find(base)))})
	}
	return all
}

// ours are the names of our own variants, with next hops leased.
func ours() (tc, xdp []string) {
	for _, c := range carriers {
		tc = append(tc, nameLongwire(c))
		xdp = append(xdp, nameLongwireXDP(c))
	}
	return tc, xdp
}

// The shares of a bare redirect's small packets that ours should reach.
const (
	tcShare  = 0.93
	xdpShare = 0.95
)

// goals are those that the project has set itself.
func (r results) goals() []goal {
	tc, xdp := ours()
	all := []goal{
		{"small packets by tc ÷ bare redirect", tcShare, false, 2, r.against(titleRate, nameRedirect, tc)},
		{"the same between routers", tcShare, false, 2, r.against(titleRouted, nameRedirect, tc)},
		{"small packets by tc ÷ VXLAN", 2.2, false, 2, r.against(titleRate, nameVXLAN, tc)},
		{"small packets by XDP ÷ bare XDP redirect", xdpShare, false, 2, r.against(titleRate, nameXDPRedirect, xdp)},
		{"small packets by XDP ÷ VXLAN", 3.6, false, 2, r.against(titleRate, nameVXLAN, xdp)},
		{"TCP, default offloads ÷ VXLAN", 1, false, 2, r.against(titleTCP, nameVXLAN, tc)},
		{"TCP, no device with offloads ÷ VXLAN", 1.4, false, 2, r.against(titleTCPPlain, nameVXLAN, tc)},
		{"round trip ÷ bare redirect", 1.1, true, 2, r.against(titleRoundTrip, nameRedirect, tc)},
	}
	all = append(all, r.programs.goals()...)
	for _, title := range []string{titleEncapBusy, titleDecapBusy, titleEncapTurn, titleDecapTurn} {
		all = append(all, goal{crowdGoals[title], 1.5, true, 2, r.outcome(title).relative()})
	}
	return all
}

// crowdGoals are short for the titles of crowds.
var crowdGoals = map[string]string{
	titleEncapBusy: "encapsulation, one busy of many sessions ÷ of 1",
	titleDecapBusy: "decapsulation, one busy of many sessions ÷ of 1",
	titleEncapTurn: "encapsulation, many sessions in turn ÷ 1",
	titleDecapTurn: "decapsulation, many sessions in turn ÷ 1",
}

// goals are those for the programs alone, in nanoseconds. Over IPv6 and UDP every
// byte is summed, so encapsulation has a limit of its own there, at full size.
func (t timings) goals() []goal {
	encap := goal{"encapsulation, ns/packet, without a checksum", 25, true, 0, nil}
	summed := goal{"encapsulation, ns/packet, with one, 1450 bytes", 110, true, 0, nil}
	decap := goal{"decapsulation, ns/packet", 50, true, 0, nil}
	xdp := goal{"either by XDP, ns/packet", 15, true, 0, nil}
	for _, c := range carriers {
		for _, size := range frameSizes {
			of := fmt.Sprintf("%s, %d bytes", c, size)
			e, d := median(t[figure{rowEncap, c, size}]), median(t[figure{rowDecap, c, size}])
			switch {
			case !c.v6 || !c.udp:
				encap.figures = append(encap.figures, named{of, e})
			case size == fullSize:
				summed.figures = append(summed.figures, named{of, e})
			}
			decap.figures = append(decap.figures, named{of, d})
			for _, row := range []string{rowEncapXDP, rowDecapXDP} {
				xdp.figures = append(xdp.figures, named{row + ", " + of, median(t[figure{row, c, size}])})
			}
		}
	}
	return []goal{encap, summed, decap, xdp}
}

// summary says which goals were reached. The ratio of small packets depends on
// how long a frame takes without us, so that is said with it.
func (r results) summary() string {
	lines := [][]string{{"Goals, and the worst of the medians"}, {"", "goal", "worst", "", "of"}}
	for _, g := range r.goals() {
		lines = append(lines, g.line())
	}
	text := align(lines)
	for _, way := range []struct {
		name, title, base string
		share             float64
	}{
		{"By tc", titleRate, nameRedirect, tcShare},
		{"By tc between routers", titleRouted, nameRedirect, tcShare},
		{"By XDP", titleRate, nameXDPRedirect, xdpShare},
	} {
		if mpps := median(r.outcome(way.title).find(way.base)); !math.IsNaN(mpps) {
			text += room(way.name, mpps, way.share)
		}
	}
	return text
}

// room says what a ratio to a bare redirect means in nanoseconds.
func room(way string, mpps, share float64) string {
	ns := 1000 / mpps
	return fmt.Sprintf("%s the bare redirect makes %.3f Mpps, %.0f ns a frame; %.2f of that leaves %.0f ns for both ends.\n",
		way, mpps, ns, share, ns/share-ns)
}

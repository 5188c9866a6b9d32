package main

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestGoalLine(t *testing.T) {
	nan := math.NaN()
	for _, row := range []struct {
		name string
		goal goal
		want []string
	}{
		{"all above", goal{"g", 0.9, false, 2, []named{{"a", 0.95}, {"b", 0.91}}}, []string{"g", "≥ 0.90", "0.91", "reached", "b"}},
		{"one below", goal{"g", 0.9, false, 2, []named{{"a", 0.2}, {"b", 0.91}}}, []string{"g", "≥ 0.90", "0.20", "not reached", "a"}},
		{"just so", goal{"g", 0.9, false, 2, []named{{"a", 0.9}}}, []string{"g", "≥ 0.90", "0.90", "reached", "a"}},
		{"all below", goal{"g", 50, true, 0, []named{{"a", 12}, {"b", 49}, {"c", 7}}}, []string{"g", "≤ 50", "49", "reached", "b"}},
		{"one above", goal{"g", 50, true, 0, []named{{"a", 12}, {"b", 61}}}, []string{"g", "≤ 50", "61", "not reached", "b"}},
		{"just so, at most", goal{"g", 50, true, 0, []named{{"a", 50}}}, []string{"g", "≤ 50", "50", "reached", "a"}},
		{"not measured does not count", goal{"g", 50, true, 0, []named{{"a", nan}, {"b", 3}}}, []string{"g", "≤ 50", "3", "reached", "b"}},
		{"nothing measured", goal{"g", 0.9, false, 2, []named{{"a", nan}}}, []string{"g", "≥ 0.90", "-", "not measured", "-"}},
		{"no figures", goal{"g", 0.9, false, 2, nil}, []string{"g", "≥ 0.90", "-", "not measured", "-"}},
	} {
		if diff := cmp.Diff(row.want, row.goal.line()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestGoalRounded calls no figure reached that its digits alone make so.
func TestGoalRounded(t *testing.T) {
	g := goal{"g", 0.93, false, 2, []named{{"a", 0.929}}}
	if line := g.line(); line[2] != "0.93" || line[3] != "not reached" {
		t.Errorf("%q", line)
	}
}

// measured is a run in which Longwire over IPv4 is as fast as everything else,
// and over IPv6 half as fast.
func measured() results {
	of := func(title string) outcome {
		o := outcome{title: title}
		for _, v := range variants() {
			value := 2.0
			if strings.HasPrefix(v.name, "Longwire ipv6") {
				value = 1
			}
			o.series = append(o.series, series{v.name, []float64{value, 2 * value}})
		}
		return o
	}
	r := results{programs: timings{}}
	for _, title := range []string{titleTCP, titleTCPPlain, titleRate, titleRouted, titleRoundTrip} {
		r.endToEnd = append(r.endToEnd, of(title))
	}
	for i, title := range []string{titleEncapBusy, titleEncapTurn, titleDecapBusy, titleDecapTurn} {
		r.crowds = append(r.crowds, outcome{title: title, series: []series{
			{crowdName(1), []float64{100, 200}}, {crowdName(1000), []float64{120, 240}}, {crowdName(16000), []float64{110 * float64(i), 210 * float64(i)}},
		}})
	}
	for _, c := range carriers {
		for _, size := range frameSizes {
			r.programs[figure{rowEncap, c, size}] = []float64{20, 21, 90}
			r.programs[figure{rowDecap, c, size}] = []float64{float64(size) / 20}
		}
	}
	r.programs[figure{rowEncap, carrier{true, true}, fullSize}] = []float64{150}
	return r
}

func TestSummary(t *testing.T) {
	const want = `Goals, and the worst of the medians
                                                   goal  worst                                  of
small packets by tc ÷ bare redirect              ≥ 0.93   0.50   not reached     Longwire ipv6/ip
the same between routers                         ≥ 0.93   0.50   not reached     Longwire ipv6/ip
small packets by tc ÷ VXLAN                      ≥ 2.20   0.50   not reached     Longwire ipv6/ip
small packets by XDP ÷ bare XDP redirect         ≥ 0.95   0.50   not reached Longwire ipv6/ip XDP
small packets by XDP ÷ VXLAN                     ≥ 3.60   0.50   not reached Longwire ipv6/ip XDP
TCP, default offloads ÷ VXLAN                    ≥ 1.00   0.50   not reached     Longwire ipv6/ip
TCP, no device with offloads ÷ VXLAN             ≥ 1.40   0.50   not reached     Longwire ipv6/ip
round trip ÷ bare redirect                       ≤ 1.10   1.00       reached     Longwire ipv4/ip
encapsulation, ns/packet, without a checksum       ≤ 25     21       reached    ipv4/ip, 64 bytes
encapsulation, ns/packet, with one, 1450 bytes    ≤ 110    150   not reached  ipv6/udp, 1450 bytes
decapsulation, ns/packet                           ≤ 50     72   not reached  ipv4/ip, 1450 bytes
either by XDP, ns/packet                           ≤ 15      -  not measured  -
`
	got := measured().summary()
	lines := strings.SplitAfter(got, "\n")
	wantLines := strings.SplitAfter(want, "\n")
	for i, line := range wantLines[:len(wantLines)-1] {
		if diff := cmp.Diff(strings.Fields(line), strings.Fields(lines[i])); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
	for _, want := range []string{
		"By tc the bare redirect makes 3.000 Mpps, 333 ns a frame; 0.93 of that leaves 25 ns for both ends.\n",
		"By XDP the bare redirect makes 3.000 Mpps, 333 ns a frame; 0.95 of that leaves 18 ns for both ends.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestSummaryOfNothing measures nothing, and so reaches nothing.
func TestSummaryOfNothing(t *testing.T) {
	var r results
	if got := r.summary(); strings.Contains(got, "reached") || strings.Contains(got, "Mpps") {
		t.Errorf("of nothing:\n%s", got)
	}
	for _, g := range r.goals() {
		if g.what == "" || g.line()[3] != "not measured" {
			t.Errorf("%q", g.line())
		}
	}
}

func TestRelative(t *testing.T) {
	o := outcome{series: []series{{"one", []float64{10, 20}}, {"two", []float64{10, 60}}, {"three", nil}}}
	want := []named{{"two", 2}, {"three", math.NaN()}}
	if diff := cmp.Diff(want, o.relative(), cmp.AllowUnexported(named{}), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (outcome{}).relative(); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

// TestCrowdsAreGoals sets a limit for every measure of many sessions.
func TestCrowdsAreGoals(t *testing.T) {
	worst := map[string]float64{}
	for _, g := range measured().goals() {
		if w, found := g.worst(); found && g.limit == 1.5 {
			worst[g.what] = w.value
		}
	}
	want := map[string]float64{
		crowdGoals[titleEncapBusy]: 1.2, crowdGoals[titleEncapTurn]: 1.2,
		crowdGoals[titleDecapBusy]: 2.15, crowdGoals[titleDecapTurn]: 3.225,
	}
	if diff := cmp.Diff(want, worst, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseIperf3(t *testing.T) {
	for _, row := range []struct {
		name, output, complaint string
		gbps                    float64
	}{
		{"received", `{"end":{"sum_sent":{"bits_per_second":9e9},"sum_received":{"bits_per_second":7.5e9}}}`, "", 7.5},
		{"refused", `{"start":{},"error":"error - unable to connect to server: Connection refused"}`, "Connection refused", 0},
		{"nothing arrived", `{"end":{"sum_received":{"bits_per_second":0}}}`, "nothing was received", 0},
		{"no end", `{"start":{}}`, "nothing was received", 0},
		{"no report", `iperf3: parameter error`, "read the report", 0},
		{"empty", ``, "read the report", 0},
	} {
		got, err := parseIperf3([]byte(row.output))
		if got != row.gbps || (err == nil) != (row.complaint == "") || err != nil && !strings.Contains(err.Error(), row.complaint) {
			t.Errorf("%s: %v, %v", row.name, got, err)
		}
	}
}

func TestPerPacket(t *testing.T) {
	for _, row := range []struct {
		name    string
		before  clock
		after   clock
		packets uint64
		want    float64
		ok      bool
	}{
		{"all packets", clock{100, time.Microsecond}, clock{1100, 31 * time.Microsecond}, 1000, 30, true},
		{"a few of others besides", clock{}, clock{1010, 10100}, 1000, 10, true},
		{"more sent than arrived", clock{}, clock{1500, 15000}, 1000, 10, true},
		{"another way", clock{100, 0}, clock{103, 90}, 1000, 0, false},
		{"something else", clock{}, clock{5000, 50000}, 1000, 0, false},
		{"no packets", clock{}, clock{}, 0, 0, false},
	} {
		got, err := perPacket(row.before, row.after, row.packets)
		if got != row.want || (err == nil) != row.ok || err != nil && !errors.Is(err, errFewRuns) {
			t.Errorf("%s: %v, %v", row.name, got, err)
		}
	}
}

func TestCPUModel(t *testing.T) {
	for info, want := range map[string]string{
		"processor\t: 0\nmodel name\t: Some CPU @ 2: fast\nmodel name\t: Other\n": "Some CPU @ 2: fast",
		"processor\t: 0\n": "unknown model",
		"":                 "unknown model",
	} {
		if got := cpuModel(info); got != want {
			t.Errorf("%q: %q, want %q", info, got, want)
		}
	}
}

func TestFirstField(t *testing.T) {
	for s, want := range map[string]string{"0.41 0.30 0.20 1/100 5\n": "0.41", "\n": "?", "": "?"} {
		if got := firstField(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// TestFacts says what a reader needs to judge the figures.
func TestFacts(t *testing.T) {
	for _, want := range []string{"Linux", "CPUs", "UTC", "mean little"} {
		if !strings.Contains(facts(), want) {
			t.Errorf("no %q in %q", want, facts())
		}
	}
}

func TestScale(t *testing.T) {
	full, quick := options{}.scale(), options{quick: true}.scale()
	if full.rounds != 5 || quick.rounds >= full.rounds {
		t.Errorf("%d rounds, quick %d", full.rounds, quick.rounds)
	}
	if got := (options{rounds: 3, quick: true}).scale().rounds; got != 3 {
		t.Errorf("%d rounds, want 3", got)
	}
}

// TestCallCode has exactly the calls whose time is divided by their number.
func TestCallCode(t *testing.T) {
	for _, n := range []int{0, 1, 64} {
		calls := 0
		for _, ins := range callCode(n) {
			if ins.IsBuiltinCall() {
				calls++
			}
		}
		if calls != n {
			t.Errorf("%d calls of %d", calls, n)
		}
	}
}

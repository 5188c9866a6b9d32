package original

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/test/lab"
)

// configuration is one choice of ends, outer addresses and encapsulation.
type configuration struct {
	ends                  [2]string // of ns1 and ns2
	family, encapsulation string
}

// tally counts what a script says.
type tally struct{ ok, skipped int }

// said is what the script must say of a configuration when nothing fails, given
// what this kernel lacks.
func (c configuration) said(lacks string, n *tally) string {
	var out strings.Builder
	label := c.family + " " + c.encapsulation
	ok := func(what string) { n.ok++; fmt.Fprintf(&out, "%s: %s: ok\n", label, what) }
	skip := func(what, why string) {
		n.skipped++
		fmt.Fprintf(&out, "%s: %s: skipped, %s\n", label, what, why)
	}
	absent := func(i int) bool { return c.ends[i] == "kernel" && lacks != "" }
	var why []string
	for i, end := range c.ends {
		name := map[string]string{"kernel": "kernel L2TP", "longwire": "Longwire"}[end] + fmt.Sprintf(" in ns%d", i+1)
		if absent(i) {
			why = append(why, "no "+name)
			skip(name, "this kernel has no "+lacks)
		} else {
			ok(name)
		}
	}
	for i, end := range c.ends {
		if end == "longwire" && absent(1-i) {
			ok(fmt.Sprintf("ns%d sends to its peer", i+1))
		}
	}
	for _, way := range []string{"ns0 to ns3", "ns3 to ns0"} {
		for _, inner := range []string{"ipv4", "ipv6"} {
			for _, size := range []string{"small", "full-size"} {
				what := fmt.Sprintf("ping %s from %s, %s", inner, way, size)
				if len(why) > 0 {
					skip(what, strings.Join(why, ", "))
				} else {
					ok(what)
				}
			}
		}
	}
	return out.String()
}

// summary is the last line, and the exit code that goes with it.
func (n tally) summary() (string, int) {
	code := 0
	if n.ok == 0 {
		code = 4
	}
	return fmt.Sprintf("summary: %d ok, 0 FAILED, %d skipped\n", n.ok, n.skipped), code
}

// shipped are the overlays that come with the script; "" is none.
var shipped = map[string][2]string{
	"":     {"kernel", "kernel"},
	"ns1":  {"longwire", "kernel"},
	"ns2":  {"kernel", "longwire"},
	"both": {"longwire", "longwire"},
}

func TestShippedOverlays(t *testing.T) {
	files, err := filepath.Glob(overlays + "/*")
	if err != nil || len(files) != len(shipped)-1 {
		t.Errorf("overlays %v, error %v", files, err)
	}
	for _, file := range files {
		if _, ok := shipped[strings.TrimSuffix(filepath.Base(file), ".conf")]; !ok {
			t.Errorf("no test has %s", file)
		}
	}
}

// TestConfigurations runs each by itself and compares every line.
func TestConfigurations(t *testing.T) {
	for overlay, ends := range shipped {
		for _, family := range []string{"ipv4", "ipv6"} {
			for _, encapsulation := range []string{"udp", "ip"} {
				c := configuration{ends, family, encapsulation}
				t.Run(fmt.Sprintf("%s-%s-%s-%s", ends[0], ends[1], family, encapsulation), func(t *testing.T) {
					t.Parallel()
					args := []string{"-t", family, "-e", encapsulation}
					if overlay != "" {
						args = append(args, "-f", filepath.Join(overlays, overlay+".conf"))
					}
					var n tally
					want := c.said(kernelLacks(t, family, encapsulation), &n)
					last, wantCode := n.summary()
					code, out := start(t, mapSession, args...).end(time.Minute)
					if diff := cmp.Diff(want+last, out); diff != "" || code != wantCode {
						t.Errorf("exit code %d, want %d (-want +said):\n%s", code, wantCode, diff)
					}
				})
			}
		}
	}
}

// TestAllFour runs all outer headers, one after the other, unless told which.
func TestAllFour(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-t", "ipv6"}, {"-e", "udp"}} {
		var n tally
		var want strings.Builder
		for _, family := range []string{"ipv4", "ipv6"} {
			for _, encapsulation := range []string{"udp", "ip"} {
				if len(args) > 0 && args[1] != family && args[1] != encapsulation {
					continue
				}
				c := configuration{shipped[""], family, encapsulation}
				want.WriteString(c.said(kernelLacks(t, family, encapsulation), &n))
			}
		}
		last, wantCode := n.summary()
		code, out := start(t, mapSession, args...).end(time.Minute)
		if diff := cmp.Diff(want.String()+last, out); diff != "" || code != wantCode {
			t.Errorf("%v: exit code %d, want %d (-want +said):\n%s", args, code, wantCode, diff)
		}
	}
}

// TestOverlayWrittenByHand has comments, blanks, no last newline, and names one
// end only.
func TestOverlayWrittenByHand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(file, []byte("# mine\n\n  ns2 = longwire # here"), 0o600); err != nil {
		t.Fatal(err)
	}
	var n tally
	want := configuration{shipped["ns2"], "ipv4", "ip"}.said(kernelLacks(t, "ipv4", "ip"), &n)
	last, _ := n.summary()
	code, out := start(t, mapSession, "-t", "ipv4", "-e", "ip", "-f", file).end(time.Minute)
	if diff := cmp.Diff(want+last, out); diff != "" || code != 0 {
		t.Errorf("exit code %d (-want +said):\n%s", code, diff)
	}
}

// TestSideBySide runs two copies at once.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	args := []string{"-t", "ipv6", "-e", "ip", "-f", overlays + "/both.conf"}
	first, second := start(t, mapSession, args...), start(t, mapSession, args...)
	for _, s := range []*script{first, second} {
		if code, out := s.end(time.Minute); code != 0 || !strings.HasSuffix(out, "summary: 10 ok, 0 FAILED, 0 skipped\n") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	}
}

// TestCaptures keeps what passed each device; a decoder that is not ours finds
// both sessions of the pseudowire on the underlay, and pings outside of it.
func TestCaptures(t *testing.T) {
	t.Parallel()
	s := start(t, mapSession, "-c", "-t", "ipv6", "-e", "udp", "-f", overlays+"/both.conf")
	code, out := s.end(time.Minute)
	first, _, _ := strings.Cut(out, "\n")
	s.captures = strings.TrimPrefix(first, "captures: ")
	if code != 0 || filepath.Dir(s.captures) != s.tmp {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	for _, place := range []string{"ns1-ul0", "ns2-ul0"} {
		rows, err := lab.Tshark(t.Context(), filepath.Join(s.captures, "ipv6-udp-"+place+".pcap"), "l2tp", lab.L2TPOptions(0, true), "l2tp.sid", "icmp.type", "icmpv6.type")
		if err != nil {
			t.Fatal(err)
		}
		inner := map[string]int{}
		for _, row := range rows {
			inner[row[0]+" "+row[1]+row[2]]++
		}
		// Sessions 1012 and 1021, two sizes of three requests and answers each way.
		for _, what := range []string{"0x000003f4 8", "0x000003fd 8", "0x000003f4 128", "0x000003fd 128"} {
			if inner[what] != 6 {
				t.Errorf("%s: %d echo requests of session and type %s, want 6; there are %v", place, inner[what], what, inner)
			}
		}
	}
	for _, place := range []string{"ns0-eth0", "ns3-eth0"} {
		rows, err := lab.Tshark(t.Context(), filepath.Join(s.captures, "ipv6-udp-"+place+".pcap"), "icmp.type == 8 && !l2tp", nil, "ip.src")
		if err != nil || len(rows) != 12 {
			t.Errorf("%s: %d echo requests, error %v", place, len(rows), err)
		}
	}
}

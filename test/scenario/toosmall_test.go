package scenario

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// smallTransfer is how many bytes each TCP transfer moves over an underlay that
// is too small.
const smallTransfer = 5_000_000

// policyCase is what customers see of an underlay that is too small.
type policyCase struct {
	name string
	mtu  int // of the circuits; the underlay has 1500
	keys lab.Keys
	// crosses says that the largest packet of the circuit crosses, told that its
	// sender learns what does.
	crosses, told bool
	// fragments says that TCP is sent in fragments.
	fragments bool
}

// TestUnderlayTooSmall joins customers by an underlay that cannot carry their
// full frames, by every policy. TCP has to work by all of them, in both
// directions and both families.
func TestUnderlayTooSmall(t *testing.T) {
	tests := []policyCase{
		{"fragment", 1500, lab.Keys{"too_big": "fragment"}, true, false, true},
		{"fragment, jumbo frames", 9000, lab.Keys{"too_big": "fragment"}, true, false, true},
		{"fragment, with clamp", 1500, lab.Keys{"too_big": "fragment", "mss_clamp": true}, true, false, false},
		{"drop, with clamp", 1500, lab.Keys{"too_big": "drop", "mss_clamp": true}, false, false, false},
		{"answer", 1500, lab.Keys{"too_big": "answer"}, false, true, false},
		{"answer, jumbo frames", 9000, lab.Keys{"too_big": "answer"}, false, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wires := encapsulations(0)
			for i := range wires {
				wires[i].static, wires[i].cookie = true, 8
			}
			p := newPair(t, lab.Options{Circuits: len(wires), CircuitMTU: tt.mtu, UnderlayMTU: 1500}, wires, nil)
			p.configure(func(_ int, c *lab.Config) {
				c.Dataplane = &lab.Dataplane{More: lab.Keys{"slow_path_rate": 100_000}}
				for i := range c.Pseudowires {
					c.Pseudowires[i].More = tt.keys
				}
			}).launch()
			for _, w := range wires {
				t.Run(w.String(), func(t *testing.T) { p.tooSmall(t, w, tt) })
			}
		})
	}
}

func (p *pair) tooSmall(t *testing.T, w wire, tt policyCase) {
	max := p.awaitFit(1, w, 1500).MaxPayload
	p.awaitFit(2, w, 1500)
	for _, to := range []netip.Addr{lab.Host4(2, w.number), lab.Host6(2, w.number)} {
		p.awaitReachOf(t, to)
		header := 28 // IPv4 and ICMP
		if to.Is6() {
			header = 48
		}
		out, err := p.CE1.Try("ping", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "2", "-s", strconv.Itoa(tt.mtu-header), to.String())
		if (err == nil) != tt.crosses {
			t.Errorf("ping of %d bytes to %v: %v\n%s", tt.mtu, to, err, out)
		}
		if told := strings.Contains(out, fmt.Sprintf("mtu = %d", max)) || strings.Contains(out, fmt.Sprintf("mtu=%d", max)) ||
			strings.Contains(out, fmt.Sprintf("mtu: %d", max)); told != tt.told {
			t.Errorf("told of %d by the ping to %v: %v\n%s", max, to, told, out)
		}
	}
	before := p.fragmented(w)
	for _, side := range []int{1, 2} {
		from, _ := p.Side(side)
		far, _ := p.Side(3 - side)
		for _, to := range []netip.Addr{lab.Host4(3-side, w.number), lab.Host6(3-side, w.number)} {
			if _, err := p.Transfer(from, far, to, smallTransfer, time.Minute); err != nil {
				t.Errorf("TCP to %v: %v", to, err)
			}
		}
	}
	if n := p.fragmented(w) - before; (n > 0) != tt.fragments {
		t.Errorf("%d frames were sent in fragments", n)
	}
}

// awaitReachOf waits until CE1 reaches an address with a small packet.
func (p *pair) awaitReachOf(t *testing.T, to netip.Addr) {
	t.Helper()
	if err := p.CE1.Ping(to, 56, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

// fragmented counts the frames that both sides have sent in fragments.
func (p *pair) fragmented(w wire) uint64 {
	p.t.Helper()
	var sum uint64
	for side := 1; side <= 2; side++ {
		sum += p.counters(side)[w.name()].Fragmented
	}
	return sum
}

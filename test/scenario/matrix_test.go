package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// matrix lists the four encapsulations with every cookie size, without and with
// the default sublayer.
func matrix() []wire {
	var wires []wire
	for _, sublayer := range []bool{false, true} {
		for _, cookie := range []int{0, 4, 8} {
			for _, w := range encapsulations(len(wires)) {
				w.cookie, w.sublayer = cookie, sublayer
				wires = append(wires, w)
			}
		}
	}
	return wires
}

// tagged is the circuits' MTU that lets a 1500-byte payload with two tags
// through.
const tagged = lab.DefaultMTU + 8

// TestStaticMatrix joins two PEs by static pseudowires of every kind, without
// any BGP, and sends every shape of frame over each, by both ways of attaching
// the programs.
func TestStaticMatrix(t *testing.T) {
	for _, attach := range []string{"tcx", "clsact"} {
		t.Run(attach, func(t *testing.T) {
			wires := matrix()
			for i := range wires {
				wires[i].static = true
			}
			p := newPair(t, lab.Options{Circuits: len(wires), CircuitMTU: tagged}, wires, nil)
			p.configure(func(_ int, c *lab.Config) { c.Dataplane = &lab.Dataplane{Attach: attach} }).launch()
			p.attachedBy(attach)
			capture := p.P.Capture("pe1", filter)
			for _, w := range wires {
				t.Run(w.String(), func(t *testing.T) {
					p.pings(w)
					p.cross(t, w)
				})
			}
			t.Run("underlay", func(t *testing.T) { p.allRight(t, capture, wires, wire.tunnel) })
		})
	}
}

// attachedBy checks that the programs hang where they were asked to.
func (p *pair) attachedBy(attach string) {
	p.t.Helper()
	for _, dev := range []string{lab.Circuit(0), lab.Uplink} {
		byTCX, qdiscs := p.PE1.TCX(dev), p.PE1.Run("tc", "filter", "show", "dev", dev, "ingress")
		if attach == "tcx" && (byTCX != 1 || strings.Contains(qdiscs, "bpf")) ||
			attach == "clsact" && (byTCX != 0 || !strings.Contains(qdiscs, "bpf")) {
			p.t.Errorf("%s: %d TCX programs, filters %q; want attachment by %s", dev, byTCX, qdiscs, attach)
		}
	}
}

// allRight checks every packet of a capture of wires by our own reading of the
// RFCs, and by tshark's. tunnel says what the packets of a side must be.
func (p *pair) allRight(t *testing.T, capture *lab.Capture, wires []wire, tunnel func(w wire, side int) lab.Tunnel) {
	// Pings and every shape, each way; the last packet may still be under way
	// to the file.
	enough := len(shapes) + 2
	if err := capture.Await(5*time.Second, len(wires)*2*enough); err != nil {
		t.Fatal(err)
	}
	if missed := capture.Stop(); missed != 0 {
		t.Errorf("the capture missed %d packets", missed)
	}
	var tunnels []lab.Tunnel
	for _, w := range wires {
		tunnels = append(tunnels, superOf(tunnel(w, 1)), superOf(tunnel(w, 2)))
	}
	tally, err := lab.CheckWire(capture, tunnels...)
	if err != nil {
		t.Error(err)
	}
	for _, want := range tunnels {
		if n := tally.Sessions[lab.Key{Destination: want.Destination, Session: want.Session}]; n < enough {
			t.Errorf("only %d packets of session %d", n, want.Session)
		}
	}
	for _, layout := range layouts(wires) {
		p.tsharkAgrees(t, layout, capture, tunnel)
	}
}

// superOf is a tunnel whose packets may still await their UDP checksum, as a
// veth with offloads lets them.
func superOf(t lab.Tunnel) lab.Tunnel {
	t.Super = true
	return t
}

// layouts groups wires by what tshark must be told of them.
func layouts(wires []wire) map[string][]wire {
	groups := map[string][]wire{}
	for _, w := range wires {
		name := fmt.Sprintf("cookie %d, sublayer %v", w.cookie, w.sublayer)
		groups[name] = append(groups[name], w)
	}
	return groups
}

// tsharkAgrees compares what tshark decodes of the packets of wires of one
// layout with what the configuration says: cookie by session, and the customer's
// Ethernet header behind them.
func (p *pair) tsharkAgrees(t *testing.T, wires []wire, capture *lab.Capture, tunnel func(w wire, side int) lab.Tunnel) {
	t.Helper()
	rows, err := lab.Tshark(t.Context(), capture.Path, "l2tp", lab.L2TPOptions(wires[0].cookie, wires[0].sublayer),
		"l2tp.sid", "l2tp.cookie", "eth.src")
	if err != nil {
		t.Fatal(err)
	}
	bySession := map[string][][]string{}
	for _, row := range rows {
		bySession[row[0]] = append(bySession[row[0]], row)
	}
	for _, w := range wires {
		for side := 1; side <= 2; side++ {
			want, frames := tunnel(w, side), 0
			for _, row := range bySession[fmt.Sprintf("0x%08x", want.Session)] {
				if row[1] != want.Cookie {
					t.Errorf("%v: tshark reads cookie %q, want %q", w, row[1], want.Cookie)
				}
				if strings.Contains(row[2], fmt.Sprintf(",02:%02x:00:00:", side)) {
					frames++
				}
			}
			if frames != len(shapes) {
				t.Errorf("%v: tshark reads %d of the %d frames that CE%d sent", w, frames, len(shapes), side)
			}
		}
	}
}

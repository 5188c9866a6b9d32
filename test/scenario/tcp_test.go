package scenario

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"longwire/test/lab"
)

// transferSize is how many bytes each TCP transfer moves.
const transferSize = 200_000_000

// Buffers, in KiB, in which tcpdump keeps every packet of a transfer, whether
// they are single packets or super-frames.
var (
	cutBuffer   = []string{"-s", "2048", "-B", "600000"}
	superBuffer = []string{"-s", "70000", "-B", "600000"}
)

// TestTCP moves 200 MB by TCP over each encapsulation, with the underlay's
// offloads as the kernel sets them and with segmentation left to the software of
// the PE or of a router, and checks every packet on the underlay meanwhile.
func TestTCP(t *testing.T) {
	tests := []struct {
		name    string
		options lab.Options
		// routerOff leaves the cutting to the router: its port towards PE2
		// takes no super-frames.
		routerOff bool
	}{
		{name: "default offloads"},
		{name: "underlay without offloads", options: lab.Options{NoUnderlayOffloads: true}},
		{name: "router without offloads", routerOff: true},
		{name: "circuits without offloads", options: lab.Options{NoCircuitOffloads: true}},
		{name: "no offloads at all", options: lab.Options{NoUnderlayOffloads: true, NoCircuitOffloads: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wires := encapsulations(0)
			for i := range wires {
				wires[i].static, wires[i].cookie = true, 8
			}
			tt.options.Circuits = len(wires)
			p := newPair(t, tt.options, wires, nil).launch()
			if tt.routerOff {
				p.P.Offloads("pe2", false)
			}
			m := media{
				finalThere: tt.routerOff || tt.options.NoUnderlayOffloads || tt.options.NoCircuitOffloads,
				finalBack:  tt.options.NoUnderlayOffloads || tt.options.NoCircuitOffloads,
			}
			for _, w := range wires {
				t.Run(w.String(), func(t *testing.T) { p.transfer(t, w, m) })
			}
		})
	}
}

// media says whether packets are cut and have their checksums where they are
// captured, which is PE2's uplink, by direction.
type media struct{ finalThere, finalBack bool }

// transfer moves the bytes over a wire, by IPv4 if the outer header is IPv6 and
// the other way round, and checks the packets where they reach PE2.
func (p *pair) transfer(t *testing.T, w wire, m media) {
	to := lab.Host4(2, w.number)
	if !w.v6 {
		to = lab.Host6(2, w.number)
	}
	p.awaitReach(t, to)
	// Over IP protocol 115 frames are cut before they are encapsulated, whatever
	// the underlay can do.
	whole := !m.finalThere && w.udp
	buffer := cutBuffer
	if whole {
		buffer = superBuffer
	}
	capture := p.PE2.Capture(lab.Uplink, filter, buffer...)
	took, err := p.Transfer(p.CE1, p.CE2, to, transferSize, time.Minute)
	if err != nil {
		t.Error(err)
	} else {
		t.Logf("%d MB in %v, %.1f Gb/s", transferSize/1_000_000, took.Round(time.Millisecond),
			float64(transferSize)*8/took.Seconds()/1e9)
	}
	if missed := capture.Stop(); missed != 0 {
		t.Errorf("the capture missed %d packets", missed)
	}
	there, back := w.tunnel(1), w.tunnel(2)
	there.Super, back.Super = !m.finalThere, !m.finalBack
	tally, err := lab.CheckWire(capture, there, back)
	if err != nil {
		t.Error(err)
	}
	if tally.Bytes < transferSize {
		t.Errorf("%d bytes in %d packets on the underlay, more than %d expected", tally.Bytes, tally.Packets, transferSize)
	}
	const wireMTU = lab.UnderlayMTU + 14
	if !whole && tally.Largest > wireMTU {
		t.Errorf("a packet of %d bytes where none may exceed %d: it was not cut", tally.Largest, wireMTU)
	}
	if whole && tally.Largest <= wireMTU {
		t.Errorf("no packet longer than %d bytes: super-frames were cut for nothing", tally.Largest)
	}
	if err := os.Remove(capture.Path); err != nil {
		t.Error(err)
	}
}

// awaitReach waits until CE1 reaches an address, so that a transfer measures no
// neighbour resolution.
func (p *pair) awaitReach(t *testing.T, to netip.Addr) {
	t.Helper()
	if err := p.CE1.Ping(to, 1400, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

package faults

import (
	"testing"

	"longwire/test/lab"
)

// Links of the tests with large frames, in bytes of Ethernet payload.
const (
	jumboMTU         = 9000
	jumboCircuitMTU  = jumboMTU + 12 // three tags
	jumboUnderlayMTU = 9216
)

// TestJumbo sends 9000-byte frames, tagged and not, and moves bytes by TCP in
// such frames, over an underlay that carries them.
func TestJumbo(t *testing.T) {
	for _, d := range devices() {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			o := d.options()
			o.CircuitMTU, o.UnderlayMTU = jumboCircuitMTU, jumboUnderlayMTU
			w := newWorld(t, d, o)
			t.Run("frames", func(t *testing.T) { jumboFrames(t, w) })
			t.Run("TCP", func(t *testing.T) { exchange{size: 4 << 20, leased: []bool{false, true}}.run(t, w) })
		})
	}
}

func jumboFrames(t *testing.T, w *world) {
	capture, seen := w.P.Capture("pe2", pcap), w.watch(t)
	sent := map[lab.Key]int{}
	for side := 1; side <= 2; side++ {
		for _, p := range pseudowires {
			t.Run(p.String(), func(t *testing.T) {
				var large [][]byte
				for number, tags := range [][]lab.Tag{nil, {dot1q(1)}, {dot1ad(2), dot1q(1)}, {dot1ad(3), dot1q(2), dot1q(1)}} {
					for i, size := range []int{1501, 4096, 8999, jumboMTU} {
						s := shape{destination: unicast, tags: tags, etherType: 0x0800, payload: lab.Pattern(uint32(size), size)}
						large = append(large, s.frame([6]byte{2, byte(side), 9, byte(p.number), byte(number), byte(i)}))
					}
				}
				w.warm(t, seen, side, p)
				w.cross(t, seen, side, p, large)
				tunnel := p.tunnel(side)
				sent[lab.Key{Destination: tunnel.Destination, Session: tunnel.Session}] = len(large) + 1
			})
		}
	}
	w.wantWire(t, capture, sent)
}

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

// jumbo sends 9000-byte frames, tagged and not, and moves bytes by TCP in such
// frames, over an underlay that carries them.
func jumbo(t *testing.T, w *world) {
	w.resize(jumboCircuitMTU, jumboUnderlayMTU)
	defer w.resize(circuitMTU, lab.UnderlayMTU)
	t.Run("frames", func(t *testing.T) { jumboFrames(t, w) })
	t.Run("TCP", func(t *testing.T) { exchange{size: 4 << 20, leased: []bool{true}}.run(t, w) })
}

// resize sets the MTUs of all links, in bytes of Ethernet payload.
func (w *world) resize(circuits, underlay int) {
	w.mtu = underlay
	for side := 1; side <= 2; side++ {
		ce, pe := w.Side(side)
		pe.MTU(lab.Uplink, underlay)
		w.P.MTU(pe.Role, underlay)
		for _, p := range pseudowires {
			ce.MTU(lab.HostPort(p.number), circuits)
			pe.MTU(lab.Circuit(p.number), circuits)
		}
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

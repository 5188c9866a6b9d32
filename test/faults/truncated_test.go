package faults

import (
	"testing"

	"longwire/dataplane"
	"longwire/test/lab"
)

// cut is a way to make a packet shorter.
type cut struct {
	name string
	// of returns what is left of a packet at every length that the way knows,
	// whether PE 1 counts it as malformed, under the pseudowire where the session
	// id is whole, and the frame that it delivers if it may.
	of func(t *testing.T, tunnel lab.Tunnel, frame []byte) []piece
}

type piece struct {
	packet    []byte
	malformed bool
	nobodys   bool // it ends before the session id
	delivered []byte
}

// sessionEnd is the offset behind the session id in a packet of the tunnel.
func sessionEnd(t lab.Tunnel) int {
	if t.UDP {
		return t.TransportAt() + 8 + 8
	}
	return t.TransportAt() + 4
}

var cuts = []cut{
	// The wire lost the end: all lengths lie.
	{"on the wire", func(t *testing.T, tunnel lab.Tunnel, frame []byte) (pieces []piece) {
		whole := wrap(t, tunnel, append(tunnel.Header(), frame...))
		for n := 14; n < len(whole); n++ {
			pieces = append(pieces, piece{packet: whole[:n], malformed: n >= tunnel.TransportAt(), nobodys: n < sessionEnd(tunnel)})
		}
		return pieces
	}},
	// The sender said too little: all lengths are right.
	{"by the sender", func(t *testing.T, tunnel lab.Tunnel, frame []byte) (pieces []piece) {
		header := tunnel.Header()
		payload := append(header, frame...)
		for n := range len(header) + 14 {
			packet := wrap(t, tunnel, payload[:n])
			pieces = append(pieces, piece{packet: packet, malformed: true, nobodys: len(packet) < sessionEnd(tunnel)})
		}
		return pieces
	}},
	// The IP header says less than there is: the rest is padding, which may look
	// like the end of a packet as much as it likes.
	{"by the IP length", func(t *testing.T, tunnel lab.Tunnel, frame []byte) (pieces []piece) {
		whole := wrap(t, tunnel, append(tunnel.Header(), frame...))
		for n := tunnel.TransportAt(); n < len(whole); n++ {
			short := append([]byte(nil), whole...)
			tunnel.SetIPLength(short, n-14)
			p := piece{packet: short, malformed: true}
			// Over UDP the two lengths contradict each other.
			if left := n - (len(whole) - len(frame)); !tunnel.UDP && left >= 14 {
				p.malformed, p.delivered = false, frame[:left]
			}
			pieces = append(pieces, p)
		}
		return pieces
	}},
}

func wrap(t *testing.T, tunnel lab.Tunnel, payload []byte) []byte {
	t.Helper()
	packet, err := tunnel.Wrap(payload)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// truncated sends a packet cut at every length, and a whole one behind them. What
// arrives is what the lengths allow, and every packet whose session is known is
// counted.
func truncated(t *testing.T, w *world) {
	seen := w.watch(t)
	for number, c := range cuts {
		for _, p := range pseudowires {
			t.Run(c.name+"/"+p.String(), func(t *testing.T) {
				pieces := c.of(t, p.tunnel(2), innerFrame(2000+number, 60))
				before := w.count(t, 1)
				seen.reset()
				var arriving [][]byte
				want := totals{}
				for _, piece := range pieces {
					w.inject(t, piece.packet)
					switch {
					case piece.malformed && piece.nobodys:
						want.drop("", dataplane.DropMalformed, 1)
					case piece.malformed:
						want.drop(p.String(), dataplane.DropMalformed, 1)
					}
					if piece.delivered != nil {
						arriving = append(arriving, piece.delivered)
					}
				}
				whole := innerFrame(2100+number, 60)
				w.deliver(t, p, whole)
				arriving = append(arriving, whole)
				seen.wants(t, 1, p, arriving...)
				want.delivered(p.String(), arriving...)
				w.wantCounted(t, 1, before, want)
			})
		}
	}
}

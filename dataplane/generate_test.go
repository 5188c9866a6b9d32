package dataplane_test

import (
	"fmt"
	"net/netip"

	"pgregory.net/rapid"

	"longwire/dataplane"
)

// The generators draw from few values, so that two states overlap in part.

func drawReceive(t *rapid.T, id dataplane.SessionID, pseudowire string, circuit int) dataplane.Receive {
	return dataplane.Receive{
		Session:    id,
		Pseudowire: pseudowire,
		Circuit:    circuit,
		Local:      netip.MustParseAddr("192.0.2.1"),
		Remote:     drawRemote(t),
		AcceptIP:   rapid.Bool().Draw(t, "accept ip"),
	}
}

func drawTransmit(t *rapid.T, pseudowire string, circuit int) dataplane.Transmit {
	return dataplane.Transmit{
		Circuit:    dataplane.Port(circuit),
		Pseudowire: pseudowire,
		Session:    dataplane.SessionID(rapid.Uint32Range(1, 3).Draw(t, "far session")),
		Local:      netip.MustParseAddr("192.0.2.1"),
		Remote:     drawRemote(t),
	}
}

func drawRemote(t *rapid.T) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, rapid.ByteRange(2, 4).Draw(t, "remote")})
}

// drawState draws a state as a plan makes it: pseudowire n has circuit n, up to
// two receive sessions of its own, and a transmit only with a receive.
func drawState(t *rapid.T) dataplane.State {
	s := dataplane.State{
		Receive:  map[dataplane.SessionID]dataplane.Receive{},
		Transmit: map[dataplane.Circuit]dataplane.Transmit{},
	}
	for n := 1; n <= rapid.IntRange(0, 5).Draw(t, "pseudowires"); n++ {
		circuit := n
		pseudowire := drawName(t)
		for k := range rapid.IntRange(0, 2).Draw(t, "sessions") {
			id := dataplane.SessionID(100*n + k)
			s.Receive[id] = drawReceive(t, id, pseudowire, circuit)
			if rapid.Bool().Draw(t, "transmits") {
				s.Transmit[dataplane.Port(circuit)] = drawTransmit(t, pseudowire, circuit)
			}
		}
	}
	return s
}

// drawKernelState draws what may be found in the kernel: anything.
func drawKernelState(t *rapid.T) dataplane.State {
	s := dataplane.State{
		Receive:  map[dataplane.SessionID]dataplane.Receive{},
		Transmit: map[dataplane.Circuit]dataplane.Transmit{},
	}
	for range rapid.IntRange(0, 8).Draw(t, "entries") {
		circuit := rapid.IntRange(1, 6).Draw(t, "circuit")
		if rapid.Bool().Draw(t, "receive") {
			id := dataplane.SessionID(100*rapid.IntRange(1, 6).Draw(t, "id") + rapid.IntRange(0, 1).Draw(t, "k"))
			s.Receive[id] = drawReceive(t, id, drawName(t), circuit)
		} else {
			s.Transmit[dataplane.Port(circuit)] = drawTransmit(t, drawName(t), circuit)
		}
	}
	return s
}

func drawName(t *rapid.T) string {
	return fmt.Sprintf("pw%d", rapid.IntRange(1, 5).Draw(t, "pseudowire"))
}

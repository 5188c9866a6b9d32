package scenario

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestFiftyPseudowires joins two PEs by fifty signalled pseudowires and shows
// that each carries its own traffic and no other's.
func TestFiftyPseudowires(t *testing.T) {
	t.Parallel()
	recordOutside(t, "fifty pseudowires, each with its own traffic")
	record(t, "fifty pseudowires")
	const count = 50
	var wires []wire
	for i := range count {
		w := encapsulations(i)[i%4]
		w.number, w.signalled, w.cookie = i, true, []int{0, 4, 8}[i%3]
		wires = append(wires, w)
	}
	p := newPair(t, lab.Options{Circuits: count}, wires, byReflector)
	p.reflect()
	p.launch()
	sessions := map[uint32]string{}
	for name, row := range p.mustRead(1) {
		if other, taken := sessions[row.LocalSession]; taken || row.LocalSession == 0 {
			t.Errorf("%s and %s have session %d", name, other, row.LocalSession)
		}
		sessions[row.LocalSession] = name
	}
	p.eachItsOwn(t, wires, p.CE1, p.CE2)
	p.eachItsOwn(t, wires, p.CE2, p.CE1)
}

// eachItsOwn sends one marked broadcast over every wire and looks at all far
// ends for strays.
func (p *pair) eachItsOwn(t *testing.T, wires []wire, from, to *lab.Namespace) {
	t.Helper()
	mark := func(w wire) []byte {
		return lab.Frame{Destination: lab.Broadcast, Source: [6]byte{2, from.Role[2], 0, 0, 0, byte(w.number)},
			EtherType: lab.EtherTypeTest, Payload: lab.Pattern(uint32(w.number)+1000, 400)}.Bytes()
	}
	far := make([]*lab.Sniffer, len(wires))
	for i, w := range wires {
		far[i] = to.Sniff(lab.HostPort(w.number))
	}
	for _, w := range wires {
		if err := from.Port(lab.HostPort(w.number)).Send(mark(w)); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range wires {
		if _, err := far[i].Await(5*time.Second, func(f []byte) bool { return bytes.Equal(f, mark(w)) }); err != nil {
			t.Errorf("%s from %s: %v", w.name(), from.Role, err)
		}
	}
	// All have arrived, so strays would have as well.
	for i, w := range wires {
		if err := onlyItsOwn(far[i].Frames(), mark(w)); err != nil {
			t.Errorf("%s from %s: %v", w.name(), from.Role, err)
		}
	}
}

// onlyItsOwn counts the marked frames of a far end: one, and nobody else's.
func onlyItsOwn(frames [][]byte, own []byte) error {
	count := 0
	for _, f := range frames {
		if len(f) < 14 || !bytes.Equal(f[12:14], own[12:14]) {
			continue // what the hosts' own stacks say to each other
		}
		if !bytes.Equal(f, own) {
			return fmt.Errorf("a stray frame from %x", f[6:12])
		}
		count++
	}
	if count != 1 {
		return fmt.Errorf("its frame arrived %d times", count)
	}
	return nil
}

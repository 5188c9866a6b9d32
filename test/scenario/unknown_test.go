package scenario

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestUnknownSession sends a session id that nobody has to our address. Both
// policies count it; by the one, another user of L2TP on the host gets it, by the
// other not, changed by a reload.
func TestUnknownSession(t *testing.T) {
	t.Parallel()
	w := wire{static: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, nil).launch()
	packet, err := p.craft(2, 4_000_000_000, "0102030405060708")
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	control, err := p.craft(2, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	user, err := p.listenRaw(1)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()

	if !p.sees(t, packet, user) || !p.sees(t, control, user) {
		t.Error("by unknown_session: pass the host does not get the packet")
	}
	p.config[1].Dataplane = &lab.Dataplane{More: lab.Keys{"unknown_session": "drop"}}
	p.agents[1].Configure(p.config[1])
	if err := p.agents[1].Reload(); err != nil {
		t.Fatal(err)
	}
	if p.sees(t, packet, user) {
		t.Error("by unknown_session: drop the host gets the packet")
	}
	if !p.sees(t, control, user) {
		t.Error("by unknown_session: drop the host does not get control messages")
	}
	p.pings(w)
}

// sees sends a packet until PE1 has counted it, and says whether a user of L2TP
// on PE1 got it.
func (p *pair) sees(t *testing.T, packet *crafted, user net.PacketConn) bool {
	t.Helper()
	before := p.counters(1)[""].Drops
	p.Poll(5*time.Second, "the packet is counted", func() error {
		if err := packet.Send(); err != nil {
			return err
		}
		now := p.counters(1)[""].Drops
		if now["unknown_session"]+now["control_message"] == before["unknown_session"]+before["control_message"] {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	// What the host gets is there by now: the programs count it on its way.
	seen, buf := false, make([]byte, 2048)
	for {
		if err := user.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, _, err := user.ReadFrom(buf)
		if err != nil {
			return seen
		}
		seen = seen || bytes.Equal(buf[:n], packet.payload)
	}
}

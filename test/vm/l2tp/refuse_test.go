package l2tp

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"longwire/test/lab"
)

// marks tells the test frames of a process apart.
var marks atomic.Uint32

// testFrame is a broadcast frame that is like no other.
func testFrame() []byte {
	return lab.Frame{Destination: lab.Broadcast, Source: [6]byte{2, 0, 0, 0, 0, 9}, EtherType: lab.EtherTypeTest,
		Payload: lab.Pattern(marks.Add(1), 64)}.Bytes()
}

// refuses checks that each end refuses what has the wrong cookie, or where there
// is no cookie the wrong session id, silently but for its counters.
func (w *world) refuses(t *testing.T, c combination) {
	t.Run("by longwire", func(t *testing.T) { w.longwireRefuses(t, c) })
	t.Run("by the kernel", func(t *testing.T) { w.kernelRefuses(t, c) })
}

// longwireRefuses has the kernel send a frame from a session with the wrong
// cookie, and one from the right session. Only that arrives.
func (w *world) longwireRefuses(t *testing.T, c combination) {
	name, reason := c.name(), "wrong_cookie"
	if c.cookie == 0 {
		name, reason = "", "unknown_session"
	}
	before := w.mustCount(t, name).Drops[reason]
	arriving := w.ce.Sniff(lab.HostPort(c.number))
	wrong, right := testFrame(), testFrame()
	for _, f := range []struct {
		device string
		frame  []byte
	}{{c.stranger(), wrong}, {c.device(), right}} {
		if err := w.peerSays(http.MethodPost, "/send?device="+f.device, f.frame, nil); err != nil {
			t.Fatal(err)
		}
	}
	same := func(frame []byte) func([]byte) bool {
		return func(got []byte) bool { return bytes.Equal(got, frame) }
	}
	if _, err := arriving.Await(patience, same(right)); err != nil {
		t.Errorf("the right frame: %v", err)
	}
	// The packets of the two came in order, by one queue.
	if _, err := arriving.Await(0, same(wrong)); err == nil {
		t.Error("the frame with the wrong cookie, or session id, was delivered")
	}
	if n := w.mustCount(t, name).Drops[reason] - before; n != 1 {
		t.Errorf("%d packets were counted under %s, want 1", n, reason)
	}
}

// kernelRefuses sends a packet with the wrong cookie to the kernel, and a right
// one. Only the frame of that arrives.
func (w *world) kernelRefuses(t *testing.T, c combination) {
	tunnel := c.tunnel(ours)
	if c.cookie == 0 {
		tunnel.Session = c.wrongSession(theirs)
	} else {
		tunnel.Cookie = c.wrongCookie(theirs)
	}
	before := w.discards(t, c)
	if seen := w.inject(t, c, tunnel); seen != "" {
		t.Errorf("the frame with the wrong cookie, or session id, came in by %s", seen)
	}
	// A session id that is nobody's is counted nowhere.
	want := uint64(choose(c.cookie == 0, 0, 1))
	if n := w.discards(t, c) - before; n != want {
		t.Errorf("the kernel counts %d discarded packets, want %d", n, want)
	}
}

// guestMAC is the address of the guest's first card.
var guestMAC = []byte{0x02, 0x76, 0x6d, 0, 0, 1}

// inject sends a packet that a tunnel describes to the guest, and after it the
// right one of a pseudowire without numbers. It returns the device that the frame
// of the first came in by, "" for none, when that of the second is there. change,
// if there is one, changes the first packet.
func (w *world) inject(t *testing.T, c combination, tunnel lab.Tunnel, change ...func(packet []byte)) string {
	t.Helper()
	frame, right, sure := testFrame(), testFrame(), choose(c.kind == ordinary, c, w.all[0])
	for _, p := range []struct {
		tunnel lab.Tunnel
		frame  []byte
		change []func([]byte)
	}{{tunnel, frame, change}, {sure.tunnel(ours), right, nil}} {
		packet, err := p.tunnel.Packet(p.frame)
		if err != nil {
			t.Fatal(err)
		}
		copy(packet, guestMAC)
		copy(packet[6:], w.pe.MAC(lab.Uplink))
		for _, change := range p.change {
			change(packet)
		}
		if err := w.port.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	var seen map[string]string
	w.lab.Poll(patience, fmt.Sprintf("%v: a frame in the guest", c), func() (err error) {
		if seen, err = w.seen(); err == nil && seen[string(right)] != sure.device() {
			err = fmt.Errorf("the right frame came in by %q", seen[string(right)])
		}
		return err
	})
	return seen[string(frame)]
}

// seen returns the devices by which test frames came in, by frame.
func (w *world) seen() (map[string]string, error) {
	var frames []struct {
		Device string `json:"device"`
		Frame  []byte `json:"frame"`
	}
	if err := w.peerSays(http.MethodGet, "/seen", nil, &frames); err != nil {
		return nil, err
	}
	devices := map[string]string{}
	for _, f := range frames {
		devices[string(f.Frame)] = f.Device
	}
	return devices, nil
}

// discards is how many packets the kernel refused of a session because of their
// cookie.
func (w *world) discards(t *testing.T, c combination) uint64 {
	t.Helper()
	var sessions []struct {
		ID       uint32 `json:"id"`
		Discards uint64 `json:"cookie_discards"`
	}
	if err := w.peerSays(http.MethodGet, "/sessions", nil, &sessions); err != nil {
		t.Fatal(err)
	}
	for _, s := range sessions {
		if s.ID == c.session(theirs) {
			return s.Discards
		}
	}
	t.Fatalf("the kernel has no session %d", c.session(theirs))
	return 0
}

package slowpath_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/slowpath"
)

// The shapes of headers that eBPF leaves to the stack.
var (
	recordRoute = shape{options: []byte{7, 7, 4, 0, 0, 0, 0, 0}, class: 0x02}
	longOptions = shape{options: append([]byte{7, 39, 4}, make([]byte, 37)...), class: 0xb8}
	// Hop-by-hop options header with a PadN option (RFC 8200 section 4.3).
	hopByHop = shape{first: 0, extensions: []byte{0, 0, 1, 4, 0, 0, 0, 0}, flow: 0x12345, class: 0x03}
	// Destination options header of 16 bytes with an option to be skipped if
	// unknown (sections 4.2 and 4.6).
	destination = shape{first: 60, extensions: append([]byte{0, 1, 0x1e, 12}, make([]byte, 12)...), class: 0x01}
	// One behind the other.
	both = shape{first: 0, lastNext: 8, extensions: []byte{60, 0, 1, 4, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0}}
)

// TestDelivers sends what eBPF cannot read over every carrier. What decapsulation
// gets is the plain packet, and the customer gets the frame.
func TestDelivers(t *testing.T) {
	tests := []struct {
		name string
		size int // of the inner payload, bytes
		v4   bool
		v6   bool
		cut  func(c carrier, id uint32, body []byte) (packets [][]byte, class byte)
	}{
		{"fragments in order", 1500, true, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			return c.fragments(shape{id: id, class: 0xba}, body, 1200), 0xba
		}},
		{"fragments backwards", 1500, true, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			f := c.fragments(shape{id: id}, body, 496)
			slices.Reverse(f)
			return f, 0
		}},
		{"a fragment twice", 1500, true, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			f := c.fragments(shape{id: id}, body, 1000)
			return append(f[:1:1], f...), 0
		}},
		{"headers in the first fragment, frame in the others", 300, true, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			return c.fragments(shape{id: id}, body, 16), 0
		}},
		{"9000 bytes", 9000, true, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			return c.fragments(shape{id: id}, body, 1448), 0
		}},
		{"record route", 700, true, false, func(c carrier, _ uint32, body []byte) ([][]byte, byte) {
			return [][]byte{c.packet(recordRoute, body)}, 0x02
		}},
		{"40 bytes of options", 701, true, false, func(c carrier, _ uint32, body []byte) ([][]byte, byte) {
			return [][]byte{c.packet(longOptions, body)}, 0xb8
		}},
		{"options and fragments", 1500, true, false, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			s := recordRoute
			s.id = id
			return c.fragments(s, body, 800), 0x02
		}},
		{"hop-by-hop options", 702, false, true, func(c carrier, _ uint32, body []byte) ([][]byte, byte) {
			return [][]byte{c.packet(hopByHop, body)}, 0x03
		}},
		{"destination options", 703, false, true, func(c carrier, _ uint32, body []byte) ([][]byte, byte) {
			return [][]byte{c.packet(destination, body)}, 0x01
		}},
		{"two extension headers and fragments", 1500, false, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			s := both
			s.id = id
			return c.fragments(s, body, 600), 0
		}},
		{"an atomic fragment", 300, false, true, func(c carrier, id uint32, body []byte) ([][]byte, byte) {
			return c.fragments(shape{id: id}, body, 1400), 0 // RFC 6946
		}},
	}
	w := newWorld(t, 1000)
	seed := uint32(0)
	for _, tt := range tests {
		for _, c := range carriers {
			if c.v6 && !tt.v6 || !c.v6 && !tt.v4 {
				continue
			}
			t.Run(fmt.Sprintf("%s-%v", tt.name, c), func(t *testing.T) {
				seed++
				frame := inner(seed, tt.size)
				body := c.body(c.session(), cookie, frame)
				packets, class := tt.cut(c, w.nextID(), body)
				w.send(packets...)
				if err := w.awaitInjected(c.plain(class, body)); err != nil {
					t.Errorf("decapsulation: %v", err)
				}
				if err := w.awaitFrame(frame); err != nil {
					t.Errorf("customer: %v", err)
				}
			})
		}
	}
	want := uint64(seed)
	w.awaitCounters("all delivered", func(c slowpath.Counters) bool {
		return c == slowpath.Counters{Received: want, Delivered: want}
	})
}

// The largest packet that an IP header can tell crosses the slow path; what the
// helper pair has no room for is counted.
func TestLargestPackets(t *testing.T) {
	w := newWorld(t, 1000)
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			header := map[bool]int{false: 20, true: 40}[c.v6]
			extra := len(c.body(c.session(), cookie, nil))
			frame := inner(c.session(), 65535-header-extra-14)
			body := c.body(c.session(), cookie, frame)
			w.send(c.fragments(shape{id: w.nextID()}, body, 1448)...)
			if err := w.awaitInjected(c.plain(0, body)); err != nil {
				t.Error(err)
			}
			if err := w.awaitFrame(frame); err != nil {
				t.Errorf("customer: %v, drops %d malformed, %d no memory", err, w.dropped(c, dataplane.DropMalformed), w.dropped(c, dataplane.DropNoMemory))
			}
		})
	}
	c := carrier{v6: true}
	w.send(c.fragments(shape{id: w.nextID()}, c.body(c.session(), cookie, inner(9, 65500)), 1448)...)
	w.awaitCounters("one too big", func(c slowpath.Counters) bool {
		return c == slowpath.Counters{Received: 5, Delivered: 4, Failed: 1}
	})
}

// TestStackRefuses sends what the stack does not put together: it never comes to
// the slow path.
func TestStackRefuses(t *testing.T) {
	w := newWorld(t, 1000)
	for i, c := range carriers {
		body := c.body(c.session(), cookie, inner(100+uint32(i), 1500))
		overlap := c.fragments(shape{id: w.nextID()}, body, 800)
		between := shape{id: w.id, offset: 400, more: true, fragment: true}
		w.send(overlap[0], c.packet(between, body[400:1200]), overlap[1]) // RFC 5722
		lacking := c.fragments(shape{id: w.nextID()}, c.body(c.session(), cookie, inner(300+uint32(i), 1500)), 400)
		w.send(slices.Delete(lacking, 1, 2)...)
		if c.udp {
			body = c.body(c.session(), cookie, inner(400+uint32(i), 1500))
			body[len(body)-1] ^= 1
			w.send(c.fragments(shape{id: w.nextID()}, body, 800)...)
		}
		// The stack has seen all of those when this one is there.
		good := c.body(c.session(), cookie, inner(500+uint32(i), 1500))
		w.send(c.fragments(shape{id: w.nextID()}, good, 800)...)
		if err := w.awaitInjected(c.plain(0, good)); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	// The kernel's own count of a UDP socket has the two wrong checksums in it.
	w.awaitCounters("what was right", func(c slowpath.Counters) bool {
		return c == slowpath.Counters{Received: 4, Delivered: 4, RateLimited: 2}
	})
}

// TestFilter sends whole packets that decapsulation passes on to the stack, in
// shapes for the slow path: those of no session of ours never get to it.
func TestFilter(t *testing.T) {
	w := newWorld(t, 1000)
	for i, c := range carriers {
		s := recordRoute
		if c.v6 {
			s = hopByHop
		}
		var refused [][]byte
		refuse := func(session uint32, edit func(b []byte)) {
			body := c.body(session, cookie, inner(uint32(i), 100))
			if edit != nil {
				edit(body)
			}
			refused = append(refused, body)
		}
		refuse(c.session()+1000, nil) // a session that nobody has
		refuse(0, nil)                // a control message over IP
		if c.udp {
			zero := func(b []byte) { binary.BigEndian.PutUint16(b[6:], 0) }
			refuse(c.session(), func(b []byte) { b[8] |= 0x80; c.fix(b) }) // a control message
			refuse(c.session(), func(b []byte) { b[9] = 2; c.fix(b) })     // L2TPv2
			if c.v6 {
				refuse(c.session(), zero)
			}
		}
		for _, body := range refused {
			w.send(c.packet(s, body))
		}
		good := c.body(c.session(), cookie, inner(50+uint32(i), 100))
		w.send(c.packet(s, good))
		if err := w.awaitInjected(c.plain(s.class, good)); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	w.awaitCounters("only ours", func(c slowpath.Counters) bool { return c == slowpath.Counters{Received: 4, Delivered: 4} })
}

// Without a checksum, UDP over IPv6 passes where a session allows it.
func TestZeroChecksum(t *testing.T) {
	w := newWorld(t, 1000)
	c := carrier{v6: true, udp: true}
	body := c.body(c.session(), cookie, inner(1, 1500))
	binary.BigEndian.PutUint16(body[6:], 0)
	send := func() { w.send(c.fragments(shape{id: w.nextID()}, body, 800)...) }
	w.session(c, func(r *dataplane.Receive) { r.ZeroChecksum = true })
	send()
	if err := w.awaitInjected(c.plain(0, body)); err != nil {
		t.Error(err)
	}
	w.injected.Reset()
	w.session(c, nil)
	send()
	other := c.body(c.session(), cookie, inner(2, 1500))
	w.send(c.fragments(shape{id: w.nextID()}, other, 800)...)
	if err := w.awaitInjected(c.plain(0, other)); err != nil {
		t.Error(err)
	}
	for _, f := range w.injected.Frames() {
		if bytes.Equal(f, c.plain(0, body)) {
			t.Error("a datagram without checksum was delivered although its session does not allow it")
		}
	}
}

// What comes in by an interface that is no underlay is not delivered.
func TestForeignInterface(t *testing.T) {
	w := newWorld(t, 1000)
	port := w.router.Port("eth1")
	for i, c := range carriers {
		body := c.body(c.session(), cookie, inner(uint32(i), 1500))
		w.sendBy(port, w.pe.MAC("other"), c.fragments(shape{id: w.nextID()}, body, 800)...)
	}
	w.awaitCounters("all foreign", func(c slowpath.Counters) bool { return c == slowpath.Counters{Received: 4, Foreign: 4} })
	if err := w.sentNothing(); err != nil {
		t.Error(err)
	}
}

// A packet in fragments is judged like any other: what is not for its session is
// dropped under the reason that any packet would be.
func TestJudgedAsAnyOther(t *testing.T) {
	other := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	tests := []struct {
		name   string
		body   func(c carrier, frame []byte) []byte
		change func(*dataplane.Receive)
		want   dataplane.Drop
	}{
		{"wrong cookie", func(c carrier, f []byte) []byte { return c.body(c.session(), other, f) }, nil, dataplane.DropWrongCookie},
		{"wrong source", nil, func(r *dataplane.Receive) { r.Remote = r.Local }, dataplane.DropWrongSource},
		{"far end not known", nil, func(r *dataplane.Receive) { r.Remote = netip.Addr{} }, dataplane.DropNoRemote},
		{"wrong encapsulation", nil, func(r *dataplane.Receive) { r.AcceptIP, r.AcceptUDP = r.AcceptUDP, r.AcceptIP }, dataplane.DropWrongEncapsulation},
		{"no frame inside", func(c carrier, f []byte) []byte { return c.body(c.session(), cookie, f[:10]) }, nil, dataplane.DropMalformed},
	}
	w := newWorld(t, 1000)
	for i, tt := range tests {
		for _, c := range carriers {
			t.Run(fmt.Sprintf("%s-%v", tt.name, c), func(t *testing.T) {
				w.session(c, tt.change)
				defer w.session(c, nil)
				frame := inner(uint32(i), 1500)
				body := c.body(c.session(), cookie, frame)
				if tt.body != nil {
					body = tt.body(c, frame)
				}
				size := (len(body)/2 + 8) &^ 7
				before := w.dropped(c, tt.want)
				w.send(c.fragments(shape{id: w.nextID()}, body, size)...)
				w.lab.Poll(patience, "drop", func() error {
					if n := w.dropped(c, tt.want) - before; n != 1 {
						return fmt.Errorf("%d drops counted as %s", n, tt.want)
					}
					return nil
				})
				if slices.ContainsFunc(w.customer.Frames(), func(f []byte) bool { return bytes.Equal(f, frame) }) {
					t.Error("the customer gets it")
				}
			})
		}
	}
}

// Of a flood no more is delivered than the burst and the rate allow; what was
// left to the kernel is counted, and the slow path goes on after it.
func TestRateLimit(t *testing.T) {
	const rate, flood = 20, 6000
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			w := newWorld(t, rate)
			s := recordRoute
			if c.v6 {
				s = hopByHop
			}
			packet := c.packet(s, c.body(c.session(), cookie, inner(1, 1000)))
			begin := time.Now()
			for range flood {
				w.send(packet)
			}
			w.awaitCounters("the flood", func(c slowpath.Counters) bool { return c.Delivered >= rate && c.RateLimited > flood/2 })
			counters := w.slow.Counters()
			// One is in hand.
			if most := uint64(rate + rate*time.Since(begin).Seconds() + 1); counters.Delivered > most || counters.Received > most+1 {
				t.Errorf("%+v in %v, at most %d at a rate of %d", counters, time.Since(begin), most, rate)
			}
			if counters.RateLimited > flood {
				t.Errorf("%d of %d packets are lost", counters.RateLimited, flood)
			}
			if again := w.slow.Counters(); again.RateLimited < counters.RateLimited {
				t.Errorf("the counter goes back from %d to %d", counters.RateLimited, again.RateLimited)
			}
			w.awaitCounters("it goes on", func(c slowpath.Counters) bool { return c.Delivered > counters.Delivered })
		})
	}
}

package slowpath_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"longwire/dataplane"
	"longwire/dataplane/slowpath"
)

// unreachable says whether a frame is an ICMP error about a packet that nobody
// wanted: destination unreachable (RFC 792, RFC 4443 section 3.1), or parameter
// problem for a next header (section 3.4).
func unreachable(f []byte) bool {
	switch {
	case len(f) > 34 && f[12] == 8 && f[13] == 0 && f[23] == 1:
		return f[34] == 3
	case len(f) > 54 && f[12] == 0x86 && f[13] == 0xdd && f[20] == 58:
		return f[54] == 1 || f[54] == 4
	}
	return false
}

// TestNoUnreachable sends packets for sessions of ours and of nobody, in shapes
// that get to the stack, which answers them with ICMP unless we hold the
// endpoints.
func TestNoUnreachable(t *testing.T) {
	w := newWorld(t, 1000)
	far := w.router.Sniff("eth0")
	provoke := func() {
		for i, c := range carriers {
			for _, session := range []uint32{c.session(), 77777} {
				w.send(c.fragments(shape{id: w.nextID()}, c.body(session, cookie, inner(uint32(i), 1500)), 800)...)
			}
			w.send(c.packet(shape{}, c.body(77777, cookie, inner(uint32(i), 100))))
		}
		// The stack has seen all of those when it answers this.
		for _, to := range []string{"10.0.0.1", "fd00::1"} {
			if err := w.router.Ping(netip.MustParseAddr(to), 56, patience); err != nil {
				t.Fatal(err)
			}
		}
	}
	provoke()
	for _, f := range far.Frames() {
		if unreachable(f) {
			t.Errorf("the host answers %x", f)
		}
	}
	if errs := w.want(); len(errs) > 0 {
		t.Fatal(errs)
	}
	provoke()
	if _, err := far.Await(patience, unreachable); err != nil {
		t.Errorf("without endpoints the host does not answer either, so this shows nothing: %v", err)
	}
}

// otherSocket opens a socket in the PE as another program would.
func (w *world) otherSocket(family, kind, protocol int, at unix.Sockaddr) (int, error) {
	fd := -1
	err := w.pe.Do(func() (err error) {
		if fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol); err != nil {
			return err
		}
		timeout := unix.NsecToTimeval(patience.Nanoseconds())
		if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err == nil && at != nil {
			err = unix.Bind(fd, at)
		}
		return err
	})
	if err == nil {
		w.t.Cleanup(func() { _ = unix.Close(fd) })
	} else if fd >= 0 {
		_ = unix.Close(fd)
	}
	return fd, err
}

// Another program's raw sockets go on getting everything that the stack has.
func TestOtherRawSockets(t *testing.T) {
	w := newWorld(t, 1000)
	for _, c := range []carrier{{}, {v6: true}} {
		family := map[bool]int{false: unix.AF_INET, true: unix.AF_INET6}[c.v6]
		fd, err := w.otherSocket(family, unix.SOCK_RAW, 115, nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs := c.body(77777, cookie, inner(1, 300))
		w.send(c.packet(shape{}, theirs))
		b := make([]byte, 2000)
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil || !bytes.HasSuffix(b[:n], theirs) {
			t.Errorf("%v: the other program gets %x, error %v", c, b[:max(n, 0)], err)
		}
	}
	if c := w.slow.Counters(); c != (slowpath.Counters{}) {
		t.Errorf("another program's packets count: %+v", c)
	}
}

// A port that another program has is its own: we say so, leave it alone, and take
// it when it is free.
func TestPortInUse(t *testing.T) {
	w := newWorld(t, 1000)
	c := carrier{udp: true}
	if errs := w.want(); len(errs) > 0 {
		t.Fatal(errs)
	}
	theirs, err := w.otherSocket(unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Port: nearPort})
	if err != nil {
		t.Fatal(err)
	}
	errs := w.want(endpoints()...)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "192.0.2.1 port 1701") || !strings.Contains(errs[0].Error(), "another program") {
		t.Errorf("errors %v, want one that names the port", errs)
	}
	body := c.body(77777, cookie, inner(1, 300))
	w.send(c.packet(shape{}, body))
	b := make([]byte, 2000)
	if n, _, err := unix.Recvfrom(theirs, b, 0); err != nil || !bytes.Equal(b[:n], body[8:]) {
		t.Errorf("the other program gets %x, error %v", b[:max(n, 0)], err)
	}
	w.delivers(carrier{}) // the other endpoints work
	if err := unix.Shutdown(theirs, unix.SHUT_RD); err != nil && err != unix.ENOTCONN {
		t.Error(err)
	}
	if err := unix.Close(theirs); err != nil {
		t.Error(err)
	}
	if errs := w.want(endpoints()...); len(errs) != 0 {
		t.Errorf("with the port free again: %v", errs)
	}
	w.delivers(c)
}

// delivers sends fragments and expects them in the helper pair.
func (w *world) delivers(c carrier) {
	w.t.Helper()
	id := w.nextID()
	body := c.body(c.session(), cookie, inner(1<<16+id, 1500))
	w.send(c.fragments(shape{id: id}, body, 800)...)
	if err := w.awaitInjected(c.plain(0, body)); err != nil {
		w.t.Errorf("%v: %v", c, err)
	}
}

// tooBig is the ICMP error of a router that cannot forward one of our packets
// (RFC 1191 section 4, RFC 4443 section 3.2).
func tooBig(c carrier, mtu uint16) []byte {
	ours := carrier{c.v6, c.udp}.packet(shape{}, c.body(5, cookie, inner(1, 1500)))
	addresses := ours[12:20]
	if c.v6 {
		addresses = ours[8:40]
	}
	swap(addresses)
	if c.udp {
		swap(ours[len(ours)-len(c.body(5, cookie, inner(1, 1500))):][:4])
	}
	if !c.v6 {
		ours[6] = 0x40 // DF
		icmp := append([]byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, ours[:28]...)
		binary.BigEndian.PutUint16(icmp[2:], internetSum(icmp))
		p := carrier{}.packet(shape{}, icmp)
		copy(p[12:], net.IPv4(10, 0, 0, 254).To4())
		p[9], p[10], p[11] = 1, 0, 0
		binary.BigEndian.PutUint16(p[10:], internetSum(p[:20]))
		return p
	}
	icmp := append([]byte{2, 0, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, ours[:600]...)
	p := carrier{v6: true}.packet(shape{}, icmp)
	copy(p[8:], net.ParseIP("fd00::254"))
	p[6] = 58
	pseudo := append(bytes.Clone(p[8:40]), 0, 0, 0, 0, 0, 0, 0, 58)
	binary.BigEndian.PutUint32(pseudo[32:], uint32(len(icmp)))
	binary.BigEndian.PutUint16(p[42:], internetSum(append(pseudo, icmp...)))
	return p
}

// swap exchanges the two halves of a slice.
func swap(b []byte) {
	half := len(b) / 2
	for i := range half {
		b[i], b[half+i] = b[half+i], b[i]
	}
}

// TestPathMTU lets a router say that a packet of the programs is too big: the
// stack learns the MTU of the path, because a socket of ours is concerned.
func TestPathMTU(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			w := newWorld(t, 1000)
			mtu := func() string { return w.pe.Run("ip", "route", "get", c.far().String(), "from", c.near().String()) }
			if errs := w.want(); len(errs) > 0 {
				t.Fatal(errs)
			}
			w.send(tooBig(c, 1333))
			if err := w.router.Ping(netip.MustParseAddr("10.0.0.1"), 56, patience); err != nil {
				t.Fatal(err)
			}
			if got := mtu(); strings.Contains(got, "mtu") {
				t.Errorf("the stack learns without us, so this shows nothing: %s", got)
			}
			if errs := w.want(endpoints()...); len(errs) > 0 {
				t.Fatal(errs)
			}
			w.send(tooBig(c, 1333))
			w.lab.Poll(patience, "route exception", func() error {
				if got := mtu(); !strings.Contains(got, "mtu 1333") {
					return fmt.Errorf("%s", got)
				}
				return nil
			})
		})
	}
}

// The helper pair may be made anew at any time.
func TestHelperMadeAnew(t *testing.T) {
	w := newWorld(t, 1000)
	c := carrier{}
	w.delivers(c)
	w.injected.Close()
	w.pe.DeleteLink("longwire0")
	w.send(c.packet(recordRoute, c.body(c.session(), cookie, inner(1, 100))))
	w.awaitCounters("without a helper", func(c slowpath.Counters) bool { return c == slowpath.Counters{Received: 2, Delivered: 1, Failed: 1} })
	err := w.pe.Do(func() error {
		_, failed := w.plane.Attach(dataplane.Attachments{Circuits: []int{w.pe.Index("ac0")}, Underlays: []int{w.pe.Index("ul0")}})
		if len(failed) > 0 {
			return fmt.Errorf("attach: %v", failed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.injected = w.pe.Sniff("longwire0")
	w.delivers(c)
}

// Counters outlive the sockets, closing ends everything, and what was closed can
// be opened again.
func TestLife(t *testing.T) {
	w := newWorld(t, 1000)
	sockets := func() int { return strings.Count(w.pe.Run("ss", "-Hanuw"), "\n") }
	if n := sockets(); n != len(carriers)+1 { // one is for ICMPv6 errors
		t.Errorf("%d sockets, want %d", n, len(carriers)+1)
	}
	for _, c := range carriers {
		w.delivers(c)
	}
	want := slowpath.Counters{Received: 4, Delivered: 4}
	w.awaitCounters("four", func(c slowpath.Counters) bool { return c == want })
	if errs := w.want(carriers[0].endpoint()); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.delivers(carriers[0])
	if errs := w.want(endpoints()...); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.delivers(carriers[3])
	w.rate = 0
	if errs := w.want(endpoints()...); len(errs) > 0 {
		t.Fatal(errs)
	}
	if n := sockets(); n != 0 {
		t.Errorf("%d sockets with a rate of nothing", n)
	}
	want = slowpath.Counters{Received: 6, Delivered: 6}
	w.awaitCounters("six", func(c slowpath.Counters) bool { return c == want })
	for range 2 {
		if err := w.slow.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if got := w.slow.Counters(); got != want {
		t.Errorf("after closing: %+v, want %+v", got, want)
	}
}

// An address that the host does not have yet is bound, and works as soon as it
// is there.
func TestAddressComesLater(t *testing.T) {
	w := newWorld(t, 1000)
	w.pe.Run("ip", "addr", "del", "192.0.2.1/32", "dev", "lo")
	if errs := w.want(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if errs := w.want(endpoints()...); len(errs) > 0 {
		t.Errorf("without the address: %v", errs)
	}
	w.pe.Address("lo", "192.0.2.1/32")
	for _, c := range carriers {
		w.delivers(c)
	}
}

// A flood leaves room for closing at any time.
func TestCloseInAFlood(t *testing.T) {
	w := newWorld(t, 1)
	c := carrier{}
	packet := c.packet(recordRoute, c.body(c.session(), cookie, inner(1, 100)))
	for range 50 {
		w.send(packet)
	}
	w.awaitCounters("first", func(c slowpath.Counters) bool { return c.Delivered >= 1 })
	begin := time.Now()
	if err := w.slow.Close(); err != nil || time.Since(begin) > 5*time.Second {
		t.Errorf("close: %v after %v", err, time.Since(begin))
	}
}

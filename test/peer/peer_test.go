package peer_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"longwire/test/peer"
)

// two connects two hand-made peers with each other.
func two(t *testing.T, a, b peer.Options) (*peer.Session, *peer.Session) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan *peer.Session, 1)
	go func() {
		defer close(accepted)
		if conn, err := listener.Accept(); err == nil {
			if s, err := peer.Open(conn, b); err == nil {
				accepted <- s
			}
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	one, err := peer.Open(conn, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	other, ok := <-accepted
	if !ok {
		t.Fatal("the other side has no session")
	}
	t.Cleanup(other.Close)
	return one, other
}

func options(asn uint32) peer.Options {
	return peer.Options{ASN: asn, RouterID: netip.MustParseAddr("192.0.2.1")}
}

// receive returns the next message of a type.
func receive(t *testing.T, s *peer.Session, kind byte) []byte {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case m, ok := <-s.Messages():
			if !ok {
				t.Fatal("the session ended")
			}
			if m.Type == kind {
				return m.Body
			}
		case <-timeout:
			t.Fatalf("no message of type %d", kind)
		}
	}
}

func TestSession(t *testing.T) {
	a, b := two(t, options(65000), options(4200000000))
	if err := a.SendUpdate([]byte{0x40, 1, 1, 0}); err != nil {
		t.Fatal(err)
	}
	want := []byte{0, 0, 0, 4, 0x40, 1, 1, 0}
	if got := receive(t, b, peer.TypeUpdate); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	receive(t, a, peer.TypeKeepalive)
	a.Close()
	for range b.Messages() { // until the end of the session closes it
	}
}

func TestSilence(t *testing.T) {
	o := options(65000)
	o.Silent, o.RestartTime, o.HoldTime = true, 60, 3
	_, b := two(t, o, options(65000))
	select {
	case m := <-b.Messages():
		t.Errorf("message %+v of a silent peer", m)
	case <-time.After(1500 * time.Millisecond): // longer than a KEEPALIVE would take
	}
}

func TestOpenRefusesNonsense(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := peer.Open(conn, options(65000)); err == nil {
		s.Close()
		t.Error("a web server passes as a BGP peer")
	}
}

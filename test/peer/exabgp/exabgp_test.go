package exabgp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/peer"
)

var (
	here  = netip.MustParseAddr("10.0.0.1")
	there = netip.MustParseAddr("10.0.0.2")
)

// route is one of the far end with a tunnel attribute; attributes is the same as
// it must go on the wire, but for MP_REACH_NLRI.
var route = Route{
	RD: "192.0.2.2:1", Tag: 102, Label: 3, NextHop: netip.MustParseAddr("192.0.2.2"),
	Communities: []string{"target:65000:1", "0x0604000005dc0000"}, Tunnel: "0001 0012 0104000003e9 060a000000000001c0000202",
}

const (
	reach      = "800e2400194604c0000202000119" + "0001c00002020001" + "00000000000000000000" + "00000066" + "000031"
	attributes = "40010100" + "400200" + "400504000000c8" + "c010100002fde8000000010604000005dc0000" + "c0171600010012" + "0104000003e9060a000000000001c0000202"
)

// unhex reads hexadecimal digits that a test is written in.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// TestSpeaker has a hand-made peer look at what ExaBGP sends, byte by byte, and
// ExaBGP at what the peer sends.
func TestSpeaker(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	left, right := l.Namespace("left"), l.Namespace("right")
	l.Veth(left, "eth0", right, "eth0", lab.DefaultMTU)
	left.Address("eth0", here.String()+"/24")
	right.Address("eth0", there.String()+"/24")
	var listener net.Listener
	err := left.Do(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(here.String(), "179"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	changed := route
	changed.Preference = 200
	config := Config{Local: there, Neighbor: here, LocalASN: 65000, NeighborASN: 65000, Routes: []Route{changed}}
	speaker := Start(t, l, right, config)
	s := accept(t, listener, speaker)
	sends(t, s, func(body []byte) error {
		for _, part := range []string{attributes, reach} {
			if !bytes.Contains(body, unhex(part)) {
				return fmt.Errorf("no %s in %x", part, body)
			}
		}
		return nil
	})
	if err := s.SendUpdate(unhex(attributes + reach)); err != nil {
		t.Fatal(err)
	}
	l.Poll(20*time.Second, "the peer's route", func() error { return received(speaker) })
	config.Routes = nil
	speaker.Change(config)
	sends(t, s, func(body []byte) error {
		// AFI and SAFI with an NLRI right behind them are MP_UNREACH_NLRI.
		if !bytes.Contains(body, unhex("001946"+"0119"+"0001c00002020001")) {
			return fmt.Errorf("no withdrawal in %x", body)
		}
		return nil
	})
}

// accept takes ExaBGP's connection.
func accept(t *testing.T, listener net.Listener, speaker *Speaker) *peer.Session {
	t.Helper()
	if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("ExaBGP does not connect: %v: %s", err, speaker.Log())
	}
	s, err := peer.Open(conn, peer.Options{ASN: 65000, RouterID: here})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// sends waits for an UPDATE of ExaBGP that is right.
func sends(t *testing.T, s *peer.Session, check func([]byte) error) {
	t.Helper()
	var wrong error
	timeout := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-s.Messages():
			if !ok {
				t.Fatalf("the session ended: %v", wrong)
			}
			if m.Type != peer.TypeUpdate {
				continue
			}
			if wrong = check(m.Body); wrong == nil {
				return
			}
		case <-timeout:
			t.Fatalf("no such UPDATE: %v", wrong)
		}
	}
}

// received checks the one route that ExaBGP has received.
func received(s *Speaker) error {
	list, err := s.Received()
	if err != nil || len(list) != 1 {
		return fmt.Errorf("%d routes, %w", len(list), err)
	}
	r := list[0]
	if r.NextHop != "192.0.2.2" || r.RD != "192.0.2.2:1" || r.ESI != "-" || r.Tag != 102 || fmt.Sprint(r.Labels) != "[[3 49]]" ||
		r.Tunnel() != "0x"+strings.ReplaceAll(route.Tunnel, " ", "") || r.Withdrawn {
		return fmt.Errorf("decoded as %+v, tunnel %s", r, r.Tunnel())
	}
	return nil
}

// A line that ExaBGP has not finished is left for later, and nonsense is an
// error.
func TestParse(t *testing.T) {
	update := `{"type": "update", "neighbor": {"message": {"update": {"withdraw": {"l2vpn evpn": [{"raw": "01AB", "rd": "1:1", "esi": "-", "ethernet-tag": 7}]}}}}}` + "\n"
	for _, test := range []struct {
		name, text string
		want       int
	}{
		{"nothing", "", 0},
		{"another message", `{"type": "state"}` + "\n", 0},
		{"a withdrawal", update, 1},
		{"one that is not complete", update + update[:20], 1},
		{"another family", strings.ReplaceAll(update, "l2vpn evpn", "ipv4 unicast"), 0},
	} {
		got, err := parse([]byte(test.text))
		if err != nil || len(got) != test.want || test.want == 1 && (!got[0].Withdrawn || got[0].Raw != "01ab" || got[0].Tag != 7) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
	for _, text := range []string{"exabgp\n", strings.Replace(update, "7", `"seven"`, 1)} {
		if got, err := parse([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestColumn(t *testing.T) {
	name, err := Column()
	if err != nil || !strings.HasPrefix(name, "ExaBGP 4.") {
		t.Errorf("%q, %v", name, err)
	}
}

func TestPasswordAndFamily(t *testing.T) {
	text := Config{Local: here, Neighbor: there, LocalASN: 1, NeighborASN: 2, Password: "x", Family: "ipv4 unicast"}.text("/receiver", "/out")
	for _, line := range []string{"local-as 1;", "peer-as 2;", "md5-password 'x';", "family { ipv4 unicast; }", "neighbor 10.0.0.2 {"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}

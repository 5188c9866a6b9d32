package speaker_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/evpn"
	"longwire/evpn/speaker"
	"longwire/test/peer"
)

// Path attributes of a route of 192.0.2.3; a test replaces one of them.
const (
	origin      = "40010100"
	asPath      = "400200"
	localPref   = "40050400000064"
	communities = "c010100002fde8000000010604000005dc0000"
	tunnel      = "c0171e 0001001a 010c000003e9deadbeefcafef00d 060a000000000001c0000203"
)

// attributes joins hexadecimal path attributes.
func attributes(parts ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// reach is MP_REACH_NLRI with a next hop and a service; label in hexadecimal.
func reach(nextHop string, service evpn.ServiceID, label string) string {
	hop := ""
	if nextHop != "" {
		hop = hex.EncodeToString(netip.MustParseAddr(nextHop).AsSlice())
	}
	value := fmt.Sprintf("001946%02x%s00", len(hop)/2, hop) + nlri(service, label)
	return fmt.Sprintf("800e%02x%s", len(value)/2, value)
}

func unreach(service evpn.ServiceID) string { return "800f1e001946" + nlri(service, "000030") }

func nlri(service evpn.ServiceID, label string) string {
	return fmt.Sprintf("01190001c0000203000100000000000000000000%08x%s", service, label)
}

const endOfRIB = "800f03001946"

// handmade starts a PE with a hand-made neighbour at 192.0.2.3 and another PE at
// 192.0.2.2, and returns both PEs and a function that opens sessions of the
// hand-made one.
func handmade(t *testing.T) (a, b *pe, open func(peer.Options) *peer.Session) {
	t.Helper()
	nodes := newLAN(t, 3)
	a = startPE(t, nodes[0], speaker.Config{Neighbors: []speaker.Neighbor{
		{Address: nodes[1].four, ASN: 65000},
		{Address: nodes[2].four, ASN: 65000, Passive: true, HoldTime: 9 * time.Second},
	}}, nodes[0].advertisement(101))
	b = startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000}}}, nodes[1].advertisement(102))
	open = func(o peer.Options) *peer.Session {
		t.Helper()
		o.ASN, o.RouterID = 65000, nodes[2].four
		var s *peer.Session
		eventually(t, "a session of the hand-made peer", func() (err error) {
			s, err = peer.Open(nodes[2].dial(t, nodes[0].four, 179), o)
			return err
		})
		t.Cleanup(s.Close)
		return s
	}
	return a, b, open
}

func send(t *testing.T, s *peer.Session, parts ...string) {
	t.Helper()
	if err := s.SendUpdate(attributes(parts...)); err != nil {
		t.Fatal(err)
	}
}

// refused waits for a route that is shown with a reason.
func refused(reason evpn.Reason) func(evpn.Route) string {
	return func(r evpn.Route) string {
		if r.Problem == nil || r.Problem.Reason != reason {
			return fmt.Sprintf("problem %v, want %s", r.Problem, reason)
		}
		return ""
	}
}

// Bad routes arrive, are shown with their reason, and hurt nobody.
func TestBadRoutes(t *testing.T) {
	t.Parallel()
	a, _, open := handmade(t)
	s := open(peer.Options{})
	good := reach("192.0.2.3", 300, "000030")
	for i, test := range []struct {
		name   string
		parts  []string
		reason evpn.Reason
	}{
		{"no attribute 23", []string{good, communities}, evpn.ReasonNoEncapsulation},
		{"TLV longer than its sub-TLVs", []string{good, communities, "c01721 0001001d 010c000003e9deadbeefcafef00d 060a000000000001c0000203 040803"}, evpn.ReasonNoEncapsulation},
		{"another tunnel type", []string{good, communities, strings.Replace(tunnel, "0001001a", "0063001a", 1)}, evpn.ReasonNoEncapsulation},
		{"cookie of 3", []string{good, communities, "c01719 00010015 0107000003e9010203 060a000000000001c0000203"}, evpn.ReasonBadCookie},
		{"session 0", []string{good, communities, strings.Replace(tunnel, "000003e9", "00000000", 1)}, evpn.ReasonBadSessionID},
		{"two endpoints", []string{good, communities, "c0172a 00010026 010c000003e9deadbeefcafef00d 060a000000000001c0000203 060a000000000001c0000203"}, evpn.ReasonBadEndpoint},
		{"next hop 0.0.0.0", []string{reach("0.0.0.0", 300, "000030"), communities, tunnel}, evpn.ReasonBadNextHop},
		{"next hop multicast", []string{reach("224.0.0.9", 300, "000030"), communities, tunnel}, evpn.ReasonBadNextHop},
		{"next hop loopback", []string{reach("127.0.0.1", 300, "000030"), communities, tunnel}, evpn.ReasonBadNextHop},
		{"next hop of length 0", []string{reach("", 300, "000030"), communities, tunnel}, evpn.ReasonBadNextHop},
		{"a label", []string{reach("192.0.2.3", 300, "000100"), communities, tunnel}, evpn.ReasonBadLabel},
	} {
		service := evpn.ServiceID(300 + i)
		for j, part := range test.parts {
			test.parts[j] = strings.Replace(part, "0000012c", fmt.Sprintf("%08x", int(service)), 1)
		}
		send(t, s, append([]string{origin, asPath, localPref}, test.parts...)...)
		t.Log(test.name)
		a.waitRoute(t, service, refused(test.reason))
		send(t, s, origin, asPath, localPref, reach("192.0.2.3", service, "000030"), communities, tunnel)
		a.waitRoute(t, service, fresh)
	}
	// Only the label changes: still an update in place.
	mark := a.mark()
	send(t, s, origin, asPath, localPref, reach("192.0.2.3", 300, "000640"), communities, tunnel)
	a.waitRoute(t, 300, refused(evpn.ReasonBadLabel))
	send(t, s, unreach(300))
	a.waitNoRoute(t, 300)
	if n := a.count(mark, speaker.RouteWithdraw); n != 1 {
		t.Errorf("%d withdrawals", n)
	}
	if n := a.count(0, speaker.EngineDown); n != 0 {
		t.Errorf("the worker died %d times", n)
	}
}

// Bytes that kill GoBGP cost a restart of the worker and no route of anybody.
func TestKillingRoutes(t *testing.T) {
	t.Parallel()
	for name, killer := range map[string]string{
		"A-D route of length 0": "800e0b001946 04c0000203 00 0100",
		"A-D route of length 2": "800e0d001946 04c0000203 00 01020000",
		"SRv6 Prefix-SID":       reach("192.0.2.3", 300, "000030") + communities + "c02808 050005 00 630001 00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, open := handmade(t)
			a.waitRoute(t, 102, fresh)
			s := open(peer.Options{})
			mark, markB := a.mark(), b.mark()
			send(t, s, origin, asPath, localPref, killer)
			a.waitEvent(t, mark, speaker.EngineDown)
			within(t, 2*time.Second, "another engine", func() error {
				if a.count(mark, speaker.EngineUp) == 0 {
					return fmt.Errorf("%s", a.describe())
				}
				return nil
			})
			if !strings.Contains(a.logs.String(), "the BGP worker crashed") {
				t.Error("the log has no trace of the crash")
			}
			a.waitEvent(t, mark, speaker.EndOfRIB)
			a.waitRoute(t, 102, fresh)
			b.waitEvent(t, markB, speaker.EndOfRIB)
			b.waitRoute(t, 101, fresh)
			if n := a.count(0, speaker.RouteWithdraw) + b.count(0, speaker.RouteWithdraw); n != 0 {
				t.Errorf("%d withdrawals", n)
			}
		})
	}
}

// A session that ends in whatever way makes routes stale. Without graceful
// restart GoBGP withdraws them all first, also those that it had just received.
func TestSessionLoss(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options peer.Options
		end     func(*peer.Session)
	}{
		"connection cut": {peer.Options{}, (*peer.Session).Close},
		"notification": {peer.Options{}, func(s *peer.Session) {
			_ = s.Send(peer.TypeNotification, []byte{6, 2})
		}},
		"silence":                             {peer.Options{HoldTime: 3, Silent: true}, func(*peer.Session) {}},
		"connection cut in graceful restart":  {peer.Options{RestartTime: 60}, (*peer.Session).Close},
		"restart time expires":                {peer.Options{RestartTime: 1}, (*peer.Session).Close},
		"silence of a graceful-restart peer":  {peer.Options{HoldTime: 3, Silent: true, RestartTime: 60}, func(*peer.Session) {}},
		"malformed header resets the session": {peer.Options{}, func(s *peer.Session) { _ = s.SendRaw(make([]byte, 19)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _, open := handmade(t)
			a.waitRoute(t, 102, fresh)
			s := open(test.options)
			for service := evpn.ServiceID(300); service < 320; service++ {
				send(t, s, origin, asPath, localPref, reach("192.0.2.3", service, "000030"), communities, tunnel)
			}
			a.waitRoute(t, 319, fresh)
			mark := a.mark()
			test.end(s)
			a.waitEvent(t, mark, speaker.PeerDown)
			for service := evpn.ServiceID(300); service < 320; service++ {
				a.waitRoute(t, service, isStale)
			}
			a.waitRoute(t, 102, fresh)
			// It returns with less, and says when that is all.
			s = open(peer.Options{})
			send(t, s, origin, asPath, localPref, reach("192.0.2.3", 301, "000030"), communities, tunnel)
			send(t, s, endOfRIB)
			a.waitRoute(t, 301, fresh)
			a.waitNoRoute(t, 300)
			a.waitNoRoute(t, 319)
			if n := a.count(mark, speaker.EngineDown); n != 0 {
				t.Errorf("the worker died")
			}
		})
	}
}

// The bytes of our own announcement, as a foreign implementation sees them.
func TestAnnouncedBytes(t *testing.T) {
	t.Parallel()
	a, _, open := handmade(t)
	a.waitRoute(t, 102, fresh)
	s := open(peer.Options{})
	want := []string{
		nlriOf("c0000201", 101), // RD 192.0.2.1:1, service 101, label 3
		"04c000020100",          // next hop
		"c010100002fde8000000010604000005dc0000",
		"c0171e0001001a010c0000044ddeadbeefcafef00d060a000000000001c0000201",
		"40010100", "400200", "40050400000064",
	}
	timeout := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-s.Messages():
			if !ok {
				t.Fatal("the session ended")
			}
			if m.Type != peer.TypeUpdate || len(m.Body) < 30 {
				continue
			}
			got := hex.EncodeToString(m.Body)
			for _, part := range want {
				if !strings.Contains(got, part) {
					t.Errorf("the UPDATE lacks %s:\n%s", part, got)
				}
			}
			if strings.Contains(got, nlriOf("c0000202", 102)) {
				t.Error("a route of another neighbour is passed on")
			}
			return
		case <-timeout:
			t.Fatal("no UPDATE")
		}
	}
}

func nlriOf(routerID string, service evpn.ServiceID) string {
	return fmt.Sprintf("01190001%s000100000000000000000000%08x000030", routerID, service)
}

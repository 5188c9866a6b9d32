package scenario

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/peer"
	"longwire/test/peer/updates"
)

// handmade is a route written by hand, in hexadecimal. Empty parts are those of
// a good route.
type handmade struct {
	name                                string
	nextHop, label, communities, tunnel string
	// becomes says what bgpd and gobgpd make of it.
	frr, gobgpd string
}

// What becomes of a route.
const (
	untouched    = "passed on as it is"
	labelCleared = "passed on with label 0"
	labelFilled  = "passed on with label 0xfffff"
	stripped     = "passed on without attribute 23"
	notPassed    = "not passed on"
	sessionReset = "session reset"
)

// handmades lists routes of others, and what they tell of a reflector.
func handmades() []handmade {
	return []handmade{
		{name: "color in attribute 23", tunnel: "0001 0024 01 0c 000003e9deadbeefcafef00d 06 0a 00000000 0001 c0000201 04 08 030b 0000 00000064", frr: labelCleared, gobgpd: untouched},
		{name: "two tunnels in attribute 23", tunnel: "0001 0012 01 04 000003e9 06 0a 00000000 0001 c0000201 0001 0012 01 04 000003ea 06 0a 00000000 0001 c0000202", frr: sessionReset, gobgpd: untouched},
		{name: "sub-TLV of type 200 in attribute 23", tunnel: "0001 0017 01 04 000003e9 06 0a 00000000 0001 c0000201 c8 0002 0000", frr: sessionReset, gobgpd: untouched},
		{name: "malformed attribute 23", tunnel: "0001 0012 01 04 000003e9 06 0b 00000000 0001 c0000201", frr: sessionReset, gobgpd: stripped},
		{name: "label of an MPLS route", label: "0003e1", frr: labelCleared, gobgpd: untouched},
		{name: "IPv6 next hop", nextHop: "20010db8000000000000000000000001", frr: labelFilled, gobgpd: untouched},
		{name: "unknown EVPN community", communities: "0002fde800000001 060f000000000000", frr: labelCleared, gobgpd: notPassed},
		{name: "next hop in 127/8", nextHop: "7f000001", frr: notPassed, gobgpd: untouched},
	}
}

// TestReflectorLimits sends hand-made routes of others through a reflector and
// sees what comes out.
func TestReflectorLimits(t *testing.T) {
	t.Parallel()
	p := &pair{Topology: lab.NewTopology(t, lab.Options{}), t: t}
	rr := p.reflect()
	to, from := p.open(p.PE2), p.open(p.PE1)
	for i, route := range handmades() {
		want := route.gobgpd
		if rr.kind == "frr" {
			want = route.frr
		}
		row(t, route.name+": "+want, func(t *testing.T) {
			got := through(t, from, to, route, 1000*uint32(i+1))
			if got != want {
				t.Errorf("%s", got)
			}
			if got == sessionReset {
				from = p.open(p.PE1)
			}
		})
	}
}

// through sends a route, and after it two good ones: when the second of these has
// arrived, so has everything before it. It returns what became of the first.
func through(t *testing.T, from, to *peer.Session, route handmade, tag uint32) string {
	t.Helper()
	sent := route.body(t, tag)
	if err := from.Send(peer.TypeUpdate, sent); err != nil {
		t.Fatal(err)
	}
	got := map[uint32]updates.Route{}
	for good := tag + 1; good <= tag+2; good++ {
		if err := from.Send(peer.TypeUpdate, handmade{}.body(t, good)); err != nil {
			return sessionReset
		}
		if !receive(t, from, to, got, good) {
			return sessionReset
		}
	}
	routes, err := updates.Parse(sent)
	if err != nil {
		t.Fatal(err)
	}
	return becomes(routes[0], got)
}

// receive collects routes until that of a service has come; it returns false
// when the sender's session ends before.
func receive(t *testing.T, from, to *peer.Session, got map[uint32]updates.Route, until uint32) bool {
	t.Helper()
	timeout := time.After(upTime)
	for {
		select {
		case m, ok := <-from.Messages():
			if !ok || m.Type == peer.TypeNotification {
				return false
			}
		case m, ok := <-to.Messages():
			if !ok {
				t.Fatal("the receiver's session ended")
			}
			if m.Type != peer.TypeUpdate {
				continue
			}
			routes, err := updates.Parse(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range routes {
				if got[r.Tag] = r; r.Tag == until && !r.Withdrawn {
					return true
				}
			}
		case <-timeout:
			t.Fatalf("the route of service %d does not arrive", until)
		}
	}
}

// becomes compares a route with what arrived.
func becomes(sent updates.Route, got map[uint32]updates.Route) string {
	r, ok := got[sent.Tag]
	tunnel := errors.Join(same(sent, r, updates.TunnelEncapsulation), same(sent, r, updates.ExtendedCommunities))
	switch {
	case !ok || r.Withdrawn:
		return notPassed
	case len(r.Attributes[updates.TunnelEncapsulation].Bytes) == 0:
		return stripped
	case tunnel != nil:
		return tunnel.Error()
	case r.Label == sent.Label:
		return untouched
	case r.Label == 0:
		return labelCleared
	case r.Label == labelLost:
		return labelFilled
	}
	return fmt.Sprintf("label field %#06x", r.Label)
}

// open opens a session from a PE to the reflector.
func (p *pair) open(pe *lab.PE) *peer.Session {
	p.t.Helper()
	var session *peer.Session
	p.Poll(upTime, "session of "+pe.Role, func() error {
		return pe.Do(func() error {
			dialer := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: pe.Source4.AsSlice()}}
			conn, err := dialer.Dial("tcp", netip.AddrPortFrom(lab.RRSource4, 179).String())
			if err != nil {
				return err
			}
			session, err = peer.Open(conn, peer.Options{ASN: 65000, RouterID: pe.Source4, HoldTime: 9})
			return err
		})
	})
	p.t.Cleanup(func() { session.Close() })
	return session
}

// body words the UPDATE with the route.
func (h handmade) body(t *testing.T, tag uint32) []byte {
	t.Helper()
	part := func(written, good string) []byte {
		if written == "" {
			written = good
		}
		b, err := hex.DecodeString(strings.ReplaceAll(written, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	route := part("0119 0001c00002010001 00000000000000000000", "")
	route = append(binary.BigEndian.AppendUint32(route, tag), part(h.label, "000030")...)
	nextHop := part(h.nextHop, "c0000201")
	reach := append(append(part("0019 46", ""), byte(len(nextHop))), append(nextHop, 0)...)
	attributes := part("40010100 400200 400504 00000064", "")
	for _, a := range []struct {
		flags, kind byte
		value       []byte
	}{
		{0x80, updates.MPReach, append(reach, route...)},
		{0xc0, updates.ExtendedCommunities, part(h.communities, "0002fde800000001 0604000005dc0000")},
		{0xc0, updates.TunnelEncapsulation, part(h.tunnel, "0001 0012 01 04 000003e9 06 0a 00000000 0001 c0000201")},
	} {
		attributes = append(append(attributes, a.flags, a.kind, byte(len(a.value))), a.value...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attributes))), attributes...)
}

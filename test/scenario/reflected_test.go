package scenario

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/peer/updates"
)

// TestReflectedRoutes changes what PE2 announces, and takes it back, behind a
// route reflector. Then it holds what the reflector got against what it passed
// on, byte by byte.
func TestReflectedRoutes(t *testing.T) {
	t.Parallel()
	wires := []wire{{number: 0, signalled: true, cookie: 8}, {number: 1, signalled: true, cookie: 4, v6: true, udp: true, sublayer: true}}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, byReflector)
	legs := p.P.Capture("rr", "tcp port 179")
	rr := p.reflect()
	p.launch()
	row(t, "session id changed in place, no frame lost", func(t *testing.T) {
		p.lossless(t, wires, func() {
			p.changeSessions(t)
			p.sends(1, p.sessions(2))
		})
	})
	row(t, "cookie changed in place, no frame lost", func(t *testing.T) {
		p.lossless(t, wires, func() {
			p.rotateAll(2)
			p.sends(1, p.sessions(2))
		})
	})
	row(t, "withdrawn and announced again", func(t *testing.T) { p.downAndUp(t, wires[0], wires[1]) })
	if missed := legs.Stop(); missed != 0 {
		t.Fatalf("the capture missed %d packets", missed)
	}
	passed := append(p.passed(t, legs, 1, wires), p.passed(t, legs, 2, wires)...)
	for _, check := range rr.checks() {
		rowOf(t, check.name, func(t *testing.T) {
			for _, one := range passed {
				if err := check.holds(one); err != nil {
					t.Errorf("service %d: %v", one.in.Tag, err)
				}
			}
		}, record)
	}
}

// lossless does something under traffic in both directions of every wire, and
// wants every frame to arrive.
func (p *pair) lossless(t *testing.T, wires []wire, do func()) {
	t.Helper()
	var flows []*lab.Stream
	for _, w := range wires {
		port := lab.HostPort(w.number)
		flows = append(flows, p.Stream(p.CE1, port, p.CE2, port, 2*time.Millisecond), p.Stream(p.CE2, port, p.CE1, port, 2*time.Millisecond))
	}
	p.flowing(flows, 50)
	do()
	for _, flow := range flows {
		p.flowing([]*lab.Stream{flow}, flow.Received()+50)
	}
	for i, flow := range flows {
		if sent, lost := flow.Stop(); sent == 0 || lost != 0 {
			t.Errorf("%v from PE%d: %d of %d frames lost", wires[i/2], 1+i%2, lost, sent)
		}
	}
}

// changeSessions makes PE2 choose other session ids, by the configuration: those
// that it has are reserved for others.
func (p *pair) changeSessions(t *testing.T) {
	old := p.sessions(2)
	var reserved []uint32
	for _, s := range old {
		reserved = append(reserved, s.Session)
	}
	p.config[2].Dataplane = &lab.Dataplane{More: lab.Keys{"reserved_sessions": reserved}}
	p.agents[2].Configure(p.config[2])
	if err := p.agents[2].Reload(); err != nil {
		t.Fatal(err)
	}
	p.Poll(upTime, "PE2 accepts other sessions", func() error {
		now := p.sessions(2)
		for name, was := range old {
			if now[name].Session == was.Session || now[name].Session == 0 {
				return fmt.Errorf("%+v", now[name])
			}
		}
		return nil
	})
}

// reflected is a route as a reflector got it and as it passed it on.
type reflected struct {
	in, out updates.Route
	from    netip.Addr // who announced it
}

// passed returns what the reflector made of the routes of a side, and checks
// that each of its wires' routes got through in all its versions and in order.
func (p *pair) passed(t *testing.T, legs *lab.Capture, side int, wires []wire) []reflected {
	t.Helper()
	packets, err := legs.Packets()
	if err != nil {
		t.Fatal(err)
	}
	from, to := wire{}.source(side), wire{}.source(3-side)
	in, err := updates.Sent(packets, from, lab.RRSource4)
	if err != nil {
		t.Fatal(err)
	}
	out, err := updates.Sent(packets, lab.RRSource4, to)
	if err != nil {
		t.Fatal(err)
	}
	var passed []reflected
	for _, w := range wires {
		tag := uint32(1000*side + w.number)
		sent, got := versions(in, tag), versions(out, tag)
		if len(sent) == 0 || len(sent) != len(got) {
			t.Errorf("service %d: %d versions in, %d out", tag, len(sent), len(got))
			continue
		}
		for i := range sent {
			passed = append(passed, reflected{sent[i], got[i], from})
		}
	}
	return passed
}

// versions returns what was said of a service, without what only repeats.
func versions(routes []updates.Route, tag uint32) []updates.Route {
	var all []updates.Route
	for _, r := range routes {
		if r.Tag != tag {
			continue
		}
		if n := len(all); n > 0 && all[n-1].Withdrawn == r.Withdrawn && same(all[n-1], r, updates.TunnelEncapsulation) == nil {
			continue
		}
		all = append(all, r)
	}
	return all
}

// same compares an attribute of two routes with all its bytes.
func same(a, b updates.Route, attribute byte) error {
	if x, y := a.Attributes[attribute].Bytes, b.Attributes[attribute].Bytes; !bytes.Equal(x, y) {
		return fmt.Errorf("attribute %d was %x, is %x", attribute, x, y)
	}
	return nil
}

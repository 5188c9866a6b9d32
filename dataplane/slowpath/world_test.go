package slowpath_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/slowpath"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// world is a PE with a data plane and a slow path, a customer behind it and a
// router in front of it, which speaks for the far ends:
//
//	ce eth0 ── ac0 pe ul0 ── eth0 router        pe other ── eth1 router
type world struct {
	t              *testing.T
	lab            *lab.Lab
	ce, pe, router *lab.Namespace
	plane          *tc.Plane
	slow           *slowpath.Slowpath
	port           *lab.Port // of the router, towards the PE
	customer       *lab.Sniffer
	injected       *lab.Sniffer // what the slow path sends
	rate           int
	id             uint32 // of the next datagram
}

// newWorld makes a world whose slow path has a rate.
func newWorld(t *testing.T, rate int) *world {
	t.Helper()
	l := lab.New(t)
	w := &world{t: t, lab: l, ce: l.Namespace("ce"), pe: l.Namespace("pe"), router: l.Namespace("router"), rate: rate}
	l.Veth(w.ce, "eth0", w.pe, "ac0", 65535)
	l.Veth(w.pe, "ul0", w.router, "eth0", 1500)
	l.Veth(w.pe, "other", w.router, "eth1", 1500)
	for dev, n := range map[string]*lab.Namespace{"ul0": w.pe, "eth0": w.router} {
		host := map[string]string{"ul0": "1", "eth0": "254"}[dev]
		n.Address(dev, "10.0.0."+host+"/24")
		n.Address(dev, "fd00::"+host+"/64")
	}
	for _, c := range []carrier{{}, {v6: true}} {
		w.pe.Address("lo", netip.PrefixFrom(c.near(), c.near().BitLen()).String())
	}
	w.pe.Route("0.0.0.0/0", "10.0.0.254")
	w.pe.Route("::/0", "fd00::254")
	w.open()
	w.start()
	w.port = w.router.Port("eth0")
	w.customer, w.injected = w.ce.Sniff("eth0"), w.pe.Sniff("longwire0")
	return w
}

// open makes the data plane with a session for each carrier.
func (w *world) open() {
	w.t.Helper()
	err := w.pe.Do(func() (err error) {
		w.plane, err = tc.Open(tc.Options{PinDir: w.lab.BPFFS() + "/pe", Capacity: 64, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		_, failed := w.plane.Attach(dataplane.Attachments{Circuits: []int{w.pe.Index("ac0")}, Underlays: []int{w.pe.Index("ul0")}})
		if len(failed) > 0 {
			return fmt.Errorf("attach: %v", failed)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.plane.Close() })
	for _, c := range carriers {
		w.session(c, nil)
	}
}

// session installs the session of a carrier, changed.
func (w *world) session(c carrier, change func(*dataplane.Receive)) {
	w.t.Helper()
	k, err := dataplane.NewCookie(cookie)
	if err != nil {
		w.t.Fatal(err)
	}
	r := dataplane.Receive{
		Session: dataplane.SessionID(c.session()), Pseudowire: c.String(), Circuit: w.pe.Index("ac0"), Local: c.near(), Remote: c.far(),
		AcceptIP: !c.udp, AcceptUDP: c.udp, LocalPort: nearPort, Cookie: k,
	}
	if change != nil {
		change(&r)
	}
	if err := w.plane.PutReceive(r); err != nil {
		w.t.Fatal(err)
	}
}

// start makes the slow path.
func (w *world) start() {
	w.t.Helper()
	w.slow = slowpath.New(slowpath.Options{
		Helper: tc.HelperSegment, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
		Filter: func(e dataplane.Endpoint) (slowpath.Filter, error) { return w.plane.SessionFilter(e) },
	})
	w.t.Cleanup(func() {
		if err := w.slow.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if errs := w.want(endpoints()...); len(errs) > 0 {
		w.t.Fatal(errs)
	}
}

// endpoints are those of all carriers.
func endpoints() []dataplane.Endpoint {
	var all []dataplane.Endpoint
	for _, c := range carriers {
		all = append(all, c.endpoint())
	}
	return all
}

func (c carrier) endpoint() dataplane.Endpoint {
	e := dataplane.Endpoint{Address: c.near()}
	if c.udp {
		e.Port = nearPort
	}
	return e
}

// want asks for endpoints with the PE's underlay.
func (w *world) want(endpoints ...dataplane.Endpoint) (errs []error) {
	_ = w.pe.Do(func() error {
		errs = w.slow.Want(slowpath.Wanted{Endpoints: endpoints, Underlays: []int{w.pe.Index("ul0")}, Rate: w.rate})
		return nil
	})
	return errs
}

// send sends IP packets from the router to the PE.
func (w *world) send(packets ...[]byte) {
	w.t.Helper()
	w.sendBy(w.port, w.pe.MAC("ul0"), packets...)
}

func (w *world) sendBy(port *lab.Port, to []byte, packets ...[]byte) {
	w.t.Helper()
	for _, p := range packets {
		etherType := uint16(0x0800)
		if p[0]>>4 == 6 {
			etherType = 0x86dd
		}
		frame := append(append([]byte(nil), to...), 2, 0, 0, 0, 0, 9)
		frame = append(binary.BigEndian.AppendUint16(frame, etherType), p...)
		if err := port.Send(frame); err != nil {
			w.t.Fatal(err)
		}
	}
}

// nextID numbers datagrams, so that fragments of two are never mixed.
func (w *world) nextID() uint32 {
	w.id++
	return w.id
}

// inner is a customer's frame with a payload of some bytes, unlike all others.
func inner(seed uint32, payload int) []byte {
	return lab.Frame{
		Destination: lab.Broadcast, Source: [6]byte{2, byte(seed >> 24), byte(seed >> 16), byte(seed >> 8), byte(seed), 7},
		EtherType: lab.EtherTypeTest, Payload: lab.Pattern(seed, payload),
	}.Bytes()
}

// awaitFrame waits until the customer gets a frame.
func (w *world) awaitFrame(want []byte) error {
	got, err := w.customer.Await(patience, func(f []byte) bool { return bytes.HasPrefix(f, want[:12]) })
	if err != nil {
		return err
	}
	return lab.SameFrame(want, got)
}

// awaitInjected waits until the slow path has sent a frame, exactly so.
func (w *world) awaitInjected(want []byte) error {
	_, err := w.injected.Await(patience, func(f []byte) bool { return bytes.Equal(f, want) })
	return err
}

// sentNothing says whether the slow path has sent no tunnel packet.
func (w *world) sentNothing() error {
	for _, f := range w.injected.Frames() {
		if bytes.Contains(f, cookie) {
			return fmt.Errorf("it sent %x", f)
		}
	}
	return nil
}

// dropped is how many packets of a carrier's session were dropped for a reason.
func (w *world) dropped(c carrier, reason dataplane.Drop) uint64 {
	w.t.Helper()
	all, err := w.plane.Counters()
	if err != nil {
		w.t.Fatal(err)
	}
	return all[c.String()].Drops[reason]
}

// awaitCounters waits until the counters of the slow path are as wanted.
func (w *world) awaitCounters(what string, ok func(slowpath.Counters) bool) {
	w.t.Helper()
	w.lab.Poll(patience, what, func() error {
		if c := w.slow.Counters(); !ok(c) {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
}

package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"longwire/dataplane"
	"longwire/dataplane/slowpath"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// slowRate is more packets in a second than any test sends.
const slowRate = 10_000

// openSlowPath opens the slow path of a side until the test ends.
func (w *world) openSlowPath(t *testing.T, side int) *slowpath.Slowpath {
	t.Helper()
	e := w.ends[side-1]
	slow := slowpath.New(slowpath.Options{
		Helper: tc.HelperSegment,
		Filter: func(at dataplane.Endpoint) (slowpath.Filter, error) { return e.SessionFilter(at) },
	})
	wanted := slowpath.Wanted{Underlays: []int{e.pe.Index(lab.Uplink)}, Rate: slowRate}
	for _, p := range pseudowires {
		wanted.Endpoints = append(wanted.Endpoints, p.endpoint(side))
	}
	err := e.pe.Do(func() error { return errors.Join(slow.Want(wanted)...) })
	if err != nil {
		t.Fatalf("open the slow path of PE%d: %v", side, err)
	}
	t.Cleanup(func() {
		if err := slow.Close(); err != nil {
			t.Error(err)
		}
	})
	return slow
}

// treatment is what a host or a router may do to a packet that the programs leave
// to the stack then. It returns what is on the wire instead.
type treatment struct {
	name string
	only func(pseudowire) bool
	of   func(t lab.Tunnel, packet []byte, id uint32) [][]byte
	// counted adds what the programs count of so many packets.
	counted func(want totals, p pseudowire, packets int)
}

func overIPv6(p pseudowire) bool { return p.v6 }

var treatments = []treatment{
	{"two fragments", nil, cutEvery(496), fragmentsCounted},
	{"many fragments", nil, cutEvery(104), fragmentsCounted},
	{"fragments backwards", nil, func(t lab.Tunnel, packet []byte, id uint32) [][]byte {
		pieces := cutEvery(200)(t, packet, id)
		for i, j := 0, len(pieces)-1; i < j; i, j = i+1, j-1 {
			pieces[i], pieces[j] = pieces[j], pieces[i]
		}
		return pieces
	}, fragmentsCounted},
	{"IPv4 options", overIPv4, insertOptions, optionsCounted},
	{"hop-by-hop header", overIPv6, insertHeader(0), optionsCounted},
	{"destination options", overIPv6, insertHeader(60), optionsCounted},
}

// fragmentsCounted: only a first fragment over IPv4 tells its session, and behind
// others nothing tells UDP of ours from UDP of anybody's.
func fragmentsCounted(want totals, p pseudowire, packets int) {
	others := packets
	if !p.v6 {
		want.drop(p.String(), dataplane.DropFragment, 1)
		others--
	}
	if !p.udp {
		want.drop("", dataplane.DropFragment, uint64(others))
	}
}

func optionsCounted(want totals, p pseudowire, packets int) {
	if !p.udp {
		want.drop("", dataplane.DropIPOptions, uint64(packets))
	}
}

// cutEvery makes fragments with so many bytes of IP payload, a multiple of 8
// (RFC 791 section 3.2, RFC 8200 section 4.5).
func cutEvery(size int) func(lab.Tunnel, []byte, uint32) [][]byte {
	return func(t lab.Tunnel, packet []byte, id uint32) (pieces [][]byte) {
		header, body := packet[:t.TransportAt()], packet[t.TransportAt():]
		for at := 0; at < len(body); at += size {
			part := body[at:min(at+size, len(body))]
			more := at+size < len(body)
			piece := append([]byte(nil), header...)
			if t.Source.Is4() {
				binary.BigEndian.PutUint16(piece[14+4:], uint16(id))
				binary.BigEndian.PutUint16(piece[14+6:], uint16(at/8)|flag(more)<<13)
			} else {
				next := piece[14+6]
				piece[14+6] = 44
				piece = append(piece, next, 0)
				piece = binary.BigEndian.AppendUint16(piece, uint16(at)|flag(more))
				piece = binary.BigEndian.AppendUint32(piece, id)
			}
			piece = append(piece, part...)
			t.SetIPLength(piece, len(piece)-14)
			pieces = append(pieces, piece)
		}
		return pieces
	}
}

func flag(set bool) uint16 {
	if set {
		return 1
	}
	return 0
}

// insertOptions gives an IPv4 header four options of one byte: no operation,
// and the end of the list.
func insertOptions(t lab.Tunnel, packet []byte, _ uint32) [][]byte {
	at := t.TransportAt()
	longer := append(append([]byte(nil), packet[:at]...), 1, 1, 1, 0)
	longer = append(longer, packet[at:]...)
	longer[14] = 0x46
	t.SetIPLength(longer, len(longer)-14)
	return [][]byte{longer}
}

// insertHeader puts an options header of IPv6 that only pads behind the first
// (RFC 8200 section 4.2).
func insertHeader(kind byte) func(lab.Tunnel, []byte, uint32) [][]byte {
	return func(t lab.Tunnel, packet []byte, _ uint32) [][]byte {
		at := t.TransportAt()
		longer := append([]byte(nil), packet[:at]...)
		longer = append(longer, packet[14+6], 0, 1, 4, 0, 0, 0, 0)
		longer = append(longer, packet[at:]...)
		longer[14+6] = kind
		t.SetIPLength(longer, len(longer)-14)
		return [][]byte{longer}
	}
}

// slowPath sends what the stack has to make plain first: right packets, which are
// delivered once and whole, and wrong ones, which are not and are counted under
// their own reasons.
func slowPath(t *testing.T, w *world) {
	seen, slow := w.watch(t), w.openSlowPath(t, 1)
	var id uint32
	for number, kind := range treatments {
		for _, p := range pseudowires {
			if kind.only != nil && !kind.only(p) {
				continue
			}
			t.Run(kind.name+"/"+p.String(), func(t *testing.T) {
				before, slowBefore := w.count(t, 1), slow.Counters()
				seen.reset()
				want := totals{}
				send := func(tunnel lab.Tunnel, frame []byte, take func([][]byte) [][]byte) {
					id++
					pieces := kind.of(tunnel, wrap(t, tunnel, append(tunnel.Header(), frame...)), id)
					for _, piece := range take(pieces) {
						w.inject(t, piece)
					}
					if len(take(pieces)) == len(pieces) {
						kind.counted(want, p, len(pieces))
					}
				}
				all := func(pieces [][]byte) [][]byte { return pieces }
				right, wrongCookie := p.tunnel(2), p.tunnel(2)
				wrongCookie.Cookie = "ff" + wrongCookie.Cookie[2:]
				send(wrongCookie, innerFrame(7000+10*number, 700), all)
				want.drop(p.String(), dataplane.DropWrongCookie, 1)
				first, second := innerFrame(7001+10*number, 700), innerFrame(7002+10*number, 1200)
				send(right, first, all)
				send(right, second, all)
				seen.wants(t, 1, p, first, second)
				want.delivered(p.String(), first, second)
				w.wantCounted(t, 1, before, want)
				err := lab.Await(patience, func() error {
					if taken := slow.Counters().Delivered - slowBefore.Delivered; taken != 3 {
						return fmt.Errorf("the slow path gave %d packets to the programs, want 3", taken)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	t.Run("fragments alone", func(t *testing.T) { loneFragments(t, w, seen) })
}

// loneFragments sends one fragment of each packet and no other: none is delivered
// as if it were a whole packet.
func loneFragments(t *testing.T, w *world, seen *watch) {
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) {
			before := w.count(t, 1)
			seen.reset()
			tunnel, want := p.tunnel(2), totals{}
			const count = 4
			for alone := range count {
				// The payload of each later fragment is a packet of its own by its looks.
				whole := wrap(t, tunnel, append(tunnel.Header(), innerFrame(7900+alone, 60)...))
				like := whole[tunnel.TransportAt():]
				body := append([]byte(nil), like...)
				for len(body) < count*len(like)/8*8 {
					body = append(body, like...)
				}
				packet := append(append([]byte(nil), whole[:tunnel.TransportAt()]...), body...)
				pieces := cutEvery(len(like)/8*8)(tunnel, packet, uint32(9000+alone))
				w.inject(t, pieces[alone])
				if !p.v6 && alone == 0 {
					want.drop(p.String(), dataplane.DropFragment, 1)
				} else if !p.udp {
					want.drop("", dataplane.DropFragment, 1)
				}
			}
			right := innerFrame(7990+p.number, 60)
			w.deliver(t, p, right)
			seen.wants(t, 1, p, right)
			want.delivered(p.String(), right)
			w.wantCounted(t, 1, before, want)
		})
	}
}

// sequences sends numbered packets to a session that cares: duplicates and late
// ones are dropped, gaps are counted.
func sequences(t *testing.T, w *world) {
	seen := w.watch(t)
	steps := []struct {
		number uint32
		drop   dataplane.Drop
		gap    uint64
	}{
		{number: 0xfffffe}, {number: 0xffffff}, {number: 0}, {number: 0, drop: dataplane.DropDuplicate}, {number: 1},
		{number: 0xffffff, drop: dataplane.DropLate}, {number: 5, gap: 3}, {number: 3, drop: dataplane.DropLate},
		{number: 6}, {number: 6, drop: dataplane.DropDuplicate}, {number: 7},
	}
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) {
			e, circuit := w.ends[0], w.PE1.Index(lab.Circuit(p.number))
			r := p.receive(t, 1, circuit)
			r.Sequencing = true
			if err := e.PutReceive(r); err != nil {
				t.Fatal(err)
			}
			defer e.program(t, p, 1)
			before := w.count(t, 1)
			seen.reset()
			var arriving [][]byte
			want := totals{}
			var gaps uint64
			for i, step := range steps {
				frame, tunnel := innerFrame(8000+i, 60), p.tunnel(2)
				header := tunnel.Header()
				binary.BigEndian.PutUint32(layerAt(header), 0x40000000|step.number)
				w.inject(t, wrap(t, tunnel, append(header, frame...)))
				gaps += step.gap
				want.drop(p.String(), step.drop, 1)
				if step.drop == "" {
					arriving = append(arriving, frame)
				}
			}
			seen.wants(t, 1, p, arriving...)
			want.delivered(p.String(), arriving...)
			of := want[p.String()]
			of.SequenceGaps = gaps
			want[p.String()] = of
			w.wantCounted(t, 1, before, want)
		})
	}
}

// unknownDropped makes packets of unknown sessions be dropped: the stack is not
// given them, and only the programs know of them.
func unknownDropped(t *testing.T, w *world) {
	w.ends[0].admit(t, 1, true)
	defer w.ends[0].admit(t, 1, false)
	seen, others := w.watch(t), w.listen(t)
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) {
			before := w.count(t, 1)
			seen.reset()
			unknown := p.tunnel(2)
			unknown.Session += 1000
			w.inject(t, wrap(t, unknown, append(unknown.Header(), innerFrame(8500, 60)...)))
			right := innerFrame(8501, 60)
			w.deliver(t, p, right)
			seen.wants(t, 1, p, right)
			want := totals{}
			want.delivered(p.String(), right)
			want.drop("", dataplane.DropUnknownSession, 1)
			w.wantCounted(t, 1, before, want)
			others.wants(t, nil)
		})
	}
}

// loops leads the way to the far end back into a circuit: the packet is dropped
// and does not leave there.
func loops(t *testing.T, w *world) {
	seen := w.watch(t)
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) {
			w.lease(t, false, 1, p)
			w.warm(t, seen, 1, p)
			before := w.count(t, 1)
			seen.reset()
			far, dev := fmt.Sprintf("%v/%d", p.source(2), p.source(2).BitLen()), lab.Circuit(p.number)
			// Without an address IPv6 has nothing to say there.
			w.PE1.Sysctl("net/ipv6/conf/"+dev+"/addr_gen_mode", "1")
			w.PE1.Sysctl("net/ipv6/conf/"+dev+"/disable_ipv6", "0")
			defer silence(w.PE1.Namespace, dev)
			w.PE1.Run("ip", "route", "add", far, "dev", dev)
			frame := innerFrame(8600+p.number, 100)
			if err := w.ports[0][p.number].Send(frame); err != nil {
				t.Error(err)
			}
			want := totals{}
			want.sent(p.String(), frame)
			want.drop(p.String(), dataplane.DropLoop, 1)
			w.wantCounted(t, 1, before, want)
			w.PE1.Run("ip", "route", "delete", far, "dev", dev)
			// Neither host has received anything when the next frame crosses.
			seen.wants(t, 1, p)
			w.warm(t, seen, 1, p)
		})
	}
}

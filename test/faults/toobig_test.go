package faults

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"longwire/dataplane"
	"longwire/test/lab"
)

// smallMTU is that of an underlay that does not carry the customer's largest
// frames, in bytes of IP.
const smallMTU = 1400

// overhead is the outer header from IP on.
func (p pseudowire) overhead() int {
	tunnel := p.tunnel(1)
	n := tunnel.TransportAt() - 14 + len(tunnel.Header())
	if p.udp {
		n += 8
	}
	return n
}

// policy makes a side treat frames that are too big in one way.
func (w *world) policy(t *testing.T, side int, p pseudowire, policy dataplane.TooBig) {
	t.Helper()
	e := w.ends[side-1]
	tx := p.transmit(t, side, e.pe.Index(lab.Circuit(p.number)))
	tx.TooBig, tx.DontFragment = policy, policy != dataplane.TooBigFragment
	if err := e.PutTransmit(tx); err != nil {
		t.Fatal(err)
	}
}

// tooBig sends frames over an underlay that they do not fit, under each policy.
func tooBig(t *testing.T, w *world) {
	w.resize(circuitMTU, smallMTU)
	defer w.resize(circuitMTU, lab.UnderlayMTU)
	seen := w.watch(t)
	w.openSlowPath(t, 2)
	for _, p := range pseudowires {
		t.Run("fragment/"+p.String(), func(t *testing.T) { fragmented(t, w, seen, p) })
		t.Run("drop/"+p.String(), func(t *testing.T) { droppedBig(t, w, seen, p) })
		t.Run("answer/"+p.String(), func(t *testing.T) { answered(t, w, seen, p) })
		for side := 1; side <= 2; side++ {
			w.ends[side-1].program(t, p, side)
		}
	}
}

// fragmented wants frames around the limit, and the largest, to cross whole.
func fragmented(t *testing.T, w *world, seen *watch, p pseudowire) {
	w.policy(t, 1, p, dataplane.TooBigFragment)
	w.warm(t, seen, 1, p)
	most := smallMTU - p.overhead()
	for _, leased := range []bool{false, true} {
		w.lease(t, leased, 1, p)
		var sent [][]byte
		encapsulated, delivered := totals{}, totals{}
		for i, size := range []int{most, most + 1, most + 7, most + 8, 1514, 1526} {
			s := shape{destination: unicast, etherType: lab.EtherTypeTest, payload: lab.Pattern(uint32(size), size-14)}
			if size == 1526 {
				s.tags, s.payload = []lab.Tag{dot1ad(3), dot1q(2), dot1q(1)}, lab.Pattern(7, 1500)
			}
			sent = append(sent, s.frame([6]byte{2, 1, 0xb, byte(p.number), byte(i), byte(flag(leased))}))
			if i > 0 {
				fragmentsCounted(delivered, p, 2)
			}
		}
		encapsulated.sent(p.String(), sent...)
		of := encapsulated[p.String()]
		of.Fragmented = uint64(len(sent) - 1)
		encapsulated[p.String()] = of
		delivered.delivered(p.String(), sent...)
		// One at a time: what the slow path delivers comes after what goes straight.
		before := [2]totals{w.count(t, 1), w.count(t, 2)}
		seen.reset()
		for i, frame := range sent {
			if err := w.ports[0][p.number].Send(frame); err != nil {
				t.Fatal(err)
			}
			seen.wants(t, 2, p, sent[:i+1]...)
		}
		w.wantCounted(t, 1, before[0], encapsulated)
		w.wantCounted(t, 2, before[1], delivered)
	}
}

// droppedBig wants the largest frame that fits to cross, and one byte more to be
// dropped and counted, without a word. Without a lease it is the kernel's routing
// that finds out, behind the encapsulation.
func droppedBig(t *testing.T, w *world, seen *watch, p pseudowire) {
	w.policy(t, 1, p, dataplane.TooBigDrop)
	w.warm(t, seen, 1, p)
	most := smallMTU - p.overhead()
	for _, leased := range []bool{false, true} {
		fits, over := innerFrame(8700, most-14), innerFrame(8701, most-13)
		want := totals{}
		w.lease(t, leased, 1, p)
		if leased {
			want.sent(p.String(), fits)
		} else {
			want.sent(p.String(), fits, over)
		}
		want.drop(p.String(), dataplane.DropTooBig, 1)
		before := w.count(t, 1)
		seen.reset()
		for _, frame := range [][]byte{over, fits} {
			if err := w.ports[0][p.number].Send(frame); err != nil {
				t.Fatal(err)
			}
		}
		seen.wants(t, 2, p, fits)
		w.wantCounted(t, 1, before, want)
	}
}

// answered wants the customer's host to be told of the largest packet that
// crosses.
func answered(t *testing.T, w *world, seen *watch, p pseudowire) {
	for side := 1; side <= 2; side++ {
		w.policy(t, side, p, dataplane.TooBigAnswer)
	}
	w.warm(t, seen, 1, p)
	for _, host := range []func(side, port int) netip.Addr{lab.Host4, lab.Host6} {
		from, to := host(1, p.number), host(2, p.number)
		request := datagram(t, from, to, 1480)
		told := func() (answers []gopacket.Packet) {
			for _, f := range seen.hosts[0][p.number].Frames() {
				packet := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
				if packet.Layer(layers.LayerTypeICMPv4) != nil || packet.Layer(layers.LayerTypeICMPv6) != nil {
					answers = append(answers, packet)
				}
			}
			return answers
		}
		before, sent := w.count(t, 1), uint64(0)
		seen.reset()
		// One answer at the most in a tick of the clock.
		err := lab.Await(patience, func() error {
			w.lease(t, true, 1, p)
			sent++
			if err := w.ports[0][p.number].Send(request); err != nil {
				return err
			}
			return lab.Await(300*time.Millisecond, func() error {
				if len(told()) == 0 {
					return errors.New("no ICMP came")
				}
				return nil
			})
		})
		if err != nil {
			t.Fatalf("no answer to a packet of 1480 bytes from %v: %v", from, err)
		}
		// On a busy machine an answer may come when it was asked for again.
		err = lab.Await(patience, func() error {
			c, answers := w.count(t, 1).since(before)[p.String()], uint64(len(told()))
			if c.Answered != answers || c.Drops[dataplane.DropTooBig] != sent || len(c.Drops) != 1 || c.EncapPackets != 0 {
				return fmt.Errorf("counted %+v, want %d frames dropped and %d answers", c, sent, answers)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		for _, answer := range told() {
			if err := saysTooBig(answer, from, to, smallMTU-p.overhead()-14); err != nil {
				t.Error(err)
			}
		}
	}
}

// bigTransfers moves bytes by TCP of hosts that think that their largest packets
// fit: first in fragments, then in the smaller packets that they are told of. The
// order matters, because they remember.
func bigTransfers(t *testing.T, w *world) {
	w.resize(circuitMTU, smallMTU)
	defer w.resize(circuitMTU, lab.UnderlayMTU)
	for side := 1; side <= 2; side++ {
		w.openSlowPath(t, side)
	}
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) { bigTransfer(t, w, p) })
		for side := 1; side <= 2; side++ {
			w.ends[side-1].program(t, p, side)
		}
	}
}

func bigTransfer(t *testing.T, w *world, p pseudowire) {
	w.speak(t, p)
	for _, policy := range []dataplane.TooBig{dataplane.TooBigFragment, dataplane.TooBigAnswer} {
		for side := 1; side <= 2; side++ {
			w.policy(t, side, p, policy)
		}
		before := [2]totals{w.count(t, 1), w.count(t, 2)}
		for side := 1; side <= 2; side++ {
			from, _ := w.Side(side)
			far, _ := w.Side(3 - side)
			for _, host := range []func(side, port int) netip.Addr{lab.Host4, lab.Host6} {
				w.lease(t, true, 1, p)
				w.lease(t, true, 2, p)
				if _, err := w.Transfer(from, far, host(3-side, p.number), 1<<19, transferTime); err != nil {
					t.Fatalf("%v, from CE%d: %v\nPE1 %+v\nPE2 %+v", policy, side, err, w.count(t, 1), w.count(t, 2))
				}
			}
		}
		for side := 1; side <= 2; side++ {
			c := w.count(t, side).since(before[side-1])[p.String()]
			if big := c.Fragmented > 0; big != (policy == dataplane.TooBigFragment) {
				t.Errorf("%v: PE%d sent %d frames in fragments", policy, side, c.Fragmented)
			}
			// Fragments that arrive are counted among the drops, though none is lost.
			dropped := c.Drops[dataplane.DropTooBig]
			delete(c.Drops, dataplane.DropTooBig)
			delete(c.Drops, dataplane.DropFragment)
			if len(c.Drops) > 0 || c.Answered > dropped || policy == dataplane.TooBigFragment && dropped > 0 {
				t.Errorf("%v: PE%d dropped %d frames, answered %d and dropped others: %v", policy, side, dropped, c.Answered, c.Drops)
			}
			// The host that sends first is told; the other one learns it from the first.
			if told := c.Answered > 0; side == 1 && told != (policy == dataplane.TooBigAnswer) {
				t.Errorf("%v: PE1 answered %d times", policy, c.Answered)
			}
		}
	}
}

// datagram is a frame with a UDP datagram that may not be fragmented, in an IP
// packet of so many bytes.
func datagram(t *testing.T, from, to netip.Addr, size int) []byte {
	t.Helper()
	tunnel := lab.Tunnel{Source: from, Destination: to, UDP: true}
	frame := wrap(t, tunnel, lab.Pattern(uint32(size), size-(tunnel.TransportAt()-14)-8))
	copy(frame, unicast[:])
	copy(frame[6:], []byte{2, 1, 0xc, 0, 0, 1})
	return frame
}

// saysTooBig reads the answer to a packet (RFC 1191 section 4, RFC 4443 section
// 3.2): from its destination, with right checksums, the MTU and what it is about.
func saysTooBig(answer gopacket.Packet, from, to netip.Addr, mtu int) error {
	if failure := answer.ErrorLayer(); failure != nil && answer.NetworkLayer() == nil {
		return failure.Error()
	}
	flow := answer.NetworkLayer().NetworkFlow()
	if flow.Src().String() != to.String() || flow.Dst().String() != from.String() {
		return fmt.Errorf("the answer goes from %v to %v, want %v to %v", flow.Src(), flow.Dst(), to, from)
	}
	if icmp, ok := answer.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); ok {
		if err := icmp.SetNetworkLayerForChecksum(answer.NetworkLayer()); err != nil {
			return err
		}
	}
	if err, wrong := answer.VerifyChecksums(); err != nil || len(wrong) > 0 {
		return fmt.Errorf("checksums of the answer: %v, %w", wrong, err)
	}
	if icmp, ok := answer.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		code := layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodeFragmentationNeeded)
		if icmp.TypeCode != code || int(icmp.Seq) != mtu {
			return fmt.Errorf("answered %v with an MTU of %d, want %v with %d", icmp.TypeCode, icmp.Seq, code, mtu)
		}
		return nil
	}
	icmp, ok := answer.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	if !ok {
		return errors.New("the answer is no ICMP")
	}
	payload := icmp.LayerPayload()
	if icmp.TypeCode.Type() != layers.ICMPv6TypePacketTooBig || len(payload) < 4 {
		return fmt.Errorf("answered %v", icmp.TypeCode)
	}
	if said := int(payload[2])<<8 | int(payload[3]); said != mtu {
		return fmt.Errorf("answered an MTU of %d, want %d", said, mtu)
	}
	return nil
}

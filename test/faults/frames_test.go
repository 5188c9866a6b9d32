package faults

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"longwire/dataplane"
	"longwire/test/lab"
)

// shape is a kind of customer's frame that must cross unchanged.
type shape struct {
	name        string
	destination [6]byte
	tags        []lab.Tag
	etherType   uint16 // or a length
	payload     []byte
}

// etherType9100 is what some switches use for the outer tag of two; to the kernel
// it is no tag.
const etherType9100 = 0x9100

var unicast = [6]byte{0x02, 0, 0, 0, 0xbe, 0xef}

func dot1q(tci uint16) lab.Tag  { return lab.Tag{TPID: lab.EtherTypeVLAN, TCI: tci} }
func dot1ad(tci uint16) lab.Tag { return lab.Tag{TPID: lab.EtherTypeQinQ, TCI: tci} }
func old9100(tci uint16) lab.Tag {
	return lab.Tag{TPID: etherType9100, TCI: tci}
}

// bytesOf makes a payload of bytes that are written down, and zeros up to the
// least frame.
func bytesOf(digits string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err)
	}
	return append(b, make([]byte, max(0, 46-len(b)))...)
}

// group is an address that bridges keep for themselves (IEEE 802.1Q table 8-1).
func group(last byte) [6]byte { return [6]byte{0x01, 0x80, 0xc2, 0, 0, last} }

func shapes() []shape {
	pattern := func(n int) []byte { return lab.Pattern(uint32(n), n) }
	return []shape{
		{"broadcast", lab.Broadcast, nil, lab.EtherTypeTest, pattern(200)},
		{"unicast to nobody", unicast, nil, lab.EtherTypeTest, pattern(101)},
		{"length in place of an EtherType", unicast, nil, 48, pattern(48)},
		{"IPv4 in name only", unicast, nil, 0x0800, pattern(77)},
		{"IPv6 in name only", unicast, nil, 0x86dd, pattern(5)},
		{"ARP in name only", unicast, nil, 0x0806, pattern(3)},
		{"MPLS", unicast, nil, 0x8847, pattern(300)},
		{"no payload", unicast, nil, lab.EtherTypeTest, nil},
		{"no payload of IPv4", unicast, nil, 0x0800, nil},
		{"no payload of IPv6", unicast, nil, 0x86dd, nil},
		{"one byte", unicast, nil, lab.EtherTypeTest, pattern(1)},
		{"33 bytes in all", unicast, nil, 0x0800, pattern(19)},
		{"34 bytes in all", unicast, nil, 0x86dd, pattern(20)},
		{"53 bytes in all", unicast, nil, 0x86dd, pattern(39)},
		{"1499 bytes", unicast, nil, lab.EtherTypeTest, pattern(1499)},
		{"1500 bytes", unicast, nil, 0x0800, pattern(1500)},
		{"802.1Q", unicast, []lab.Tag{dot1q(0xa064)}, lab.EtherTypeTest, pattern(1500)},
		{"802.1Q, two bytes", unicast, []lab.Tag{dot1q(1)}, 0x0800, pattern(2)},
		{"802.1p", unicast, []lab.Tag{dot1q(0xe000)}, lab.EtherTypeTest, pattern(64)},
		{"802.1ad", unicast, []lab.Tag{dot1ad(200)}, lab.EtherTypeTest, pattern(1500)},
		{"0x9100", unicast, []lab.Tag{old9100(200)}, 0x0800, pattern(1500)},
		{"QinQ", unicast, []lab.Tag{dot1ad(200), dot1q(100)}, lab.EtherTypeTest, pattern(1500)},
		{"QinQ of IPv6", lab.Broadcast, []lab.Tag{dot1ad(0x3fff), dot1q(1)}, 0x86dd, pattern(90)},
		{"QinQ by 802.1Q twice", unicast, []lab.Tag{dot1q(10), dot1q(20)}, 0x0806, pattern(28)},
		{"QinQ by 0x9100", unicast, []lab.Tag{old9100(10), dot1q(20)}, 0x0800, pattern(99)},
		{"three tags", unicast, []lab.Tag{dot1ad(3), dot1q(2), dot1q(1)}, lab.EtherTypeTest, pattern(1500)},
		{"three tags of all kinds", unicast, []lab.Tag{dot1q(3), dot1ad(2), old9100(1)}, 0x86dd, pattern(46)},
		{"three by 0x9100", unicast, []lab.Tag{old9100(3), old9100(2), old9100(1)}, 0x0800, pattern(46)},
		{"STP", group(0), nil, 38, bytesOf("424203 0000 00 00 00 8000020000000001 00000000 8000020000000001 8001 0000 1400 0200 0f00")},
		{"RSTP proposal", group(0), nil, 39, bytesOf("424203 0000 02 02 0e 0000020000000001 00000000 0000020000000001 8001 0000 1400 0200 0f00 00")},
		{"PAUSE", group(1), nil, 0x8808, bytesOf("0001 ffff")},
		{"LACP", group(2), nil, 0x8809, bytesOf("01 01 0114 ffff 020000000001 0001 00ff 0001 45 000000")},
		{"802.1X", group(3), nil, 0x888e, bytesOf("01 01 0000")},
		{"LLDP", group(0x0e), nil, 0x88cc, bytesOf("0207 04 020000000001 0404 05 657430 0602 0078 0000")},
		{"LLDP with a tag", group(0x0e), []lab.Tag{dot1q(7)}, 0x88cc, bytesOf("0207 04 020000000001 0404 05 657430 0602 0078 0000")},
		{"CFM", group(0x33), nil, 0x8902, bytesOf("6001 04 46 00000001 0001")},
		{"CFM with two tags", group(0x3f), []lab.Tag{dot1ad(5), dot1q(6)}, 0x8902, bytesOf("e001 04 46 00000001 0001")},
		{"PVST+", [6]byte{1, 0, 0x0c, 0xcc, 0xcc, 0xcd}, []lab.Tag{dot1q(100)}, 50, bytesOf("aaaa03 00000c 010b 0000 00 00 00 8064020000000001")},
		{"CDP", [6]byte{1, 0, 0x0c, 0xcc, 0xcc, 0xcc}, nil, 40, bytesOf("aaaa03 00000c 2000 02 b4")},
		{"IGMP query", [6]byte{1, 0, 0x5e, 0, 0, 1}, nil, 0x0800,
			bytesOf("46c00020 00000000 01020000 c6120063 e0000001 94040000 1164eafa 00000000 020c007d")},
	}
}

// frame makes one frame of the shape. The source address tells frames apart.
func (s shape) frame(source [6]byte) []byte {
	return lab.Frame{Destination: s.destination, Source: source, Tags: s.tags, EtherType: s.etherType, Payload: s.payload}.Bytes()
}

// pcap is the filter of Longwire's packets.
const pcap = "ip proto 115 or ip6 proto 115 or udp port 1701"

// frames sends every shape over every pseudowire both ways, with and without a
// leased next hop. What arrives is the same, what goes over the underlay is right
// behind the router, and nobody answers.
func frames(t *testing.T, w *world) {
	capture, seen := w.P.Capture("pe2", pcap), w.watch(t)
	enough := map[lab.Key]int{}
	for round, leased := range []bool{false, true} {
		for side := 1; side <= 2; side++ {
			for _, p := range pseudowires {
				t.Run(fmt.Sprintf("from-ce%d-leased-%v/%v", side, leased, p), func(t *testing.T) {
					w.lease(t, leased, side, p)
					var sent [][]byte
					for number, s := range shapes() {
						sent = append(sent, s.frame([6]byte{2, byte(side), byte(p.number), byte(round), 0xf0, byte(number)}))
					}
					w.warm(t, seen, side, p)
					w.cross(t, seen, side, p, sent)
					tunnel := p.tunnel(side)
					enough[lab.Key{Destination: tunnel.Destination, Session: tunnel.Session}] += len(sent) + 1
				})
			}
		}
	}
	w.wantWire(t, capture, enough)
}

// warm sends one frame, so that those that follow it wait for no neighbour.
func (w *world) warm(t *testing.T, seen *watch, side int, p pseudowire) {
	t.Helper()
	w.cross(t, seen, side, p, [][]byte{innerFrame(3000+p.number, 46)})
}

// cross sends frames from the host of a side and wants the other's to receive
// these and no others, both PEs to count them exactly, and the sender and the
// bridges to see nothing of them.
func (w *world) cross(t *testing.T, seen *watch, side int, p pseudowire, sent [][]byte) {
	t.Helper()
	encapsulated, delivered := totals{}, totals{}
	encapsulated.sent(p.String(), sent...)
	delivered.delivered(p.String(), sent...)
	w.crossCounting(t, seen, side, p, sent, encapsulated, delivered)
}

// crossCounting is cross for frames that the PEs count in some other way.
func (w *world) crossCounting(t *testing.T, seen *watch, side int, p pseudowire, sent [][]byte, encapsulated, delivered totals) {
	t.Helper()
	far := 3 - side
	before := [2]totals{w.count(t, 1), w.count(t, 2)}
	seen.reset()
	for i, frame := range sent {
		if err := w.ports[side-1][p.number].Send(frame); err != nil {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	seen.wants(t, far, p, sent...)
	w.wantCounted(t, side, before[side-1], encapsulated)
	w.wantCounted(t, far, before[far-1], delivered)
}

// wantWire wants the packets behind the router to be right to the last checksum,
// and of each session as many as were sent.
func (w *world) wantWire(t *testing.T, capture *lab.Capture, enough map[lab.Key]int) {
	t.Helper()
	defer os.Remove(capture.Path)
	total := 0
	for _, n := range enough {
		total += n
	}
	if err := capture.Await(patience, total); err != nil {
		t.Error(err)
	}
	if missed := capture.Stop(); missed != 0 {
		t.Errorf("the capture missed %d packets", missed)
	}
	// No device has anything left to do for a frame that came whole and summed.
	tally, err := lab.CheckWire(capture, tunnels(false)...)
	if err != nil {
		t.Error(err)
	}
	for key, want := range enough {
		if got := tally.Sessions[key]; got != want {
			t.Errorf("%d packets of session %d to %v, want %d", got, key.Session, key.Destination, want)
		}
	}
}

// tooManyTags sends frames with four tags, which are more than are carried.
func tooManyTags(t *testing.T, w *world) {
	seen := w.watch(t)
	stacks := [][]lab.Tag{
		{dot1ad(4), dot1q(3), dot1q(2), dot1q(1)},
		{dot1q(4), dot1q(3), dot1q(2), dot1q(1)},
		{dot1ad(5), dot1ad(4), dot1ad(3), dot1ad(2), dot1q(1)},
	}
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) {
			w.warm(t, seen, 1, p)
			before := w.count(t, 1)
			seen.reset()
			for i, tags := range stacks {
				s := shape{destination: unicast, tags: tags, etherType: 0x0800, payload: lab.Pattern(7, 100)}
				if err := w.ports[0][p.number].Send(s.frame([6]byte{2, 1, 0, 4, byte(p.number), byte(i)})); err != nil {
					t.Fatal(err)
				}
			}
			// To the kernel this is a frame with no tag at all.
			most := shape{destination: unicast, tags: []lab.Tag{old9100(4), dot1q(3), dot1q(2), dot1q(1)}, etherType: 0x0800,
				payload: lab.Pattern(8, 100)}.frame([6]byte{2, 1, 0, 5, byte(p.number)})
			if err := w.ports[0][p.number].Send(most); err != nil {
				t.Fatal(err)
			}
			seen.wants(t, 2, p, most)
			want := totals{}
			want.sent(p.String(), most)
			want.drop(p.String(), dataplane.DropTooManyTags, uint64(len(stacks)))
			w.wantCounted(t, 1, before, want)
		})
	}
}

// ownHost gives the PE an address in the customer's network and asks for it: the
// circuit belongs to its pseudowire, so the question crosses and the PE does not
// answer.
func ownHost(t *testing.T, w *world) {
	seen := w.watch(t)
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) {
			dev := lab.Circuit(p.number)
			if w.device.circuit == lab.CircuitBridgePort {
				dev = lab.Bridge(p.number)
			}
			own := lab.Host4(9, p.number)
			w.PE1.Address(dev, own.String()+"/24")
			defer w.PE1.Run("ip", "address", "delete", own.String()+"/24", "dev", dev)
			host := w.CE1.MAC(lab.HostPort(p.number))
			mac := w.PE1.MAC(dev)
			from := lab.Host4(1, p.number)
			// ARP (RFC 826): who has it?
			arp := bytes.Join([][]byte{bytesOf("0001 0800 06 04 0001")[:8], host, from.AsSlice(), make([]byte, 6), own.AsSlice()}, nil)
			// An echo request (RFC 792) whose IPv4 checksum is filled in below.
			echo := bytes.Join([][]byte{bytesOf("4500001c 00000000 40010000")[:12], from.AsSlice(), own.AsSlice(), {8, 0, 0xf7, 0xff, 0, 0, 0, 0}}, nil)
			// The bridge may know the host itself from before the programs came.
			question := shape{destination: lab.Broadcast, etherType: 0x0806, payload: arp}.frame([6]byte{2, 1, 0, 6, byte(p.number)})
			request := shape{destination: [6]byte(mac), etherType: 0x0800, payload: echo}.frame([6]byte{2, 1, 0, 7, byte(p.number)})
			lab.SumIPv4(request)
			w.cross(t, seen, 1, p, [][]byte{question, request})
		})
	}
}

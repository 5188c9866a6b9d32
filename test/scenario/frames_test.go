package scenario

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"longwire/test/lab"
)

// shape is a kind of customer frame that must cross unchanged.
type shape struct {
	name        string
	destination [6]byte
	tags        []lab.Tag
	etherType   uint16
	payload     int // bytes
}

var unicast = [6]byte{0x02, 0, 0, 0, 0xbe, 0xef}

var shapes = []shape{
	{"broadcast", lab.Broadcast, nil, lab.EtherTypeTest, 200},
	{"multicast of a link protocol", [6]byte{0x01, 0x80, 0xc2, 0, 0, 0x0e}, nil, 0x88cc, 100},
	{"unicast to nobody", unicast, nil, lab.EtherTypeTest, 101},
	{"length field in place of an EtherType", unicast, nil, 0x0030, 48},
	{"IPv4 in name only", unicast, nil, 0x0800, 77},
	{"IPv6 in name only", unicast, nil, 0x86dd, 5},
	{"MPLS", unicast, nil, 0x8847, 300},
	{"1500 bytes", unicast, nil, lab.EtherTypeTest, 1500},
	{"1499 bytes", unicast, nil, lab.EtherTypeTest, 1499},
	{"one byte", unicast, nil, lab.EtherTypeTest, 1},
	{"no payload", unicast, nil, lab.EtherTypeTest, 0},
	{"802.1Q", unicast, []lab.Tag{{TPID: lab.EtherTypeVLAN, TCI: 0xa064}}, lab.EtherTypeTest, 1500},
	{"802.1Q, IP", unicast, []lab.Tag{{TPID: lab.EtherTypeVLAN, TCI: 100}}, 0x0800, 60},
	{"802.1p", unicast, []lab.Tag{{TPID: lab.EtherTypeVLAN, TCI: 0xe000}}, lab.EtherTypeTest, 64},
	{"802.1ad", unicast, []lab.Tag{{TPID: lab.EtherTypeQinQ, TCI: 200}}, lab.EtherTypeTest, 1500},
	{"QinQ", unicast, []lab.Tag{{TPID: lab.EtherTypeQinQ, TCI: 200}, {TPID: lab.EtherTypeVLAN, TCI: 100}}, lab.EtherTypeTest, 1500},
	{"QinQ, IP", lab.Broadcast, []lab.Tag{{TPID: lab.EtherTypeQinQ, TCI: 0x3fff}, {TPID: lab.EtherTypeVLAN, TCI: 1}}, 0x86dd, 90},
	{"three tags", unicast, []lab.Tag{{TPID: lab.EtherTypeQinQ, TCI: 3}, {TPID: lab.EtherTypeVLAN, TCI: 2}, {TPID: lab.EtherTypeVLAN, TCI: 1}}, lab.EtherTypeTest, 200},
	{"two 802.1Q tags", unicast, []lab.Tag{{TPID: lab.EtherTypeVLAN, TCI: 10}, {TPID: lab.EtherTypeVLAN, TCI: 20}}, 0x0806, 28},
}

// frame makes one frame of the shape. The source address tells frames apart.
func (s shape) frame(number int, side byte) []byte {
	return lab.Frame{
		Destination: s.destination, Source: [6]byte{0x02, side, 0, 0, byte(number >> 8), byte(number)},
		Tags: s.tags, EtherType: s.etherType, Payload: lab.Pattern(uint32(number), s.payload),
	}.Bytes()
}

// cross sends every shape over a wire in both directions and compares what
// arrives. The circuits need an MTU of 1508.
func (p *pair) cross(t *testing.T, w wire) {
	t.Helper()
	hosts := []*lab.Namespace{p.CE1, p.CE2}
	for from, host := range hosts {
		port, far := host.Port(lab.HostPort(w.number)), hosts[1-from].Sniff(lab.HostPort(w.number))
		sent := make([][]byte, len(shapes))
		for i, s := range shapes {
			sent[i] = s.frame(w.number*len(shapes)+i, byte(from+1))
			if err := port.Send(sent[i]); err != nil {
				t.Errorf("%s: send: %v", s.name, err)
			}
		}
		for i, s := range shapes {
			got, err := far.Await(3*time.Second, func(f []byte) bool { return bytes.HasPrefix(f, sent[i][:12]) })
			if err == nil {
				err = lab.SameFrame(sent[i], got)
			}
			if err != nil {
				t.Errorf("%s from CE%d: %v", s.name, from+1, err)
			}
		}
		far.Close()
	}
}

// arrives sends frames from CE1 until one arrives at CE2, and says how many it
// took.
func (p *pair) arrives(w wire, within time.Duration) (tries int, err error) {
	port, far := p.CE1.Port(lab.HostPort(w.number)), p.CE2.Sniff(lab.HostPort(w.number))
	defer far.Close()
	err = lab.Await(within, func() error {
		tries++
		sent := lab.Frame{Destination: unicast, Source: [6]byte{2, 9, byte(tries), byte(tries >> 8)},
			EtherType: lab.EtherTypeTest, Payload: lab.Pattern(uint32(tries), 300)}.Bytes()
		if err := port.Send(sent); err != nil {
			return err
		}
		if _, err := far.Await(100*time.Millisecond, func(f []byte) bool { return bytes.Equal(f, sent) }); err != nil {
			return fmt.Errorf("frame %d: %w", tries, err)
		}
		return nil
	})
	return tries, err
}

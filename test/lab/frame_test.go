package lab

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFramesArriveWithAllTheirTags(t *testing.T) {
	t.Parallel()
	_, a, b := line(t)
	a.MTU("left", 1600)
	b.MTU("right", 1600)
	port, far := a.Port("left"), b.Sniff("right")
	tests := []struct {
		name string
		tags []Tag
		size int
	}{
		{"untagged", nil, 100},
		{"802.1Q", []Tag{{EtherTypeVLAN, 0x6064}}, 100},
		{"802.1Q with VLAN id 0", []Tag{{EtherTypeVLAN, 0xe000}}, 100},
		{"802.1ad", []Tag{{EtherTypeQinQ, 0x00c8}}, 1500},
		{"QinQ", []Tag{{EtherTypeQinQ, 0x00c8}, {EtherTypeVLAN, 0x0064}}, 1500},
		{"three tags", []Tag{{EtherTypeQinQ, 1}, {EtherTypeVLAN, 2}, {EtherTypeVLAN, 3}}, 64},
		{"no payload", nil, 0},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := Frame{Destination: Broadcast, Source: [6]byte{2, byte(i)}, Tags: tt.tags,
				EtherType: EtherTypeTest, Payload: Pattern(uint32(i), tt.size)}.Bytes()
			if err := port.Send(sent); err != nil {
				t.Fatal(err)
			}
			got, err := far.Await(5*time.Second, func(f []byte) bool { return bytes.HasPrefix(f, sent[:12]) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sent, got); diff != "" {
				t.Errorf("the frame changed (-sent +received):\n%s", diff)
			}
		})
	}
}

func TestSnifferSeesOnlyWhatComesIn(t *testing.T) {
	t.Parallel()
	_, a, b := line(t)
	near, far := a.Sniff("left"), b.Sniff("right")
	frame := Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: Pattern(1, 50)}.Bytes()
	same := func(f []byte) bool { return bytes.Equal(f, frame) }
	if err := a.Port("left").Send(frame); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Await(5*time.Second, same); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Await(0, same); err == nil {
		t.Error("the sender's own device is said to have received it")
	}
	far.Reset()
	if _, err := far.Await(0, same); err == nil || !strings.Contains(err.Error(), "matches") {
		t.Errorf("error %v after a reset, want that none matches", err)
	}
}

func TestFrameBytes(t *testing.T) {
	t.Parallel()
	f := Frame{
		Destination: [6]byte{1, 2, 3, 4, 5, 6}, Source: [6]byte{7, 8, 9, 10, 11, 12},
		Tags:      []Tag{{EtherTypeQinQ, 0x2001}, {EtherTypeVLAN, 0x0fff}},
		EtherType: 0x0800, Payload: []byte{0xaa, 0xbb},
	}
	const want = "010203040506" + "0708090a0b0c" + "88a82001" + "81000fff" + "0800" + "aabb"
	if got := hex.EncodeToString(f.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSameFrame(t *testing.T) {
	t.Parallel()
	sent := Pattern(3, 40)
	long := Pattern(4, 100)
	tests := []struct {
		name           string
		sent, received []byte
		ok             bool
	}{
		{"equal", sent, sent, true},
		{"padded by Ethernet", sent, append(append([]byte(nil), sent...), make([]byte, 20)...), true},
		{"padded too far", sent, append(append([]byte(nil), sent...), make([]byte, 21)...), false},
		{"padded with dirt", sent, append(append([]byte(nil), sent...), 1), false},
		{"long and padded", long, append(append([]byte(nil), long...), 0), false},
		{"cut", sent, sent[:39], false},
		{"changed", sent, append([]byte{sent[0] ^ 1}, sent[1:]...), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := SameFrame(tt.sent, tt.received); (err == nil) != tt.ok {
				t.Errorf("error %v, want one: %v", err, !tt.ok)
			}
		})
	}
}

func TestPatternTellsSeedsAndPositionsApart(t *testing.T) {
	t.Parallel()
	a, b := Pattern(1, 200), Pattern(2, 200)
	if len(a) != 200 || len(Pattern(1, 3)) != 3 || len(Pattern(1, 0)) != 0 {
		t.Error("a pattern has another length than asked for")
	}
	if bytes.Equal(a, b) || bytes.Equal(a[:100], a[100:]) || bytes.Equal(a[:100], a[1:101]) {
		t.Error("patterns repeat")
	}
	if !bytes.Equal(a, Pattern(1, 200)) {
		t.Error("a pattern is not reproducible")
	}
}

func TestStreamCountsWhatIsLost(t *testing.T) {
	t.Parallel()
	l, a, b := line(t)
	whole := l.Stream(a, "left", b, "right", time.Millisecond)
	if err := Await(5*time.Second, func() error { return atLeast(whole, 50) }); err != nil {
		t.Fatal(err)
	}
	if sent, lost := whole.Stop(); lost != 0 || sent < 50 {
		t.Errorf("sent %d, lost %d on a whole link", sent, lost)
	}

	broken := l.Stream(a, "left", b, "right", time.Millisecond)
	if err := Await(5*time.Second, func() error { return atLeast(broken, 20) }); err != nil {
		t.Fatal(err)
	}
	b.Down("right")
	if err := Await(5*time.Second, func() error { return hasNoCarrier(a) }); err != nil {
		t.Fatal(err)
	}
	down := broken.Sent()
	if err := Await(5*time.Second, func() error { return sentSince(broken, down+5) }); err != nil {
		t.Fatal(err)
	}
	b.Up("right")
	had := broken.Received()
	if err := Await(5*time.Second, func() error { return atLeast(broken, had+20) }); err != nil {
		t.Fatal(err)
	}
	if sent, lost := broken.Stop(); lost == 0 || lost >= int(sent) {
		t.Errorf("sent %d, lost %d on a link that was down for a while", sent, lost)
	}
}

// sentSince fails until so many frames have been sent.
func sentSince(s *Stream, n uint64) error {
	if got := s.Sent(); got < n {
		return fmt.Errorf("sent %d, want %d", got, n)
	}
	return nil
}

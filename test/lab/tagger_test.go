package lab

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTaggedHostsReachEachOtherAlone(t *testing.T) {
	t.Parallel()
	l, a, b := line(t)
	a.Address("left", "198.51.100.1/24")
	b.Address("right", "198.51.100.2/24")
	there := netip.MustParseAddr("198.51.100.2")
	tags := []Tag{{EtherTypeQinQ, 0x6005}, {EtherTypeVLAN, 7}}
	stop := a.Tagged("left", tags...)
	if err := a.Ping(there, 56, 0); err == nil {
		t.Error("a host without tags understands one with them")
	}
	b.Tagged("right", tags...)
	if _, err := l.Transfer(a, b, there, 1<<20, 10*time.Second); err != nil {
		t.Error(err)
	}
	far := b.Sniff("right")
	if err := a.Ping(there, 56, 5*time.Second); err != nil {
		t.Error(err)
	}
	// A sniffer sees frames before the hook where the tags are taken off.
	if _, err := far.Await(5*time.Second, func(f []byte) bool { return f[12] == 0x88 && f[13] == 0xa8 }); err != nil {
		t.Error(err)
	}
	// The kernel may take the programs away a little later.
	stop()
	l.Poll(5*time.Second, "a host whose tags were stopped loses them", func() error {
		if a.Ping(there, 56, 0) == nil {
			return errors.New("it still has them")
		}
		return nil
	})
}

func TestTagsAreOutermostFirst(t *testing.T) {
	t.Parallel()
	_, a, b := line(t)
	far := b.Sniff("right")
	tags := []Tag{{EtherTypeQinQ, 0x6005}, {EtherTypeVLAN, 7}, {EtherTypeVLAN, 8}}
	a.Tagged("left", tags...)
	frame := Frame{Destination: Broadcast, Source: [6]byte{2, 1}, EtherType: EtherTypeTest, Payload: Pattern(1, 50)}
	if err := a.Port("left").Send(frame.Bytes()); err != nil {
		t.Fatal(err)
	}
	got, err := far.Await(5*time.Second, func(f []byte) bool { return bytes.HasPrefix(f, frame.Bytes()[:12]) })
	if err != nil {
		t.Fatal(err)
	}
	frame.Tags = tags
	if diff := cmp.Diff(frame.Bytes(), got); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
}

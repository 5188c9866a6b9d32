package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// atLeast returns an error until a stream has delivered count frames.
func atLeast(s *Stream, count int) error {
	if got := s.Received(); got < count {
		return fmt.Errorf("%d of %d frames", got, count)
	}
	return nil
}

// hasNoCarrier returns an error while the link from a has a carrier.
func hasNoCarrier(a *Namespace) error {
	out, err := a.Try("ip", "-o", "link", "show", "left")
	if err == nil && strings.Contains(out, "NO-CARRIER") {
		return nil
	}
	return errors.New("the link still has a carrier")
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	l, a, b := line(t)
	a.Address("left", "198.51.100.1/24")
	b.Address("right", "198.51.100.2/24")
	a.Address("left", "2001:db8::1/64")
	b.Address("right", "2001:db8::2/64")
	for _, addr := range []string{"198.51.100.2", "2001:db8::2"} {
		took, err := l.Transfer(a, b, netip.MustParseAddr(addr), 5_000_003, 10*time.Second)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		if took <= 0 {
			t.Errorf("%s: it took %v", addr, took)
		}
	}
	b.Down("right")
	if _, err := l.Transfer(a, b, netip.MustParseAddr("198.51.100.2"), 1000, 300*time.Millisecond); err == nil {
		t.Error("a transfer over a link that is down succeeded")
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	_, a, b := line(t)
	a.Address("left", "198.51.100.1/24")
	b.Address("right", "198.51.100.2/24")
	there, nobody := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("198.51.100.3")
	if err := a.Ping(there, 56, 5*time.Second); err != nil {
		t.Error(err)
	}
	if err := a.PingAll(there, 5); err != nil {
		t.Error(err)
	}
	if err := a.Ping(nobody, 56, 0); err == nil {
		t.Error("nobody answered a ping")
	}
}

func TestLinksAndNeighbours(t *testing.T) {
	t.Parallel()
	_, a, b := line(t)
	a.Address("left", "198.51.100.1/24")
	b.Address("right", "198.51.100.2/24")
	there := netip.MustParseAddr("198.51.100.2")
	if err := a.Ping(there, 0, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	neighbour := func() string { return a.Run("ip", "neigh", "show", there.String()) }
	if !strings.Contains(neighbour(), b.MAC("right").String()) {
		t.Errorf("neighbour %q, want %v", neighbour(), b.MAC("right"))
	}
	a.FlushNeighbours("left")
	if strings.Contains(neighbour(), "lladdr") {
		t.Errorf("neighbour %q after a flush", neighbour())
	}
	mac := b.MAC("right")
	mac[5] ^= 1
	b.SetMAC("right", mac)
	if got := b.MAC("right").String(); got != mac.String() {
		t.Errorf("MAC %s, want %s", got, mac)
	}
	a.Route("203.0.113.0/24", there.String())
	if got := a.Run("ip", "route", "get", "203.0.113.7"); !strings.Contains(got, "via 198.51.100.2") {
		t.Errorf("route %q", got)
	}
	a.DeleteRoute("203.0.113.0/24")
	if got, err := a.Try("ip", "route", "get", "203.0.113.7"); err == nil {
		t.Errorf("route %q after its deletion", got)
	}
	a.Offloads("left", false)
	if got := a.Run("ethtool", "-k", "left"); !strings.Contains(got, "tcp-segmentation-offload: off") ||
		!strings.Contains(got, "tx-checksumming: off") {
		t.Errorf("offloads are still on:\n%s", got)
	}
	a.DeleteLink("left")
	if links := b.Links(); len(links) != 1 || links[0] != "lo" {
		t.Errorf("links %v after the other end was deleted, want lo alone", links)
	}
}

package speaker_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/evpn/speaker"
)

// misfit is what keeps two PEs apart, and how the second of them shows it.
type misfit struct {
	change func(a, b *speaker.Neighbor, ca, cb *speaker.Config)
	reason speaker.Reason
	detail string
}

var nobody = netip.MustParseAddr("192.0.2.77")

var misfits = map[string]misfit{
	"passwords differ": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.Password, b.Password = "s3cret", "secret" },
		speaker.ReasonAuthentication, "wrong TCP-MD5 signature",
	},
	"a password here": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { b.Password = "s3cret" },
		speaker.ReasonAuthentication, "without one",
	},
	"a password there": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.Password = "s3cret" },
		speaker.ReasonAuthentication, "no password is configured here",
	},
	"wrong AS at both": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.ASN, b.ASN = 65001, 65002 },
		speaker.ReasonWrongASN, "",
	},
	"wrong AS here": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { b.ASN = 65002 },
		speaker.ReasonWrongASN, "we refuse the neighbor: OPEN error (2/2), as number mismatch expected 65002, received 65000",
	},
	"wrong AS there": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.ASN = 65001 },
		speaker.ReasonOpenRejected, "another AS number than our 65000",
	},
	"same router id": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { ca.RouterID = netip.MustParseAddr("192.0.2.2") },
		speaker.ReasonWrongRouterID, "bad BGP identifier",
	},
	"not configured there": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { a.Address, b.Passive = nobody, false },
		speaker.ReasonClosed, "before there was a session",
	},
	"a local address that is not here": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { b.LocalAddress, b.Passive = nobody, false },
		speaker.ReasonBadLocalAddress, "cannot assign requested address",
	},
	"nobody there": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { b.Address, b.Passive = nobody, false },
		speaker.ReasonUnreachable, "192.0.2.77:179",
	},
	"nobody listens there": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) { ca.ListenPort, a.Port, b.Passive = -1, 1, false },
		speaker.ReasonRefused, "connection refused",
	},
	"TTL security on one side": {
		func(a, b *speaker.Neighbor, ca, cb *speaker.Config) {
			a.ASN, cb.ASN, b.TTLSecurity = 65001, 65001, 1 // the other sends with the TTL 1 of eBGP
		}, "", "",
	},
}

// What must keep two PEs apart does. The second PE is the one that is protected:
// GoBGP sets the TTL limit of an accepted connection after it is accepted, so
// that the other side may believe for a moment that it has a session.
func TestNoSession(t *testing.T) {
	t.Parallel()
	for name, test := range misfits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, test.change)
			a.waitEvent(t, 0, speaker.EngineUp)
			b.waitEvent(t, 0, speaker.EngineUp)
			// A session takes one to two seconds to come up; four without one
			// are a verdict.
			deadline := time.Now().Add(4 * time.Second)
			within(t, 10*time.Second, "time to pass", func() error {
				if n := b.count(0, speaker.PeerUp) + a.count(0, speaker.RouteUpdate); n > 0 {
					t.Fatal("a session came up")
				}
				if time.Now().Before(deadline) {
					return fmt.Errorf("waiting")
				}
				return nil
			})
			if s := b.Neighbors()[0]; s.State == "established" {
				t.Errorf("status %+v", s)
			}
			if test.reason != "" {
				b.waitReason(t, test.reason, test.detail)
			}
		})
	}
}

// waitReason waits until the first neighbour shows a reason, counted and logged
// once with what to do.
func (p *pe) waitReason(t *testing.T, reason speaker.Reason, detail string) {
	t.Helper()
	eventually(t, fmt.Sprintf("reason %s at %v", reason, p.node.four), func() error {
		if s := p.Neighbors()[0]; s.Reason != reason || !strings.Contains(s.Detail, detail) || s.Failures[reason] == 0 {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	line := fmt.Sprintf("reason=%s ", reason)
	if n := strings.Count(p.logs.String(), line); n != 1 {
		t.Errorf("%q is in %d lines of the log", line, n)
	}
}

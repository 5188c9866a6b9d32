package main

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

// TestLease leases when it is on and never when it is off, also not by a
// renewal that comes late.
func TestLease(t *testing.T) {
	cache := fake.New()
	flow := dataplane.Flow{Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")}
	hop := dataplane.NextHop{IfIndex: 7, MTU: 1600}
	l := &lease{cache: cache, flow: flow, hop: hop}
	s := &site{leases: []*lease{l}}
	leased, none := map[dataplane.Flow]dataplane.NextHop{flow: hop}, map[dataplane.Flow]dataplane.NextHop{}
	for _, step := range []struct {
		name string
		do   func() error
		want map[dataplane.Flow]dataplane.NextHop
	}{
		{"at first", l.renew, none},
		{"on", func() error { return s.lease(true) }, leased},
		{"renewed", l.renew, leased},
		{"off", func() error { return s.lease(false) }, none},
		{"renewed while off", l.renew, none},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, cache.Leases(), cmpopts.EquateComparable(dataplane.Flow{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestLeaseFails hands errors on: figures taken without the lease would be
// called by the wrong name.
func TestLeaseFails(t *testing.T) {
	cache := fake.New()
	broken := errors.New("broken")
	cache.Fail(func(fake.Call) error { return broken })
	s := &site{leases: []*lease{{cache: cache}}}
	for _, on := range []bool{true, false} {
		if err := s.lease(on); !errors.Is(err, broken) {
			t.Errorf("on %t: %v", on, err)
		}
	}
}

package plan

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

func TestAttachments(t *testing.T) {
	some := []netip.Addr{own}
	links := map[string]Link{
		"lo": {Index: 1, Addresses: some}, "eth0": {Index: 2, Ethernet: true, Addresses: some}, "eth1": {Index: 9, Ethernet: true, Addresses: some},
		"eth2": {Index: 3, Ethernet: true, Addresses: some}, "bare": {Index: 4, Ethernet: true}, "wg0": {Index: 8, Addresses: some}, "longwire0": {Index: 5, Ethernet: true, Addresses: some},
	}
	tests := []struct {
		name     string
		underlay config.Underlay
		want     dataplane.Attachments
		problems []string
	}{
		{"auto", config.Underlay{Auto: true}, dataplane.Attachments{Circuits: []int{3}, Underlays: []int{2, 9}}, nil},
		{"list", config.Underlay{Interfaces: []string{"bare", "none", "wg0"}}, dataplane.Attachments{Circuits: []int{3}, Underlays: []int{4}}, []string{"underlay interface none does not exist", "underlay interface wg0 carries no Ethernet frames"}},
		{
			"list of nothing", config.Underlay{Interfaces: []string{"none"}}, dataplane.Attachments{Circuits: []int{3}},
			[]string{"there is no underlay interface: tunnel packets cannot arrive", "underlay interface none does not exist"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(staticPW())
			in.Config.Underlay, in.Links = tt.underlay, links
			got := Resolve(in)
			diff(t, "attachments", tt.want, got.Attach)
			diff(t, "problems", tt.problems, got.Problems)
		})
	}
}

func TestSourceOnNoInterface(t *testing.T) {
	in := input(staticPW())
	in.Config.Router.Sources = append(in.Config.Router.Sources, far2)
	diff(t, "problems", []string{"router.source 192.0.2.8 is on no interface"}, Resolve(in).Problems)
}

func TestSettle(t *testing.T) {
	later := start.Add(time.Minute)
	up := Status{Name: "a", State: StateUp, Source: SourceStatic, circuit: 3}
	full := errors.Join(errors.New("put receive 1"), dataplane.ErrCapacity)
	tests := []struct {
		name   string
		status Status
		failed map[string]error
		attach map[int]error
		before []Status
		want   Status
	}{
		{"first seen", up, nil, nil, nil, with(up, since(later))},
		{"unchanged", up, nil, nil, []Status{with(up, since(start))}, with(up, since(start))},
		{"other source", up, nil, nil, []Status{with(up, since(start), func(s *Status) { s.Source = SourceSignalled })}, with(up, since(later))},
		{"stale keeps its own time", with(up, since(start)), nil, nil, nil, with(up, since(start))},
		{"map full", up, map[string]error{"a": full}, nil, nil, with(up.blocked(ReasonCapacity, "put receive 1; session map is full"), since(later))},
		{"still full", up, map[string]error{"a": full}, nil, []Status{with(up.blocked(ReasonCapacity, ""), since(start))}, with(up.blocked(ReasonCapacity, "put receive 1; session map is full"), since(start))},
		{"attach refused", up, nil, map[int]error{3: syscall.EPERM}, nil, with(up.blocked(ReasonPermission, "operation not permitted"), since(later))},
		{"other circuit", up, nil, map[int]error{4: syscall.EPERM}, nil, with(up, since(later))},
		{"anything else", up, map[string]error{"a": syscall.EIO}, nil, nil, with(up.blocked(ReasonProgramFailed, "input/output error"), since(later))},
		{
			"interface went away meanwhile", Status{Name: "a", State: StateDown, Reason: ReasonInterfaceAbsent}, map[string]error{"a": syscall.EIO}, nil, nil,
			Status{Name: "a", State: StateDown, Reason: ReasonInterfaceAbsent, Since: later},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Plan{Statuses: []Status{tt.status}}
			p.Settle(tt.failed, tt.attach, tt.before, later)
			diff(t, "status", tt.want, p.Statuses[0])
		})
	}
}

func since(at time.Time) func(*Status) { return func(s *Status) { s.Since = at } }

// Every reason that evpn can give is in the manual.
func TestMeaningsAreComplete(t *testing.T) {
	known := map[Reason]int{}
	for _, m := range Meanings() {
		known[m.Reason]++
		if m.Text == "" || m.State == StateUp {
			t.Errorf("%s has no meaning or a wrong state", m.Reason)
		}
	}
	for _, r := range []evpn.Reason{
		evpn.ReasonBadNextHop, evpn.ReasonNoEncapsulation, evpn.ReasonBadCookie, evpn.ReasonBadSessionID, evpn.ReasonBadLabel,
		evpn.ReasonBadEndpoint, evpn.ReasonMalformed, evpn.ReasonMultihomed, evpn.ReasonMTUMismatch, evpn.ReasonControlWord,
	} {
		if known[Reason(r)] != 1 {
			t.Errorf("%s is explained %d times", r, known[Reason(r)])
		}
	}
}

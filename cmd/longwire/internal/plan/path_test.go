package plan

import (
	"net/netip"
	"testing"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// leavesBy resolves the way to the far end of signalledPW.
func leavesBy(ifindex, mtu int) func(*Input) {
	return func(in *Input) {
		in.NextHops = map[dataplane.Flow]dataplane.NextHop{{Local: own, Remote: far1}: {IfIndex: ifindex, MTU: mtu}}
	}
}

func learned1(in *Input) { in.Routes = []evpn.Route{route()} }

func TestPath(t *testing.T) {
	tests := []struct {
		name   string
		change func(*config.Pseudowire)
		mtu    int // of the way; 0 = not known
		want   Path
		remark string
	}{
		{"not known", nil, 0, Path{NeedMTU: 1546, Need1500: 1546}, ""},
		{"large enough", nil, 1546, Path{UnderlayMTU: 1546, MaxPayload: 1500, NeedMTU: 1546, Need1500: 1546}, ""},
		{
			"a byte short", nil, 1545, Path{UnderlayMTU: 1545, MaxPayload: 1499, NeedMTU: 1546, Need1500: 1546},
			"underlay MTU 1545 is less than the 1546 that full frames need: payloads above 1499 bytes are fragmented",
		},
		{
			"a circuit of 9000 bytes, dropped", func(pw *config.Pseudowire) { pw.MTU, pw.TooBig = 9000, dataplane.TooBigDrop }, 1500,
			Path{UnderlayMTU: 1500, MaxPayload: 1454, NeedMTU: 9046, Need1500: 1546, TooBig: dataplane.TooBigDrop},
			"underlay MTU 1500 is less than the 9046 that full frames need: payloads above 1454 bytes are dropped",
		},
		{
			"a sublayer and a tag, answered", func(pw *config.Pseudowire) {
				pw.Sublayer, pw.IgnoreMTU, pw.TooBig, pw.VLANs = dataplane.SublayerNone, true, dataplane.TooBigAnswer, dataplane.VLANs{Outer: "100"}
			}, 1500,
			Path{UnderlayMTU: 1500, MaxPayload: 1450, NeedMTU: 1550, Need1500: 1550, TooBig: dataplane.TooBigAnswer},
			"underlay MTU 1500 is less than the 1550 that full frames need: payloads above 1450 bytes are dropped, and their sender is told",
		},
		{
			"smaller than the header", nil, 40, Path{UnderlayMTU: 40, NeedMTU: 1546, Need1500: 1546},
			"underlay MTU 40 is less than the 1546 that full frames need: payloads above 0 bytes are fragmented",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pw := signalledPW()
			if tt.change != nil {
				tt.change(&pw)
			}
			changes := []func(*Input){learned1}
			if tt.mtu != 0 {
				changes = append(changes, leavesBy(2, tt.mtu))
			}
			s := resolveAll([]config.Pseudowire{pw}, changes...).Statuses[0]
			diff(t, "path", tt.want, s.Path)
			if s.Detail != tt.remark || s.State != StateUp {
				t.Errorf("%s, detail %q, want %q", s.State, s.Detail, tt.remark)
			}
		})
	}
}

func TestPathWithoutAFarEnd(t *testing.T) {
	diff(t, "path", Path{}, resolveAll([]config.Pseudowire{signalledPW()}).Statuses[0].Path)
}

func TestClampMSS(t *testing.T) {
	before := with(wantTransmit(), func(tx *dataplane.Transmit) { tx.ClampMTU = 1321 })
	received := with(wantReceive(), func(r *dataplane.Receive) { r.ClampMTU = 1322 })
	tests := []struct {
		name   string
		off    bool
		change func(*Input)
		want   uint16
	}{
		{"not asked for", true, leavesBy(2, 1500), 0},
		{"the way is not known", false, func(*Input) {}, 0},
		{"by the way", false, leavesBy(2, 1500), 1454},
		{"by the circuit", false, leavesBy(2, 9000), 1500},
		{"jumbo", false, func(in *Input) {
			leavesBy(2, 65535)(in)
			in.Links["eth2"] = Link{Index: 3, MTU: 65535, Up: true, Ethernet: true}
		}, 65489},
		{"not known yet after a restart", false, func(in *Input) { in.Actual = state(nil, before) }, 1321},
		{"not known while the circuit was down", false, func(in *Input) { in.Actual = state(receives{received}, wantClosed()) }, 1322},
		{"known again", false, func(in *Input) { in.Actual = state(nil, before); leavesBy(2, 1500)(in) }, 1454},
		{"switched off", true, func(in *Input) { in.Actual = state(nil, before) }, 0},
		{"another far end's", false, func(in *Input) {
			in.Actual = state(nil, with(before, func(tx *dataplane.Transmit) { tx.Remote = far2 }))
		}, 0},
		{"another pseudowire's", false, func(in *Input) {
			in.Actual = state(nil, with(before, func(tx *dataplane.Transmit) { tx.Pseudowire = "b" }))
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pw := signalledPW()
			pw.ClampMSS, pw.IgnoreMTU = !tt.off, true
			got := resolveAll([]config.Pseudowire{pw}, learned1, tt.change).State
			if tx, rx := got.Transmit[dataplane.Port(3)].ClampMTU, got.Receive[555555].ClampMTU; tx != tt.want || rx != tt.want {
				t.Errorf("clamps to %d when sending and %d when delivering, want %d", tx, rx, tt.want)
			}
		})
	}
}

// A way into a circuit blocks its pseudowire and no other one, keeps the route
// announced and the way asked for, and ends with its cause.
func TestLoop(t *testing.T) {
	in := input(signalledPW())
	other := staticPW()
	other.Name, other.Interface = "b", "eth3"
	in.Config.Pseudowires = append(in.Config.Pseudowires, other)
	in.Links["eth3"] = Link{Index: 4, MTU: 1500, Ethernet: true, Up: true}
	learned1(&in)
	well := Resolve(in)
	for _, into := range []int{3, 4} {
		leavesBy(into, 1500)(&in)
		got := Resolve(in)
		if s := got.Statuses[0]; s.State != StateBlocked || s.Reason != ReasonLoop || s.Detail != "the way to 192.0.2.9 leads into a circuit" {
			t.Errorf("by %d: %+v", into, s)
		}
		diff(t, "the circuit is closed", wantClosed(), got.State.Transmit[dataplane.Port(3)])
		diff(t, "what is received", well.State.Receive, got.State.Receive)
		diff(t, "what is announced", well.Advertise, got.Advertise)
		diff(t, "flows", well.Flows, got.Flows)
		diff(t, "the other one", well.Statuses[1], got.Statuses[1])
		in.Actual, in.Clocks = got.State, got.Clocks
	}
	leavesBy(2, 1500)(&in)
	if s := Resolve(in).Statuses[0]; s.State != StateUp {
		t.Errorf("with a right way: %+v", s)
	}
}

// A way by a bridge that a circuit is a port of, or by a device on top of the
// circuit, leads into it as well; one by a VLAN beside a circuit's does not.
func TestLoopThroughAnother(t *testing.T) {
	for name, row := range map[string]struct {
		circuit, out Link
		vlans        dataplane.VLANs
		want         State
	}{
		"bridge":               {circuit: Link{Master: 9}, want: StateBlocked},
		"another bridge":       {circuit: Link{Master: 8}, want: StateUp},
		"device on top":        {out: Link{Parent: 3}, want: StateBlocked},
		"device elsewhere":     {out: Link{Parent: 2}, want: StateUp},
		"VLAN beside":          {out: Link{Parent: 3}, vlans: dataplane.VLANs{Outer: "100"}, want: StateUp},
		"bridge of other VLAN": {circuit: Link{Master: 9}, vlans: dataplane.VLANs{Outer: "100"}, want: StateUp},
	} {
		pw := signalledPW()
		pw.VLANs = row.vlans
		s := resolveAll([]config.Pseudowire{pw}, learned1, leavesBy(9, 1600), func(in *Input) {
			row.circuit.Index, row.circuit.MTU, row.circuit.Ethernet, row.circuit.Up = 3, 1500, true, true
			row.out.Index, row.out.MTU, row.out.Ethernet, row.out.Up = 9, 1600, true, true
			in.Links["eth2"], in.Links["out"] = row.circuit, row.out
		}).Statuses[0]
		if s.State != row.want || row.want == StateBlocked && s.Reason != ReasonLoop {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// What is down has no loop to complain of.
func TestLoopIsLessThanDown(t *testing.T) {
	s := resolveAll([]config.Pseudowire{signalledPW()}, learned1, leavesBy(3, 1500), func(in *Input) {
		in.Links["eth2"] = Link{Index: 3, MTU: 1500, Ethernet: true}
	}).Statuses[0]
	if s.Reason != ReasonInterfaceDown {
		t.Errorf("%+v", s)
	}
}

func TestPathOfIPv6(t *testing.T) {
	own6, far6 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::9")
	pw := with(staticPW(), useUDP, useSublayer)
	pw.Source, pw.Static.Remote = own6, far6
	s := resolveAll([]config.Pseudowire{pw}).Statuses[0]
	if want := 1500 + 40 + 8 + 4 + 4 + 4 + 4 + 14; s.Path.NeedMTU != want {
		t.Errorf("needs %d, want %d", s.Path.NeedMTU, want)
	}
}

package plan

import (
	"fmt"
	"testing"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// staticPWs are pseudowires a, b, … on eth2, one for each selection of VLANs.
func staticPWs(vlans ...dataplane.VLANs) []config.Pseudowire {
	var pws []config.Pseudowire
	for i, v := range vlans {
		pw := staticPW()
		pw.Name, pw.VLANs = string(rune('a'+i)), v
		pw.Static = staticConfig(config.WhenAlways)
		pw.Static.LocalSession = dataplane.SessionID(1012 + i)
		pws = append(pws, pw)
	}
	return pws
}

// resolveAll is the plan of several pseudowires.
func resolveAll(pws []config.Pseudowire, changes ...func(*Input)) Plan {
	in := input(pws[0])
	in.Config.Pseudowires = pws
	for _, change := range changes {
		change(&in)
	}
	return Resolve(in)
}

func TestOverlap(t *testing.T) {
	type vlans = dataplane.VLANs
	tests := []struct {
		a, b vlans
		want bool
	}{
		{vlans{}, vlans{}, true},
		{vlans{}, vlans{Outer: "100"}, false},
		{vlans{}, vlans{Outer: "0"}, false},
		{vlans{Outer: "100"}, vlans{Outer: "100"}, true},
		{vlans{Outer: "100"}, vlans{Outer: "200"}, false},
		{vlans{Outer: "100"}, vlans{Outer: "50-150"}, true},
		{vlans{Outer: "100-199"}, vlans{Outer: "200-299"}, false},
		{vlans{Outer: "1-9,100"}, vlans{Outer: "0,100-200"}, true},
		{vlans{Outer: "200"}, vlans{Outer: "200", Inner: 100}, false},
		{vlans{Outer: "200", Inner: 100}, vlans{Outer: "200", Inner: 100}, true},
		{vlans{Outer: "200", Inner: 100}, vlans{Outer: "200", Inner: 101}, false},
		{vlans{Outer: "200", Inner: 100}, vlans{Outer: "201", Inner: 100}, false},
	}
	for _, tt := range tests {
		for _, pair := range [][]vlans{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := resolveAll(staticPWs(pair...)).Statuses[1]; (got.Reason == ReasonConflict) != tt.want {
				t.Errorf("%q beside %q is %s", pair[1], pair[0], got.State)
			}
		}
	}
	if s := resolveAll(staticPWs(vlans{Outer: "9"}, vlans{Outer: "5"}, vlans{Outer: "1-9"})).Statuses[2]; s.Detail != "the circuit belongs to b" {
		t.Errorf("two others are overlapped: %+v", s)
	}
}

func TestCircuitsOfAPort(t *testing.T) {
	port, one, list := dataplane.VLANs{}, dataplane.VLANs{Outer: "100"}, dataplane.VLANs{Outer: "100-200"}
	double := dataplane.VLANs{Outer: "100", Inner: 7}
	host := dataplane.Transmit{Circuit: dataplane.Port(3), Shared: true, ToHost: true}
	tests := []struct {
		name   string
		vlans  []dataplane.VLANs
		shared string // owner of the whole port; "-" = not shared
		lost   []string
	}{
		{"a port alone", []dataplane.VLANs{port}, "-", nil},
		{"a VLAN alone", []dataplane.VLANs{one}, "", nil},
		{"a port beside a VLAN", []dataplane.VLANs{one, port}, "b", nil},
		{"two tags beside one, and the port", []dataplane.VLANs{port, double, one}, "a", nil},
		{"overlapping lists: the first name keeps it", []dataplane.VLANs{one, list}, "", []string{"b"}},
		{"two ports", []dataplane.VLANs{port, port, one}, "a", []string{"b"}},
		{"two tags twice", []dataplane.VLANs{double, double}, "", []string{"b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := resolveAll(staticPWs(tt.vlans...))
			var lost []string
			for i, s := range got.Statuses {
				tx, ok := got.State.Transmit[dataplane.Circuit{IfIndex: 3, VLANs: tt.vlans[i]}]
				if s.Reason == ReasonConflict {
					lost = append(lost, s.Name)
				} else if !ok || tx.Pseudowire != s.Name || tx.Session != 1021 || s.State != StateUp {
					t.Errorf("%s is %s and its circuit has %+v", s.Name, s.State, tx)
				}
			}
			diff(t, "without a circuit", tt.lost, lost)
			whole := got.State.Transmit[dataplane.Port(3)]
			switch {
			case tt.shared == "":
				diff(t, "the host's share", host, whole)
			case whole.Shared != (tt.shared != "-") || whole.ToHost || tt.shared != "-" && whole.Pseudowire != tt.shared:
				t.Errorf("the port has %+v, want shared by %q", whole, tt.shared)
			}
			if n := len(tt.vlans) - len(tt.lost); tt.shared == "" && len(got.State.Transmit) != n+1 || tt.shared != "" && len(got.State.Transmit) != n {
				t.Errorf("%d entries: %v", len(got.State.Transmit), got.State.Transmit)
			}
			diff(t, "attached once", []int{3}, got.Attach.Circuits)
		})
	}
}

// Without a far end, or down, a circuit is closed and says nothing but whose it
// is and what it never tunnels; the port's own entry stays shared.
func TestClosed(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"no far end": func(in *Input) {
			for i := range in.Config.Pseudowires {
				in.Config.Pseudowires[i].EVPN, in.Config.Pseudowires[i].Static = signalledPW().EVPN, nil
				in.Identities[in.Config.Pseudowires[i].Name] = Identity{Identity: dataplane.Identity{Session: dataplane.SessionID(70000 + i)}}
			}
		},
		"interface down": func(in *Input) { in.Links["eth2"] = Link{Index: 3, MTU: 1500, Ethernet: true} },
	} {
		t.Run(name, func(t *testing.T) {
			pws := staticPWs(dataplane.VLANs{}, dataplane.VLANs{Outer: "100"})
			for i := range pws {
				pws[i].Tags, pws[i].TTL, pws[i].DSCP, pws[i].TooBig, pws[i].ClampMSS = config.Tags{Mode: config.TagsPop, Type: 0x8100}, 9, 46, dataplane.TooBigDrop, true
			}
			pws[0].DropL2CP = dataplane.L2CPSTP
			got := resolveAll(pws, change)
			diff(t, "entries", map[dataplane.Circuit]dataplane.Transmit{
				dataplane.Port(3): {Circuit: dataplane.Port(3), Pseudowire: "a", Shared: true, DropL2CP: dataplane.L2CPSTP},
				{IfIndex: 3, VLANs: dataplane.VLANs{Outer: "100"}}: {Circuit: dataplane.Circuit{IfIndex: 3, VLANs: dataplane.VLANs{Outer: "100"}}, Pseudowire: "b"},
			}, got.State.Transmit)
			if len(got.Flows) != 0 {
				t.Errorf("flows %v", got.Flows)
			}
		})
	}
}

// A closed entry in the kernel is no far end that could be kept, and neither is
// the host's share of a port.
func TestClosedIsNotKept(t *testing.T) {
	for _, tx := range []dataplane.Transmit{wantClosed(), {Circuit: dataplane.Port(3), Shared: true, ToHost: true}} {
		in := input(signalledPW())
		in.Holding, in.Actual = true, state(nil, tx)
		got := Resolve(in)
		diff(t, "entries", state(receives{with(wantReceive(), noRemote)}, wantClosed()), got.State)
		if s := got.Statuses[0]; s.Reason != ReasonNoRemote {
			t.Errorf("status %+v", s)
		}
		if fallback := Resolve(Input{Config: &config.Config{Pseudowires: []config.Pseudowire{fallbackPW()}}, Links: in.Links, Identities: in.Identities, Now: start, Actual: in.Actual}); fallback.Clocks["a"].Fallback {
			t.Error("a closed entry counts as a fallback in use")
		}
	}
}

// A circuit of VLANs that moves takes what is kept for it along.
func TestKeptMovesToOtherVLANs(t *testing.T) {
	old := dataplane.Circuit{IfIndex: 3, VLANs: dataplane.VLANs{Outer: "100"}}
	pw := signalledPW()
	pw.VLANs = dataplane.VLANs{Outer: "200"}
	got := resolveAll([]config.Pseudowire{pw}, func(in *Input) {
		in.Holding, in.Actual = true, state(nil, with(wantTransmit(), func(tx *dataplane.Transmit) { tx.Circuit = old }))
	})
	circuit := dataplane.Circuit{IfIndex: 3, VLANs: pw.VLANs}
	if tx := got.State.Transmit[circuit]; tx.Session != 77777 || got.Statuses[0].State != StateStale {
		t.Errorf("%+v and %+v", tx, got.Statuses[0])
	}
	if s := fmt.Sprint(got.Statuses[0].VLANs); s != "200" {
		t.Errorf("shown with VLANs %q", s)
	}
}

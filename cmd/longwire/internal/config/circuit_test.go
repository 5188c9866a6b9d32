package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
)

// pseudowireFile is a file with one pseudowire, to which a row adds its keys from
// line 6 on.
func pseudowireFile(keys ...string) string {
	return staticHead + "- name: a\n  interface: e\n  static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}\n  " + strings.Join(keys, "\n  ") + "\n"
}

// refusal is a row: a file, and the one error that it must give, word by word.
type refusal struct {
	name string
	file string
	want string // without the file's name
}

func checkRefusals(t *testing.T, rows []refusal) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("pe1.yaml", []byte(row.file), noSecret)
			if want := "pe1.yaml:" + row.want; err == nil || err.Error() != want {
				t.Errorf("Parse gives\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestCircuits(t *testing.T) {
	keep, translate := Tags{Mode: TagsKeep}, Tags{Mode: TagsTranslate, Type: 0x8100}
	pushed := func(kind, vid uint16) Tags { return Tags{Mode: TagsPush, Type: kind, Push: vid} }
	twoTags := dataplane.VLANs{Outer: "200", Inner: 100}
	tests := []struct {
		keys  string // separated by |
		vlans dataplane.VLANs
		tags  Tags
	}{
		{"ttl: 64", dataplane.VLANs{}, keep},
		{"tags: keep", dataplane.VLANs{}, keep},
		{"tags: push|push_vlan: 4094", dataplane.VLANs{}, pushed(0x8100, 4094)},
		{"tags: push|push_vlan: 1|tag_type: 0x88a8", dataplane.VLANs{}, pushed(0x88a8, 1)},
		{"vlan: 1", dataplane.VLANs{Outer: "1"}, translate},
		{"vlan: 4094", dataplane.VLANs{Outer: "4094"}, translate},
		{"vlan: 0100", dataplane.VLANs{Outer: "100"}, translate},
		{"vlan: [100]", dataplane.VLANs{Outer: "100"}, translate},
		{"vlan: 100-100", dataplane.VLANs{Outer: "100"}, translate},
		{"vlan: 100|tags: translate|tag_type: 0x9100", dataplane.VLANs{Outer: "100"}, Tags{Mode: TagsTranslate, Type: 0x9100}},
		{"vlan: 100|tag_type: 0x88a8", dataplane.VLANs{Outer: "100"}, Tags{Mode: TagsTranslate, Type: 0x88a8}},
		{"vlan: 100|tags: pop", dataplane.VLANs{Outer: "100"}, Tags{Mode: TagsPop, Type: 0x8100}},
		{"vlan: 100|tags: keep", dataplane.VLANs{Outer: "100"}, keep},
		{"vlan: untagged", dataplane.VLANs{Outer: "0"}, keep},
		{"vlan: untagged|tags: push|push_vlan: 7", dataplane.VLANs{Outer: "0"}, pushed(0x8100, 7)},
		{"vlan: \"100-199\"", dataplane.VLANs{Outer: "100-199"}, keep},
		{"vlan: 1-4094", dataplane.VLANs{Outer: "1-4094"}, keep},
		{"vlan: 100-199|tags: push|push_vlan: 100|tag_type: 0x9100", dataplane.VLANs{Outer: "100-199"}, pushed(0x9100, 100)},
		{"vlan: [untagged, 100, \"200-299\"]", dataplane.VLANs{Outer: "0,100,200-299"}, keep},
		{"vlan: [\"200-299\", 199, 5, untagged]", dataplane.VLANs{Outer: "0,5,199-299"}, keep},
		{"vlan: [untagged, 1]", dataplane.VLANs{Outer: "0-1"}, keep},
		{"vlans: {outer: 200, inner: 100}", twoTags, Tags{Mode: TagsTranslate, Type: 0x88a8}},
		{"vlans: {outer: 100, inner: 100}|tags: translate", dataplane.VLANs{Outer: "100", Inner: 100}, Tags{Mode: TagsTranslate, Type: 0x88a8}},
		{"vlans: {inner: 100, outer: 200}|tags: pop|tag_type: 0x8100", twoTags, Tags{Mode: TagsPop, Type: 0x8100}},
		{"vlans: {inner: 100, outer: 200}|tags: keep", twoTags, keep},
	}
	for _, tt := range tests {
		t.Run(tt.keys, func(t *testing.T) {
			cfg, err := Parse("pe1.yaml", []byte(pseudowireFile(strings.Split(tt.keys, "|")...)), noSecret)
			if err != nil {
				t.Fatal(err)
			}
			got := cfg.Pseudowires[0]
			if diff := cmp.Diff(tt.vlans, got.VLANs); diff != "" {
				t.Errorf("VLANs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.tags, got.Tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

const notVLAN = ` is not a VLAN id from 1 to 4094, a range such as "100-199", or untagged`

func TestCircuitRefusals(t *testing.T) {
	var rows []refusal
	for _, text := range []string{"0", "4095", "65536", "-1", "-5", "5-", "-", "1-4095", "0-5", "199-100", "1-2-3", "100 - 199", "0x10", "1.5", "+1", "any", "Untagged", "untagged-5", "auto", "\u0661"} {
		rows = append(rows, refusal{fmt.Sprintf("vlan %s", text), pseudowireFile("vlan: \"" + text + "\""), fmt.Sprintf("6: pseudowires[0].vlan: %q", text) + notVLAN})
	}
	checkRefusals(t, append(rows, []refusal{
		{"in a list", pseudowireFile("vlan:", "- 5", "- 0"), `8: pseudowires[0].vlan[1]: "0"` + notVLAN},
		{"empty list", pseudowireFile("vlan: []"), "6: pseudowires[0].vlan: is an empty list; give one or more values or remove the key"},
		{"no value", pseudowireFile("vlan:"), "6: pseudowires[0].vlan: has no value; give one or remove the key"},
		{"a mapping", pseudowireFile("vlan: {outer: 1}"), "6: pseudowires[0].vlan: must be a single value, not a mapping"},
		{"id twice", pseudowireFile("vlan:", "- 5", "- 5"), "8: pseudowires[0].vlan[1]: vlan 5 is given twice, first on line 7; keep one of them"},
		{"untagged twice", pseudowireFile("vlan: [untagged, untagged]"), "6: pseudowires[0].vlan[1]: vlan untagged is given twice, first on line 6; keep one of them"},
		{"id in a range", pseudowireFile("vlan:", "- 100-199", "- 150"), "8: pseudowires[0].vlan[1]: vlan 150 is given twice, first on line 7; keep one of them"},
		{"ranges meet", pseudowireFile("vlan:", "- 7", "- 150-199", "- 100-150"), "9: pseudowires[0].vlan[2]: vlan 150 is given twice, first on line 8; keep one of them"},
		{"vlan and vlans", pseudowireFile("vlan: 5", "vlans: {outer: 200, inner: 100}"), "7: pseudowires[0].vlans: conflicts with vlan on line 6; remove one of them"},
		{"vlan and vlans are one error, whatever follows from it", pseudowireFile("vlan: 5-9", "vlans: {outer: 200, inner: 100}", "tags: push", "push_vlan: 5"), "7: pseudowires[0].vlans: conflicts with vlan on line 6; remove one of them"},
		{"outer alone", pseudowireFile("vlans: {outer: 200}"), "6: pseudowires[0].vlans.inner: is missing; give both, or vlan for one tag"},
		{"inner alone", pseudowireFile("vlans: {inner: 200}"), "6: pseudowires[0].vlans.outer: is missing; give both, or vlan for one tag"},
		{"outer zero", pseudowireFile("vlans: {outer: 0, inner: 100}"), `6: pseudowires[0].vlans.outer: "0" is not a number from 1 to 4094`},
		{"inner too large", pseudowireFile("vlans: {outer: 1, inner: 4095}"), `6: pseudowires[0].vlans.inner: "4095" is not a number from 1 to 4094`},
		{"inner range", pseudowireFile("vlans: {outer: 1, inner: 5-9}"), `6: pseudowires[0].vlans.inner: "5-9" is not a number from 1 to 4094`},
		{"inner list", pseudowireFile("vlans: {outer: 1, inner: [5]}"), "6: pseudowires[0].vlans.inner: must be a single value, not a list"},
		{"third tag", pseudowireFile("vlans: {outer: 1, inner: 5, third: 3}"), `6: pseudowires[0].vlans.third: unknown key "third"; the keys here are inner, outer`},
		{"vlans without mapping", pseudowireFile("vlans: 200"), "6: pseudowires[0].vlans: must be a mapping of keys, not a single value"},
		{"a wrong VLAN is one error, whatever follows from it", pseudowireFile("vlan: 5000", "tags: pop", "tag_type: 0x8100"), `6: pseudowires[0].vlan: "5000"` + notVLAN},
		{"a wrong pair is one error, whatever follows from it", pseudowireFile("vlans: {outer: 0, inner: 1}", "tags: pop"), `6: pseudowires[0].vlans.outer: "0" is not a number from 1 to 4094`},
		{"an empty list is one error, whatever follows from it", pseudowireFile("vlan: []", "tags: pop"), "6: pseudowires[0].vlan: is an empty list; give one or more values or remove the key"},
	}...))
}

func TestTagRefusals(t *testing.T) {
	const oneID = " is for one VLAN id, or one outer and one inner, and "
	const several = "push is for a whole port, untagged frames or several VLAN ids, and "
	checkRefusals(t, []refusal{
		{"unknown mode", pseudowireFile("tags: swap"), `6: pseudowires[0].tags: "swap" is not one of keep, translate, pop, push`},
		{"unknown mode is one error", pseudowireFile("tags: swap", "push_vlan: 4", "tag_type: 0x8100"), `6: pseudowires[0].tags: "swap" is not one of keep, translate, pop, push`},
		{"translate a port", pseudowireFile("tags: translate"), "6: pseudowires[0].tags: translate" + oneID + "this circuit is a whole port; write keep or push"},
		{"pop a port", pseudowireFile("tags: pop"), "6: pseudowires[0].tags: pop" + oneID + "this circuit is a whole port; write keep or push"},
		{"translate untagged", pseudowireFile("vlan: untagged", "tags: translate"), "7: pseudowires[0].tags: translate" + oneID + "vlan on line 6 selects other frames; write keep or push"},
		{"pop untagged", pseudowireFile("vlan: untagged", "tags: pop"), "7: pseudowires[0].tags: pop" + oneID + "vlan on line 6 selects other frames; write keep or push"},
		{"translate a range", pseudowireFile("tags: translate", "vlan: 5-6"), "6: pseudowires[0].tags: translate" + oneID + "vlan on line 7 selects other frames; write keep or push"},
		{"pop a list", pseudowireFile("vlan: [untagged, 5]", "tags: pop"), "7: pseudowires[0].tags: pop" + oneID + "vlan on line 6 selects other frames; write keep or push"},
		{"push on one id", pseudowireFile("vlan: 5", "tags: push", "push_vlan: 6"), "7: pseudowires[0].tags: " + several + "vlan on line 6 selects other frames; write keep, translate or pop"},
		{"push on two tags", pseudowireFile("vlans: {outer: 5, inner: 6}", "tags: push", "push_vlan: 6"), "7: pseudowires[0].tags: " + several + "vlans on line 6 selects other frames; write keep, translate or pop"},
		{"push nothing", pseudowireFile("tags: push"), "3: pseudowires[0].push_vlan: is missing; give the VLAN id that tags: push on line 6 adds"},
		{"push zero", pseudowireFile("tags: push", "push_vlan: 0"), `7: pseudowires[0].push_vlan: "0" is not a number from 1 to 4094`},
		{"push 4095", pseudowireFile("tags: push", "push_vlan: 4095"), `7: pseudowires[0].push_vlan: "4095" is not a number from 1 to 4094`},
		{"push untagged", pseudowireFile("tags: push", "push_vlan: untagged"), `7: pseudowires[0].push_vlan: "untagged" is not a number from 1 to 4094`},
		{"push_vlan by default keep", pseudowireFile("push_vlan: 5"), "6: pseudowires[0].push_vlan: conflicts with tags: keep, the default here; remove it or write tags: push"},
		{"push_vlan by default translate", pseudowireFile("push_vlan: 5", "vlan: 7"), "6: pseudowires[0].push_vlan: conflicts with tags: translate, the default here; remove it or write tags: push"},
		{"push_vlan with pop", pseudowireFile("vlan: 7", "tags: pop", "push_vlan: 5"), "8: pseudowires[0].push_vlan: conflicts with tags: pop on line 7; remove it or write tags: push"},
		{"type by default keep", pseudowireFile("tag_type: 0x8100"), "6: pseudowires[0].tag_type: conflicts with tags: keep, the default here: no tag is added; remove it"},
		{"type with keep", pseudowireFile("vlan: 5", "tag_type: 0x8100", "tags: keep"), "7: pseudowires[0].tag_type: conflicts with tags: keep on line 8: no tag is added; remove it"},
		{"unknown type", pseudowireFile("vlan: 5", "tag_type: 0x9200"), `7: pseudowires[0].tag_type: "0x9200" is not one of 0x8100, 0x88a8, 0x9100`},
		{"type in decimal", pseudowireFile("vlan: 5", "tag_type: 33024"), `7: pseudowires[0].tag_type: "33024" is not one of 0x8100, 0x88a8, 0x9100`},
	})
}

func TestLayer2Protocols(t *testing.T) {
	tests := []struct {
		value string
		want  dataplane.L2CP
	}{
		{"{}", 0},
		{"", 0},
		{"{stp: tunnel, lacp: tunnel, lldp: tunnel, pvst: tunnel, dot1x: tunnel, cfm: tunnel}", 0},
		{"{stp: drop, lacp: drop, lldp: drop, pvst: drop, dot1x: drop, cfm: drop}", dataplane.L2CPAll},
		{"{stp: drop}", dataplane.L2CPSTP},
		{"{lacp: drop, stp: tunnel}", dataplane.L2CPLACP},
		{"{lldp: drop}", dataplane.L2CPLLDP},
		{"{pvst: drop}", dataplane.L2CPPVST},
		{"{dot1x: drop}", dataplane.L2CPDot1X},
		{"{cfm: drop, lldp: drop}", dataplane.L2CPCFM | dataplane.L2CPLLDP},
	}
	for _, tt := range tests {
		cfg, err := Parse("x", []byte(pseudowireFile("l2_protocols: "+tt.value)), noSecret)
		if err != nil {
			t.Errorf("l2_protocols: %s: %v", tt.value, err)
		} else if got := cfg.Pseudowires[0].DropL2CP; got != tt.want {
			t.Errorf("l2_protocols: %s drops %v, want %v", tt.value, got, tt.want)
		}
	}
	checkRefusals(t, []refusal{
		{"unknown action", pseudowireFile("l2_protocols: {stp: peer}"), `6: pseudowires[0].l2_protocols.stp: "peer" is not one of tunnel, drop`},
		{"unknown protocol", pseudowireFile("l2_protocols: {vtp: drop}"), `6: pseudowires[0].l2_protocols.vtp: unknown key "vtp"; the keys here are cfm, dot1x, lacp, lldp, pvst, stp`},
		{"with vlan", pseudowireFile("vlan: 5", "l2_protocols: {stp: drop}"), "7: pseudowires[0].l2_protocols: is for a whole port, and vlan on line 6 selects some frames of it; remove one of them"},
		{"with vlans", pseudowireFile("l2_protocols: {}", "vlans: {outer: 5, inner: 6}"), "6: pseudowires[0].l2_protocols: is for a whole port, and vlans on line 7 selects some frames of it; remove one of them"},
	})
}

// The words of the configuration are those that the data plane shows.
func TestLayer2ProtocolNames(t *testing.T) {
	_, names := dataplane.L2CPByName("")
	for _, name := range names {
		protocol, _ := dataplane.L2CPByName(name)
		cfg, err := Parse("x", []byte(pseudowireFile("l2_protocols: {"+name+": drop}")), noSecret)
		if err != nil || cfg.Pseudowires[0].DropL2CP != protocol {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// portFile is a file with several pseudowires, on one line each from line 3 on.
// A row is the interface and keys.
func portFile(rows ...string) string {
	var b strings.Builder
	b.WriteString(staticHead)
	for i, row := range rows {
		iface, keys, _ := strings.Cut(row, ",")
		if keys != "" {
			keys = ", " + keys
		}
		fmt.Fprintf(&b, "- {name: pw%d, interface: %s%s, static: {remote: 192.0.2.9, local_session: %d, remote_session: 2}}\n", i, iface, keys, i+1)
	}
	return b.String()
}

func TestCircuitsOfOnePort(t *testing.T) {
	for name, file := range map[string]string{
		"a VLAN beside the port":       portFile("e", "e,vlan: 5"),
		"the port beside a VLAN":       portFile("e,vlan: 5", "e"),
		"different ids":                portFile("e,vlan: 5", "e,vlan: 6", "e,vlan: untagged", "e,vlan: 7-9"),
		"two tags beside one":          portFile("e,vlan: 200", "e,vlans: {outer: 200, inner: 100}"),
		"one tag beside two":           portFile("e,vlans: {outer: 200, inner: 100}", "e,vlan: 200-299"),
		"different inner ids":          portFile("e,vlans: {outer: 200, inner: 100}", "e,vlans: {outer: 200, inner: 101}"),
		"inner and outer exchanged":    portFile("e,vlans: {outer: 200, inner: 100}", "e,vlans: {outer: 100, inner: 200}"),
		"the same on another port":     portFile("e,vlan: 5", "f,vlan: 5", "g", "h"),
		"ranges side by side":          portFile("e,vlan: 1-99", "e,vlan: 100-4094"),
		"all three levels on one port": portFile("e", "e,vlan: 1-4094", "e,vlan: untagged", "e,vlans: {outer: 9, inner: 9}"),
	} {
		if _, err := Parse("x", []byte(file), noSecret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCircuitConflicts(t *testing.T) {
	const whole = "interface e is already used on line 3; choose another one, or its VLANs with vlan"
	checkRefusals(t, []refusal{
		{"two ports", portFile("e", "e"), "4: pseudowires[1].interface: " + whole},
		{"two ports around a VLAN", portFile("e", "e,vlan: 5", "e"), "5: pseudowires[2].interface: " + whole},
		{"same id", portFile("e,vlan: 5", "e,vlan: 5"), "4: pseudowires[1].vlan: interface e vlan 5 is already used on line 3; choose another one"},
		{"untagged", portFile("e,vlan: untagged", "f", "e,vlan: [5, untagged]"), "5: pseudowires[2].vlan[1]: interface e vlan untagged is already used on line 3; choose another one"},
		{"id in a range", portFile("e,vlan: 100-199", "e,vlan: [99, 150]"), "4: pseudowires[1].vlan[1]: interface e vlan 150 is already used on line 3; choose another one"},
		{"ranges meet", portFile("e,vlan: 100-199", "e,vlan: 199-299"), "4: pseudowires[1].vlan: interface e vlan 199 is already used on line 3; choose another one"},
		{"a range around a range", portFile("e,vlan: 100-199", "e,vlan: 1-4094"), "4: pseudowires[1].vlan: interface e vlan 100 is already used on line 3; choose another one"},
		{"both tags", portFile("e,vlans: {outer: 5, inner: 6}", "e,vlan: 5", "e,vlans: {inner: 6, outer: 5}"), "5: pseudowires[2].vlans: interface e vlan 5 inner 6 is already used on line 3; choose another one"},
		{"the third one of a VLAN", portFile("e,vlan: 5", "e,vlan: 6", "e,vlan: 6"), "5: pseudowires[2].vlan: interface e vlan 6 is already used on line 4; choose another one"},
		{
			"an underlay is a circuit by its VLANs", "underlay: [eth0, e]\n" + portFile("e,vlan: 5"),
			"4: pseudowires[0].interface: e is also an underlay interface on line 1; remove one of them",
		},
		{
			"an underlay is a circuit by two tags", "underlay: e\n" + portFile("e,vlans: {outer: 5, inner: 6}"),
			"4: pseudowires[0].interface: e is also an underlay interface on line 1; remove one of them",
		},
	})
}

func TestVLANRoom(t *testing.T) {
	all := "vlan: [untagged, 1-4094]"
	for name, file := range map[string]string{
		"one port has all":       "dataplane: {capacity: 1}\n" + portFile("e,"+all, "f"),
		"as many as the maps":    "dataplane: {capacity: 8190}\n" + portFile("e,"+all, "f,"+all),
		"the default is 4 ports": portFile("e,"+all, "f,"+all, "g,"+all, "h,"+all, "i,vlan: 1-4", "j"),
	} {
		if _, err := Parse("x", []byte(file), noSecret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkRefusals(t, []refusal{
		{
			"one too many", "dataplane: {capacity: 1}\n" + portFile("e,"+all, "f,vlans: {outer: 5, inner: 6}"),
			"5: pseudowires[1].vlans: with these more than 4095 VLAN ids are selected, the room that dataplane.capacity on line 1 gives; raise it, or select fewer",
		},
		{
			"one more than the capacity", "dataplane: {capacity: 8190}\n" + portFile("e,"+all, "f,"+all, "g,vlan: 5", "h,vlan: 6"),
			"6: pseudowires[2].vlan: with these more than 8190 VLAN ids are selected, the room that dataplane.capacity on line 1 gives; raise it, or select fewer",
		},
		{
			"one more than the default", portFile("e,"+all, "f,"+all, "g,"+all, "h,"+all, "i,vlan: 1-5"),
			"7: pseudowires[4].vlan: with these more than 16384 VLAN ids are selected, the room that dataplane.capacity gives; raise it, or select fewer",
		},
	})
}

// Two mistakes of one circuit that have nothing to do with each other are both
// told.
func TestCircuitMistakesTogether(t *testing.T) {
	_, err := Parse("x", []byte(portFile("e,vlan: [5, 5, 0]", "e,vlan: [6, 5, 5]")), noSecret)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 4 {
		t.Fatalf("Parse gives %v", err)
	}
	for i, want := range []string{
		"vlan 5 is given twice, first on line 3", `"0"` + notVLAN,
		"vlan 5 is given twice, first on line 4", "interface e vlan 5 is already used on line 3",
	} {
		if errs[i].Problem != want {
			t.Errorf("error %d is %q, want %q", i, errs[i].Problem, want)
		}
	}
}

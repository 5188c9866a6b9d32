package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dataplaneFile puts the keys of dataplane on line 2.
func dataplaneFile(keys string) string {
	return "router: {source: 192.0.2.1}\ndataplane: {" + keys + "}\n"
}

func TestDataplane(t *testing.T) {
	usual := Dataplane{Capacity: 16384, Attach: "auto", SlowPathRate: 10000}
	with := func(change func(*Dataplane)) Dataplane {
		d := usual
		change(&d)
		return d
	}
	tests := []struct {
		keys string
		want Dataplane
	}{
		{"", usual},
		{"capacity: 16384, attach: auto, xdp: off, unknown_session: pass, slow_path_rate: 10000", usual},
		{"unknown_session: drop", with(func(d *Dataplane) { d.DropUnknown = true })},
		{"slow_path_rate: 0", with(func(d *Dataplane) { d.SlowPathRate = 0 })},
		{"slow_path_rate: 1000000", with(func(d *Dataplane) { d.SlowPathRate = 1000000 })},
		{"xdp: auto", with(func(d *Dataplane) { d.XDP = XDP{Auto: true} })},
		{"xdp: [auto]", with(func(d *Dataplane) { d.XDP = XDP{Auto: true} })},
		{"xdp: off", usual},
		{"xdp: eth0", with(func(d *Dataplane) { d.XDP = XDP{Interfaces: []string{"eth0"}} })},
		{"xdp: [eth1, eth0]", with(func(d *Dataplane) { d.XDP = XDP{Interfaces: []string{"eth1", "eth0"}} })},
		{"reserved_sessions: 7", with(func(d *Dataplane) { d.ReservedSessions = []SessionRange{{7, 7}} })},
		{"reserved_sessions: 1-999", with(func(d *Dataplane) { d.ReservedSessions = []SessionRange{{1, 999}} })},
		{
			"reserved_sessions: [\"1-999\", 70000, 0x11171, \"0x20000-0x2ffff\", 0x30000-300000]",
			with(func(d *Dataplane) {
				d.ReservedSessions = []SessionRange{{1, 999}, {70000, 70000}, {70001, 70001}, {0x20000, 0x2ffff}, {0x30000, 300000}}
			}),
		},
		{"reserved_sessions: 1-2147483648", with(func(d *Dataplane) { d.ReservedSessions = []SessionRange{{1, 1 << 31}} })},
	}
	for _, tt := range tests {
		t.Run(tt.keys, func(t *testing.T) {
			cfg, err := Parse("pe1.yaml", []byte(dataplaneFile(tt.keys)), noSecret)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, cfg.Dataplane); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDataplaneRefusals(t *testing.T) {
	const notID = " is not a session id from 1 to 4294967295; session id 0 is a control message (RFC 3931 section 4.1)"
	checkRefusals(t, []refusal{
		{"unknown_session", dataplaneFile("unknown_session: deny"), `2: dataplane.unknown_session: "deny" is not one of pass, drop`},
		{"slow path rate", dataplaneFile("slow_path_rate: 1000001"), `2: dataplane.slow_path_rate: "1000001" is not a number from 0 to 1000000`},
		{"slow path rate below zero", dataplaneFile("slow_path_rate: -1"), `2: dataplane.slow_path_rate: "-1" is not a number from 0 to 1000000`},
		{"xdp and a word", dataplaneFile("xdp: [eth0, auto]"), "2: dataplane.xdp[1]: auto stands alone; write xdp: auto, or name every interface"},
		{"xdp off and on", dataplaneFile("xdp: [off, eth0]"), "2: dataplane.xdp[0]: off stands alone; write xdp: off, or name every interface"},
		{"xdp twice", dataplaneFile("xdp: [eth0, eth1, eth0]"), "2: dataplane.xdp[2]: eth0 is given twice; keep one of them"},
		{"xdp on loopback", dataplaneFile("xdp: lo"), "2: dataplane.xdp: the loopback interface cannot be used; name another interface"},
		{"xdp on our own helper", dataplaneFile("xdp: longwire0"), `2: dataplane.xdp: "longwire0" belongs to the agent; name another interface`},
		{"xdp on nothing", dataplaneFile("xdp: []"), "2: dataplane.xdp: is an empty list; give one or more values or remove the key"},
		{"reserved zero", dataplaneFile("reserved_sessions: 0"), `2: dataplane.reserved_sessions: "0"` + notID},
		{"reserved from zero", dataplaneFile("reserved_sessions: 0-9"), `2: dataplane.reserved_sessions: "0"` + notID},
		{"reserved too large", dataplaneFile("reserved_sessions: [5, 9-4294967296]"), `2: dataplane.reserved_sessions[1]: "4294967296"` + notID},
		{"reserved word", dataplaneFile("reserved_sessions: all"), `2: dataplane.reserved_sessions: "all"` + notID},
		{"half a range", dataplaneFile("reserved_sessions: \"5-\""), `2: dataplane.reserved_sessions: ""` + notID},
		{"a range backwards", dataplaneFile("reserved_sessions: 9-0x8"), `2: dataplane.reserved_sessions: "9-0x8" is not a range of session ids; write the lower one first`},
		{"reserved too many", dataplaneFile("reserved_sessions: 1-2147483649"), "2: dataplane.reserved_sessions: with this one more than half of all session ids are reserved; leave the others to signalled pseudowires"},
		{"reserved too many together", dataplaneFile("reserved_sessions: [5, 0x80000000-0xffffffff]"), "2: dataplane.reserved_sessions[1]: with this one more than half of all session ids are reserved; leave the others to signalled pseudowires"},
		{"all reserved, several times", dataplaneFile("reserved_sessions: [1-4294967295, 1-4294967295]"), "2: dataplane.reserved_sessions[0]: with this one more than half of all session ids are reserved; leave the others to signalled pseudowires"},
	})
}

// A static session id is chosen by hand, so it may be one of the reserved ones.
func TestStaticSessionMayBeReserved(t *testing.T) {
	cfg, err := Parse("x", []byte("dataplane: {reserved_sessions: 1-999}\n"+portFile("e")), noSecret)
	if err != nil || cfg.Pseudowires[0].Static.LocalSession != 1 {
		t.Errorf("Parse gives %v", err)
	}
}

func TestXDPInterfaces(t *testing.T) {
	for name, file := range map[string]string{
		"anything with underlay: auto": "dataplane: {xdp: [eth9]}\n" + portFile("e"),
		"an underlay interface":        "dataplane: {xdp: [eth1]}\nunderlay: [eth0, eth1]\n" + portFile("e"),
		"a circuit":                    "dataplane: {xdp: [f]}\nunderlay: eth0\n" + portFile("e", "f,vlan: 5"),
		"all of both":                  "dataplane: {xdp: [e, eth0]}\nunderlay: eth0\n" + portFile("e"),
		"auto with underlay":           "dataplane: {xdp: auto}\nunderlay: eth0\n" + portFile("e"),
		"off with underlay":            "dataplane: {xdp: off}\nunderlay: eth0\n" + portFile("e"),
	} {
		if _, err := Parse("x", []byte(file), noSecret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkRefusals(t, []refusal{
		{"neither", "dataplane:\n  xdp:\n  - eth0\n  - eth9\nunderlay: [eth0, eth1]\n" + portFile("e"), "4: dataplane.xdp[1]: eth9 is neither a circuit nor in underlay on line 5; remove it or add it there"},
		{"without pseudowires", "router: {source: 192.0.2.1}\nunderlay: eth0\ndataplane: {xdp: e}\n", "3: dataplane.xdp: e is neither a circuit nor in underlay on line 2; remove it or add it there"},
		{"a wrong name is one error", "dataplane: {xdp: [lo]}\nunderlay: eth0\n" + portFile("e"), "1: dataplane.xdp[0]: the loopback interface cannot be used; name another interface"},
		{"a wrong name among right ones is one error", "dataplane: {xdp: [lo, e]}\nunderlay: eth0\n" + portFile("e"), "1: dataplane.xdp[0]: the loopback interface cannot be used; name another interface"},
		{"a wrong underlay is one error", "dataplane: {xdp: [eth0]}\nunderlay: lo\n" + portFile("e"), "2: underlay: the loopback interface cannot be used; name another interface"},
	})
}

package scenario

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"longwire/test/lab"
)

// vlanWire is a pseudowire of some VLANs of the first circuit.
type vlanWire struct {
	wire
	here, there lab.Keys // by side 1 and 2
}

// vlanWires are all kinds of circuits of one port, over all outer headers. The
// numbers of the two ends differ wherever they may.
func vlanWires() []vlanWire {
	list := lab.Keys{"vlan": []any{800, "810-819"}}
	push := lab.Keys{"vlan": "700-710", "tags": "push", "push_vlan": 7}
	wires := []vlanWire{
		{here: lab.Keys{}, there: lab.Keys{}},
		{here: lab.Keys{"vlan": 100}, there: lab.Keys{"vlan": 200}},
		{here: lab.Keys{"vlans": lab.Keys{"outer": 300, "inner": 30}}, there: lab.Keys{"vlans": lab.Keys{"outer": 400, "inner": 40}}},
		{here: lab.Keys{"vlan": 300}, there: lab.Keys{"vlan": 310}},
		{here: lab.Keys{"vlan": 500, "tags": "pop"}, there: lab.Keys{"vlan": 600, "tags": "pop"}},
		{here: push, there: push},
		{here: list, there: list},
		{here: lab.Keys{"vlan": "untagged"}, there: lab.Keys{"vlan": "untagged"}},
		{
			here:  lab.Keys{"vlans": lab.Keys{"outer": 900, "inner": 90}, "tags": "pop"},
			there: lab.Keys{"vlans": lab.Keys{"outer": 950, "inner": 95}, "tags": "pop"},
		},
	}
	kinds := encapsulations(0)
	for i := range wires {
		wires[i].wire = kinds[i%len(kinds)]
		wires[i].number, wires[i].static, wires[i].cookie = i, true, 8
	}
	return wires
}

// config is the pseudowire in the configuration of a side.
func (w vlanWire) config(side int) lab.Pseudowire {
	pw := w.wire.config(side)
	pw.Interface, pw.More = lab.Circuit(0), w.here
	if side == 2 {
		pw.More = w.there
	}
	return pw
}

// newVLANPair joins two ports by pseudowires of their VLANs.
func newVLANPair(t *testing.T, wires ...vlanWire) *pair {
	p := newPair(t, lab.Options{CircuitMTU: tagged}, nil, nil)
	return p.configure(func(side int, c *lab.Config) {
		for _, w := range wires {
			c.Pseudowires = append(c.Pseudowires, w.config(side))
		}
	})
}

// tag is a tag with a priority, by which it is seen whether all of it crosses.
func tag(tpid, vid uint16) lab.Tag { return lab.Tag{TPID: tpid, TCI: 5<<13 | vid} }

func c(vid uint16) lab.Tag { return tag(lab.EtherTypeVLAN, vid) }
func s(vid uint16) lab.Tag { return tag(lab.EtherTypeQinQ, vid) }

// plain is a tag that a PE has added: it has no priority.
func plain(tpid, vid uint16) lab.Tag { return lab.Tag{TPID: tpid, TCI: vid} }

// passage is a kind of frame at both ends, and the pseudowire that has it.
type passage struct {
	name string
	wire int
	ce1  []lab.Tag
	ce2  []lab.Tag
}

var passages = []passage{
	{name: "untagged", wire: 7},
	{name: "priority only", wire: 7, ce1: []lab.Tag{c(0)}, ce2: []lab.Tag{c(0)}},
	{name: "one VLAN, translated", wire: 1, ce1: []lab.Tag{c(100)}, ce2: []lab.Tag{c(200)}},
	{name: "of another EtherType", wire: 1, ce1: []lab.Tag{s(100)}, ce2: []lab.Tag{s(200)}},
	{name: "of EtherType 0x9100", wire: 1, ce1: []lab.Tag{tag(0x9100, 100)}, ce2: []lab.Tag{tag(0x9100, 200)}},
	{name: "with a tag of the customer's", wire: 1, ce1: []lab.Tag{c(100), c(5)}, ce2: []lab.Tag{c(200), c(5)}},
	{name: "with two tags of the customer's", wire: 1, ce1: []lab.Tag{c(100), c(5), c(6)}, ce2: []lab.Tag{c(200), c(5), c(6)}},
	{name: "two tags, translated", wire: 2, ce1: []lab.Tag{s(300), c(30)}, ce2: []lab.Tag{s(400), c(40)}},
	{name: "two tags and one of the customer's", wire: 2, ce1: []lab.Tag{s(300), c(30), c(9)}, ce2: []lab.Tag{s(400), c(40), c(9)}},
	{name: "the outer tag alone says less", wire: 3, ce1: []lab.Tag{s(300), c(31)}, ce2: []lab.Tag{s(310), c(31)}},
	{name: "and has no inner one", wire: 3, ce1: []lab.Tag{c(300)}, ce2: []lab.Tag{c(310)}},
	{name: "popped", wire: 4, ce1: []lab.Tag{plain(lab.EtherTypeVLAN, 500)}, ce2: []lab.Tag{plain(lab.EtherTypeVLAN, 600)}},
	{name: "popped before the customer's", wire: 4, ce1: []lab.Tag{plain(lab.EtherTypeVLAN, 500), c(9)}, ce2: []lab.Tag{plain(lab.EtherTypeVLAN, 600), c(9)}},
	{name: "two popped", wire: 8, ce1: []lab.Tag{plain(lab.EtherTypeQinQ, 900), plain(lab.EtherTypeVLAN, 90)}, ce2: []lab.Tag{plain(lab.EtherTypeQinQ, 950), plain(lab.EtherTypeVLAN, 95)}},
	{name: "pushed", wire: 5, ce1: []lab.Tag{c(705)}, ce2: []lab.Tag{c(705)}},
	{name: "pushed on two", wire: 5, ce1: []lab.Tag{c(710), c(9)}, ce2: []lab.Tag{c(710), c(9)}},
	{name: "of a list", wire: 6, ce1: []lab.Tag{c(800)}, ce2: []lab.Tag{c(800)}},
	{name: "of a range", wire: 6, ce1: []lab.Tag{c(815)}, ce2: []lab.Tag{c(815)}},
	{name: "beside the range", wire: 0, ce1: []lab.Tag{c(820)}, ce2: []lab.Tag{c(820)}},
	{name: "the port's", wire: 0, ce1: []lab.Tag{s(999), c(1)}, ce2: []lab.Tag{s(999), c(1)}},
	{name: "the port's, three tags", wire: 0, ce1: []lab.Tag{s(999), c(1), c(2)}, ce2: []lab.Tag{s(999), c(1), c(2)}},
}

// cross sends a frame from one side and checks what arrives at the other.
func (v passage) cross(p *pair, number, from int) error {
	hosts, tags := []*lab.Namespace{p.CE1, p.CE2}, [][]lab.Tag{v.ce1, v.ce2}
	frame := lab.Frame{
		Destination: unicast, Source: [6]byte{0x02, byte(from), 7, 0, byte(number >> 8), byte(number)},
		Tags: tags[from], EtherType: lab.EtherTypeTest, Payload: lab.Pattern(uint32(number), 1200),
	}
	far := hosts[1-from].Sniff(lab.HostPort(0))
	defer far.Close()
	sent := frame.Bytes()
	if err := hosts[from].Port(lab.HostPort(0)).Send(sent); err != nil {
		return err
	}
	got, err := far.Await(3*time.Second, func(f []byte) bool { return bytes.HasPrefix(f, sent[:12]) })
	if err != nil {
		return err
	}
	frame.Tags = tags[1-from]
	return lab.SameFrame(frame.Bytes(), got)
}

// TestVLANCircuits joins two ports by nine pseudowires of their VLANs. Each kind
// of frame takes the pseudowire that says most about it, by its counters, and
// arrives with the tags that it has at the far end.
func TestVLANCircuits(t *testing.T) {
	t.Parallel()
	wires := vlanWires()
	p := newVLANPair(t, wires...).launch()
	for i, v := range passages {
		t.Run(v.name, func(t *testing.T) {
			for from := range 2 {
				before := p.counters(from + 1)
				if err := v.cross(p, 2*i+from, from); err != nil {
					t.Errorf("from CE%d: %v", from+1, err)
				}
				p.onlyBy(t, from+1, before, wires[v.wire].name(), wires[7].name())
			}
		})
	}
	t.Run("shown", func(t *testing.T) { p.showsVLANs(t) })
}

// counters is a row of "longwire show counters -o json".
type counters struct {
	Pseudowire     string            `json:"pseudowire"`
	EncapPackets   uint64            `json:"encap_packets"`
	DecapPackets   uint64            `json:"decap_packets"`
	Fragmented     uint64            `json:"fragmented"`
	PreviousCookie uint64            `json:"previous_cookie"`
	Drops          map[string]uint64 `json:"drops"`
}

// counters returns the counters of a side, by pseudowire.
func (p *pair) counters(side int) map[string]counters {
	p.t.Helper()
	var rows []counters
	if err := p.agents[side].Read("counters", &rows); err != nil {
		p.t.Fatal(err)
	}
	byName := map[string]counters{}
	for _, row := range rows {
		byName[row.Pseudowire] = row
	}
	return byName
}

// onlyBy checks that since the counters before a side has sent by one pseudowire
// and no other; one more may have been busy with what hosts say by themselves.
func (p *pair) onlyBy(t *testing.T, side int, before map[string]counters, name, busy string) {
	t.Helper()
	for other, now := range p.counters(side) {
		sent := now.EncapPackets - before[other].EncapPackets
		if (other == name && sent == 0) || (other != name && other != busy && sent != 0) {
			t.Errorf("PE%d sent %d frames by %s, want %s", side, sent, other, name)
		}
	}
}

// showsVLANs checks what an operator sees of the circuits.
func (p *pair) showsVLANs(t *testing.T) {
	for what, words := range map[string][]string{
		"pseudowires": {"ac0/100 ", "ac0/300.30 ", "ac0/800,810-819 ", "ac0/untagged "},
		"sessions":    {"push:0x8100/7", "pop:2", "set:0x8100/100", "set:0x88a8/300,set:0x8100/30", "push:0x88a8/900,push:0x8100/90", "shared"},
	} {
		table, err := p.agents[1].Show(what)
		if err == nil {
			err = contains(table, words...)
		}
		if err != nil {
			t.Errorf("show %s: %v", what, err)
		}
	}
}

// TestUnmatchedFramesAreTheHosts gives a port's VLANs to pseudowires: what none
// of them takes is the host's, in both directions, and nothing of it crosses.
func TestUnmatchedFramesAreTheHosts(t *testing.T) {
	t.Parallel()
	wires := vlanWires()[1:3]
	p := newVLANPair(t, wires...)
	host := netip.MustParseAddr("198.18.0.77")
	p.PE1.Address(lab.Circuit(0), netip.PrefixFrom(host, 24).String())
	p.launch()
	if err := p.CE1.Ping(host, 1400, 5*time.Second); err != nil {
		t.Errorf("an untagged ping to the PE: %v", err)
	}
	far := p.CE2.Sniff(lab.HostPort(0))
	for i, v := range passages[2:8] {
		if slices.Contains([]int{1, 2}, v.wire) {
			if err := v.cross(p, 100+i, 0); err != nil {
				t.Errorf("%s: %v", v.name, err)
			}
		}
	}
	pe2 := p.PE2.MAC(lab.Circuit(0)) // the port is its host's as well
	for _, f := range far.Frames() {
		if !bytes.HasPrefix(f[6:], []byte{0x02, 0x00, 7, 0}) && !bytes.HasPrefix(f[6:], pe2) {
			t.Errorf("a frame that no pseudowire has crossed: %x", f[:min(len(f), 60)])
		}
	}

	// The last one gone, the port is the host's alone.
	p.config[1].Pseudowires = nil
	p.agents[1].Configure(p.config[1])
	if err := p.agents[1].Reload(); err != nil {
		t.Fatal(err)
	}
	if err := p.CE1.Ping(host, 1400, 5*time.Second); err != nil {
		t.Errorf("an untagged ping to the PE without pseudowires: %v", err)
	}
}

// TestClosedCircuit checks that a circuit without a far end is the pseudowire's
// all the same: not a frame of it reaches the host.
func TestClosedCircuit(t *testing.T) {
	t.Parallel()
	w := wire{signalled: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, byReflector) // and nobody reflects
	host := netip.MustParseAddr("198.18.0.77")
	p.PE1.Address(lab.Circuit(0), netip.PrefixFrom(host, 24).String())
	p.PE1.Sysctl("net/ipv4/icmp_echo_ignore_all", "0")
	if err := p.CE1.Ping(host, 56, 5*time.Second); err != nil {
		t.Fatalf("without a pseudowire: %v", err)
	}
	p.agents[1].Launch()
	p.await(1, w, "down", "no_remote")
	if err := p.CE1.Ping(host, 56, 0); err == nil {
		t.Error("the host still answers")
	}
	p.Poll(5*time.Second, "the frames are counted", func() error {
		if c := p.counters(1)[w.name()]; c.Drops["no_session"] == 0 || c.EncapPackets != 0 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
}

// TestVLANCircuitMoves changes the VLANs of a circuit and lets another pseudowire
// have the old ones, in one reload, while a third one carries traffic.
func TestVLANCircuitMoves(t *testing.T) {
	t.Parallel()
	wires := vlanWires()[:3]
	p := newVLANPair(t, wires...).launch()
	untouched := p.Stream(p.CE1, lab.HostPort(0), p.CE2, lab.HostPort(0), 2*time.Millisecond) // untagged: the port's
	p.config[1].Pseudowires[1].More = lab.Keys{"vlan": 101}
	p.config[1].Pseudowires[2].More = lab.Keys{"vlan": 100}
	p.config[2].Pseudowires[2].More = lab.Keys{"vlan": 444}
	for side := 1; side <= 2; side++ {
		p.agents[side].Configure(p.config[side])
		if err := p.agents[side].Reload(); err != nil {
			t.Fatal(err)
		}
		p.awaitAllUp(side)
	}
	for i, v := range []passage{
		{name: "moved", wire: 1, ce1: []lab.Tag{c(101)}, ce2: []lab.Tag{c(200)}},
		{name: "given away", wire: 2, ce1: []lab.Tag{c(100)}, ce2: []lab.Tag{c(444)}},
		{name: "left", wire: 0, ce1: []lab.Tag{s(300), c(30)}, ce2: []lab.Tag{s(300), c(30)}},
	} {
		for from := range 2 {
			if err := v.cross(p, 200+2*i+from, from); err != nil {
				t.Errorf("%s, from CE%d: %v", v.name, from+1, err)
			}
		}
	}
	if sent, lost := untouched.Stop(); sent == 0 || lost != 0 {
		t.Errorf("the port's pseudowire lost %d of %d frames meanwhile", lost, sent)
	}
}

// TestVLANCircuitsOutliveTheAgent kills an agent: the circuits go on, the next
// agent finds in the kernel exactly what it wants, and has nothing to repair.
func TestVLANCircuitsOutliveTheAgent(t *testing.T) {
	t.Parallel()
	p := newVLANPair(t, vlanWires()...).launch()
	flow := p.Stream(p.CE1, lab.HostPort(0), p.CE2, lab.HostPort(0), 2*time.Millisecond)
	p.flowing([]*lab.Stream{flow}, 50)
	check := func(when string, first int) {
		t.Helper()
		for i, v := range passages {
			if err := v.cross(p, first+i, i%2); err != nil {
				t.Errorf("%s: %s: %v", when, v.name, err)
			}
		}
	}
	p.agents[1].Daemon().Kill()
	check("agent killed", 300)
	before := p.kernel()
	p.agents[1].Launch()
	p.awaitAllUp(1)
	check("agent restarted", 400)
	if after := p.kernel(); after != before {
		t.Errorf("the restart changed the sessions from\n%s to\n%s", before, after)
	}
	var agent struct {
		Repairs  int      `json:"repairs"`
		Problems []string `json:"problems"`
	}
	if err := p.agents[1].Read("agent", &agent); err != nil || agent.Repairs != 0 || len(agent.Problems) != 0 {
		t.Errorf("%+v, %v", agent, err)
	}
	if sent, lost := flow.Stop(); sent == 0 || lost != 0 {
		t.Errorf("%d of %d frames lost", lost, sent)
	}
}

// kernel returns the pinned maps of PE1 that say which circuits there are and
// where they send, an entry in a line.
func (p *pair) kernel() string {
	p.t.Helper()
	var lines []string
	for _, name := range []string{"vlans", "transmits", "receives"} {
		m, err := ebpf.LoadPinnedMap(p.agents[1].Pins+"/"+name, &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			p.t.Fatal(err)
		}
		defer m.Close()
		var key, value []byte
		entries := m.Iterate()
		for entries.Next(&key, &value) {
			lines = append(lines, fmt.Sprintf("%s %x %x", name, key, value))
		}
		if err := entries.Err(); err != nil {
			p.t.Fatal(err)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

package interop

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/peer/exabgp"
)

// scene is a pseudowire of each layout, up with ExaBGP as the far end's voice.
type scene struct {
	*stage
	layouts  []layout
	accepted map[string]mapEntry // what the agent accepts, by pseudowire
}

// TestDecoders has a pseudowire of each layout come up, and holds what ExaBGP and
// tshark read in our UPDATEs and packets against what the agent says that it
// programs.
func TestDecoders(t *testing.T) {
	t.Parallel()
	s, bgp, data := newScene(t)
	s.sendShapes(t)
	for what, c := range map[string]*lab.Capture{"BGP": bgp, "data": data} {
		if missed := c.Stop(); missed != 0 {
			t.Errorf("the capture of %s missed %d packets", what, missed)
		}
	}
	tshark, err := lab.TsharkVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byTshark := s.tsharkRoutes(t, bgp)
	byExaBGP, packets := s.exabgpRoutes(t), s.tsharkReads(t, data)
	for name, group := range s.groups(func(l layout) string { return l.header() }) {
		t.Run("routes, tshark, "+name, func(t *testing.T) {
			matrix.Record(t, decoders, "UPDATE, "+name+", cookies of 0, 4 and 8 bytes, sublayer or none", tshark)
			for _, i := range group {
				if want := s.wantTshark(i); !slices.Contains(byTshark, want) {
					t.Errorf("%v: tshark reads no route %q in\n%s", s.layouts[i], want, strings.Join(byTshark, "\n"))
				}
			}
		})
		t.Run("routes, ExaBGP, "+name, func(t *testing.T) {
			matrix.Record(t, decoders, "UPDATE, "+name+", cookies of 0, 4 and 8 bytes, sublayer or none", column)
			for _, i := range group {
				s.checkExaBGP(t, i, byExaBGP[uint32(1000+i)])
			}
		})
	}
	for name, group := range s.groups(func(l layout) string { return l.header() + ", " + l.layer() }) {
		t.Run("packets, tshark, "+name, func(t *testing.T) {
			matrix.Record(t, decoders, "packets, "+name+", cookies of 0, 4 and 8 bytes", tshark)
			for _, i := range group {
				s.checkPackets(t, packets, i)
			}
		})
	}
}

// newScene brings the pseudowires up. Every device computes its own checksums.
func newScene(t *testing.T) (s *scene, bgp, data *lab.Capture) {
	t.Helper()
	s = &scene{layouts: layouts()}
	var pseudowires []lab.Pseudowire
	config := exabgpConfig(nil)
	for i, l := range s.layouts {
		pseudowires = append(pseudowires, l.row(i).pseudowire(i))
		config.Routes = append(config.Routes, l.row(i).route(i))
	}
	options := lab.Options{Circuits: len(pseudowires), NoUnderlayOffloads: true, NoCircuitOffloads: true}
	s.stage = &stage{Topology: lab.NewTopology(t, options), t: t}
	bgp, data = s.P.Capture("rr", "tcp port 179"), s.P.Capture("pe2", l2tp)
	s.agent = s.Agent(longwire, s.PE1, agentConfig(pseudowires))
	s.agent.Launch()
	s.exabgp = exabgp.Start(t, s.Lab, s.RR, config)
	s.established()
	for _, pw := range pseudowires {
		s.await(t, pw.Name, "up", "", "")
	}
	s.accepted = s.entries(t, "receive")
	return s, bgp, data
}

// groups lists the layouts by a name that several share.
func (s *scene) groups(name func(layout) string) map[string][]int {
	groups := map[string][]int{}
	for i, l := range s.layouts {
		groups[name(l)] = append(groups[name(l)], i)
	}
	return groups
}

// own is the attribute 23 that we must announce for a layout, from RFC 9012 alone
// and what the agent accepts.
func (s *scene) own(i int) (tunnel string, subTypes []string) {
	l, ours := s.layouts[i], s.accepted[fmt.Sprintf("pw%d", i)]
	subs := []string{encapsulation(ours.Session, ours.Cookie), egress(l.tunnel(i).Source.String())}
	subTypes = []string{"1", "6"}
	if l.udp {
		subs, subTypes = append(subs, sub(126, "06a5")), append(subTypes, "126")
	}
	return tlv(1, subs...), subTypes
}

// exabgpRoutes returns our routes as ExaBGP has decoded them, by Ethernet Tag.
func (s *scene) exabgpRoutes(t *testing.T) map[uint32]exabgp.Received {
	t.Helper()
	list, err := s.exabgp.Received()
	if err != nil {
		t.Fatal(err)
	}
	byTag := map[uint32]exabgp.Received{}
	for _, r := range list {
		if !r.Withdrawn {
			byTag[r.Tag] = r
		}
	}
	return byTag
}

// checkExaBGP compares a route as ExaBGP decodes it, field by field and in bytes.
func (s *scene) checkExaBGP(t *testing.T, i int, got exabgp.Received) {
	t.Helper()
	l := s.layouts[i]
	attribute, _ := s.own(i)
	flags := 0
	if l.sublayer {
		flags = 4
	}
	want := map[string]string{
		"next hop": l.tunnel(i).Source.String(), "RD": "192.0.2.1:1", "ESI": "-", "labels": "[[3 48]]",
		"NLRI":        fmt.Sprintf("01190001c000020100010000000000000000000%09x000030", 1000+i),
		"tunnel":      "0x" + attribute,
		"communities": fmt.Sprintf("[0002fde800000001 0604%04x05dc0000]", flags), "origin": `"igp"`, "local preference": "100",
	}
	have := map[string]string{
		"next hop": got.NextHop, "RD": got.RD, "ESI": got.ESI, "labels": fmt.Sprint(got.Labels), "NLRI": got.Raw,
		"tunnel": got.Tunnel(), "communities": fmt.Sprint(communitiesOf(t, got)),
		"origin": string(got.Attribute["origin"]), "local preference": string(got.Attribute["local-preference"]),
	}
	for field := range want {
		if have[field] != want[field] {
			t.Errorf("%v: ExaBGP reads %s %q, want %q", l, field, have[field], want[field])
		}
	}
}

// communitiesOf returns the extended communities in hexadecimal.
func communitiesOf(t *testing.T, r exabgp.Received) []string {
	t.Helper()
	var list []struct{ Value uint64 }
	if err := json.Unmarshal(r.Attribute["extended-community"], &list); err != nil {
		t.Errorf("extended communities %s: %v", r.Attribute["extended-community"], err)
	}
	var words []string
	for _, c := range list {
		words = append(words, fmt.Sprintf("%016x", c.Value))
	}
	return words
}

// shapes are what the customer sends over each pseudowire.
var shapes = []lab.Frame{
	{Destination: lab.Broadcast, EtherType: lab.EtherTypeTest, Payload: lab.Pattern(1, 64)},
	{Destination: [6]byte{2, 0, 0, 0, 0xbe, 0xef}, EtherType: lab.EtherTypeTest, Payload: lab.Pattern(2, 1500)},
	{Destination: [6]byte{2, 0, 0, 0, 0xbe, 0xef}, EtherType: lab.EtherTypeTest, Payload: lab.Pattern(3, 61)},
	{Destination: [6]byte{2, 0, 0, 0, 0xbe, 0xef}, Tags: []lab.Tag{{TPID: lab.EtherTypeVLAN, TCI: 0xa064}}, EtherType: lab.EtherTypeTest, Payload: lab.Pattern(4, 101)},
}

// source is the customer's address in a frame, which tells frames apart.
func source(i, shape int) [6]byte { return [6]byte{2, 1, 0, byte(shape), 0, byte(i)} }

// sendShapes sends every shape over every pseudowire, and waits until all have
// left.
func (s *scene) sendShapes(t *testing.T) {
	t.Helper()
	far := s.PE2.Sniff(lab.Uplink)
	defer far.Close()
	for i := range s.layouts {
		port := s.CE1.Port(lab.HostPort(i))
		for n, f := range shapes {
			f.Source = source(i, n)
			if err := port.Send(f.Bytes()); err != nil {
				t.Fatal(err)
			}
			mark := f.Bytes()[:12]
			if _, err := far.Await(patience, func(b []byte) bool { return strings.Contains(string(b), string(mark)) }); err != nil {
				t.Fatalf("%v: shape %d does not leave: %v", s.layouts[i], n, err)
			}
		}
	}
}

// hexOf returns bytes as tshark prints a MAC address.
func hexOf(b [6]byte) string {
	var words []string
	for _, octet := range b {
		words = append(words, hex.EncodeToString([]byte{octet}))
	}
	return strings.Join(words, ":")
}

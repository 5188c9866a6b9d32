package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/peer/exabgp"
)

const handmade = "Hand-made routes (ExaBGP)"

// l2tp is the pcap filter of Longwire's packets.
const l2tp = "ip proto 115 or ip6 proto 115 or udp port 1701"

// TestHandmadeRoutes has ExaBGP send each route, right or wrong, for a pseudowire
// of its own. A right one is programmed as it says, and a frame leaves so; of a
// wrong one nothing is programmed and nothing leaves, and the reason is shown,
// logged and counted. Then all are replaced by right ones, and withdrawn.
func TestHandmadeRoutes(t *testing.T) {
	t.Parallel()
	list := slices.Concat(goodRows(), sixRows(), badRows())
	s, capture := play(t, list, exabgpConfig(nil))
	t.Run("refusals are counted and logged", func(t *testing.T) { s.refusalsTold(t, list) })
	t.Run("nothing else leaves", func(t *testing.T) { nothingElse(t, capture, list) })
	t.Run("a right route comes for each", func(t *testing.T) {
		matrix.Record(t, handmade, "a right route comes after each wrong one", column)
		var right []exabgp.Route
		for i := range list {
			// ExaBGP orders what a reload changes by attributes. With others than
			// before, it withdraws first.
			route := row{}.route(i)
			route.Preference = 200
			right = append(right, route)
		}
		s.exabgp.Change(exabgpConfig(right))
		for i, r := range list {
			if r.wire == nil {
				s.await(t, r.pseudowire(i).Name, "up", "", "")
				s.programmed(t, r.pseudowire(i).Name, plain())
			}
		}
	})
	t.Run("withdrawn", func(t *testing.T) {
		matrix.Record(t, handmade, "all are withdrawn", column)
		s.exabgp.Change(exabgpConfig(nil))
		for i, r := range list {
			s.await(t, r.pseudowire(i).Name, "down", "no_remote", "")
		}
	})
}

// play has ExaBGP send the routes of rows and looks at what becomes of each.
func play(t *testing.T, list []row, config exabgp.Config) (*stage, *lab.Capture) {
	t.Helper()
	var pseudowires []lab.Pseudowire
	for i, r := range list {
		pseudowires = append(pseudowires, r.pseudowire(i))
		config.Routes = append(config.Routes, r.route(i))
	}
	s := newStage(t, agentConfig(pseudowires), config)
	capture := s.P.Capture("pe2", l2tp)
	s.established()
	for i, r := range list {
		t.Run(r.name, func(t *testing.T) {
			matrix.Record(t, handmade, r.name, column)
			s.await(t, pseudowires[i].Name, r.state, r.reason, r.detail)
			s.sends(t, i)
			if r.state == "up" {
				s.programmed(t, pseudowires[i].Name, r.tunnel)
				s.leaves(t, capture, r.tunnel, i)
				return
			}
			if e, ok := s.entries(t, "transmit")[pseudowires[i].Name]; ok && e.Session != 0 {
				t.Errorf("programmed: %+v", e)
			}
		})
	}
	return s, capture
}

// marked is the customer's frame of a pseudowire.
func marked(i int) []byte {
	return lab.Frame{
		Destination: [6]byte{2, 0, 0, 0, 0xbe, 0xef}, Source: [6]byte{2, 1, 0, 0, 0, byte(i)},
		EtherType: lab.EtherTypeTest, Payload: lab.Pattern(uint32(i), 300),
	}.Bytes()
}

// sends sends the frame of a pseudowire into its circuit.
func (s *stage) sends(t *testing.T, i int) {
	t.Helper()
	if err := s.CE1.Port(lab.HostPort(i)).Send(marked(i)); err != nil {
		t.Fatal(err)
	}
}

// programmed compares what the kernel sends to with a tunnel.
func (s *stage) programmed(t *testing.T, name string, want lab.Tunnel) {
	t.Helper()
	encapsulation, sublayer := "ip", "none"
	if want.UDP {
		encapsulation = "udp"
	}
	if want.Sublayer {
		sublayer = "default"
	}
	err := lab.Await(patience, func() error {
		e := s.entries(t, "transmit")[name]
		if e.Session != want.Session || e.Cookie != want.Cookie || e.Local != want.Source.String() || e.Remote != want.Destination.String() ||
			e.Encapsulation != encapsulation || e.Sublayer != sublayer {
			return fmt.Errorf("programmed as %+v, want %+v", e, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// leaves waits until the frame of a pseudowire has left in a packet of the
// tunnel, right to the last byte.
func (s *stage) leaves(t *testing.T, capture *lab.Capture, want lab.Tunnel, i int) {
	t.Helper()
	sent := marked(i)
	want.Super = true // a veth leaves UDP checksums open
	err := lab.Await(10*time.Second, func() error {
		packets, err := capture.Packets()
		if err != nil {
			return err
		}
		wrong := fmt.Errorf("no packet of %+v among %d", want, len(packets))
		for _, packet := range packets {
			if inner, err := want.Inner(packet); err == nil && lab.SameFrame(sent, inner) == nil {
				return nil
			}
		}
		return wrong
	})
	if err != nil {
		t.Error(err)
	}
}

// nothingElse checks that every packet that left is one of a good row's.
func nothingElse(t *testing.T, capture *lab.Capture, list []row) {
	if missed := capture.Stop(); missed != 0 {
		t.Errorf("the capture missed %d packets", missed)
	}
	var tunnels []lab.Tunnel
	for _, r := range list {
		if r.state == "up" {
			r.tunnel.Super = true
			tunnels = append(tunnels, r.tunnel)
		}
	}
	packets, err := capture.Packets()
	if err != nil {
		t.Fatal(err)
	}
	for n, packet := range packets {
		if !anyOf(tunnels, packet) {
			t.Errorf("packet %d belongs to no good route: %x", n+1, packet)
		}
	}
}

func anyOf(tunnels []lab.Tunnel, packet []byte) bool {
	for _, t := range tunnels {
		if _, err := t.Inner(packet); err == nil {
			return true
		}
	}
	return false
}

// refusalsTold compares counters and log with the rows: each blocked one counts
// under its reason, and has a line that names it.
func (s *stage) refusalsTold(t *testing.T, list []row) {
	var agent struct {
		Refused map[string]int `json:"refused_routes"`
	}
	if err := s.agent.Read("agent", &agent); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	log := s.agent.Daemon().Log()
	for i, r := range list {
		if r.state != "blocked" {
			continue
		}
		want[r.reason]++
		if !lineWith(log, "route cannot be used", fmt.Sprintf("service=%d ", service(i)), "reason="+r.reason, "advice=") {
			t.Errorf("%s: no line of the log says so", r.name)
		}
	}
	for reason, n := range want {
		if agent.Refused[reason] != n {
			t.Errorf("%d routes refused for %s, want %d", agent.Refused[reason], reason, n)
		}
	}
}

// lineWith says whether a line of a log has all the words.
func lineWith(log string, words ...string) bool {
	for line := range strings.Lines(log) {
		found := true
		for _, word := range words {
			found = found && strings.Contains(line, word)
		}
		if found {
			return true
		}
	}
	return false
}

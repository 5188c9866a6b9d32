package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"longwire/test/lab"
)

// show is one run of the demonstration.
type show struct {
	*runner
	begin               time.Time
	longwire, reflector string
	step                int
	complete            bool // every step was played
	topology            *lab.Topology
	agents              [3]*lab.Agent // by side, 1 and 2
}

const picture = `
  site 1                          provider                          site 2

  +-----+  eth0  ac0 +-----+ ul0        +---+        ul0 +-----+ ac0  eth0  +-----+
  | CE1 |------------| PE1 |------------| P |------------| PE2 |------------| CE2 |
  +-----+  eth1  ac1 +-----+            +---+            +-----+ ac1  eth1  +-----+
                     192.0.2.1            |              192.0.2.2
                     2001:db8::1        +----+           2001:db8::2
                                        | RR | BGP route reflector
                                        +----+ 192.0.2.254

  customer-a: eth0 to eth0, L2TPv3 over IPv4        customer-b: eth1 to eth1, L2TPv3 over UDP over IPv6
`

// customers are the pseudowires of the demonstration, by circuit.
var customers = []string{"customer-a", "customer-b"}

// title begins a step.
func (s *show) title(text string) {
	s.step++
	fmt.Printf("\n%s\n", paint(blue, fmt.Sprintf("%d. %s", s.step, text)))
}

func (s *show) say(colour, text string) { fmt.Printf("\n%s\n", paint(colour, text)) }

// held prints that something is as it should be.
func (s *show) held(format string, args ...any) {
	fmt.Println(indent(paint(green, "ok ") + fmt.Sprintf(format, args...)))
}

// play plays all steps.
func (s *show) play() {
	s.build()
	s.start()
	s.pings()
	s.frames()
	s.onTheWire()
	s.look()
	s.withdraw()
	s.restore()
}

func (s *show) build() {
	s.title("A routed network between two sites")
	s.topology = lab.NewTopology(s, lab.Options{Circuits: len(customers)})
	fmt.Print(strings.TrimLeft(picture, "\n"))
	s.held("six network namespaces, named %s-*", s.topology.ID())
}

// config is the configuration of one PE.
func (s *show) config(side int) lab.Config {
	_, pe := s.topology.Side(side)
	far := 3 - side
	pseudowires := make([]lab.Pseudowire, len(customers))
	for i, name := range customers {
		pseudowires[i] = lab.Pseudowire{
			Name: name, Interface: lab.Circuit(i), Source: pe.Source4.String(), Encapsulation: "ip",
			EVPN: &lab.EVPN{RouteTarget: fmt.Sprintf("65000:%d", i+1), LocalService: 100*(i+1) + side, RemoteService: 100*(i+1) + far},
		}
	}
	pseudowires[1].Source, pseudowires[1].Encapsulation = pe.Source6.String(), "udp"
	return lab.Config{
		Router: lab.Router{ID: pe.Source4, ASN: 65000, Source: []netip.Addr{pe.Source4, pe.Source6}},
		BGP: &lab.BGP{Neighbors: []lab.Neighbor{
			{Address: lab.RRSource4, ASN: 65000, LocalAddress: pe.Source4.String()},
		}},
		Pseudowires: pseudowires,
	}
}

func (s *show) start() {
	s.title("A route reflector, and an agent on each PE")
	t := s.topology
	t.RR.Start("reflector", s.reflector, "-router-id", lab.RRSource4.String(), "-asn", "65000",
		"-client", lab.PE1Source4.String(), "-client", lab.PE2Source4.String())
	begin := time.Now()
	for side := 1; side <= 2; side++ {
		_, pe := t.Side(side)
		s.agents[side] = t.Agent(s.longwire, pe, s.config(side))
		s.agents[side].Launch()
		s.held("longwire agent -c %s", s.agents[side].File)
	}
	for side := 1; side <= 2; side++ {
		s.await(side, customers[0], "up")
		s.await(side, customers[1], "up")
	}
	s.held("both pseudowires are up at both ends after %.1f seconds", time.Since(begin).Seconds())
}

// await waits until a pseudowire of a side is in a state, and returns the
// reason.
func (s *show) await(side int, name, state string) (reason string) {
	t := s.topology
	t.Poll(40*time.Second, fmt.Sprintf("%s of PE%d %s", name, side, state), func() error {
		var rows []struct{ Name, State, Reason, Detail string }
		if err := s.agents[side].Read("pseudowires", &rows); err != nil {
			return err
		}
		for _, row := range rows {
			if row.Name == name && row.State == state {
				reason = row.Reason
				return nil
			}
		}
		return fmt.Errorf("%+v", rows)
	})
	return reason
}

// lookAround prints how to explore a lab that was kept.
func (s *show) lookAround() {
	t := s.topology
	s.say(blue, "The lab is left running. To look around:")
	fmt.Println()
	for side := 1; side <= 2; side++ {
		a := s.agents[side]
		if a == nil {
			continue
		}
		for _, what := range []string{"pseudowires", "sessions", "neighbors", "routes", "counters"} {
			fmt.Printf("  %s show %s --socket %s\n", a.Binary, what, a.Socket)
		}
		fmt.Printf("  less %s %s\n\n", a.File, t.Path("agent-"+a.Role+".log"))
	}
	fmt.Printf("  nsenter --net=%s ping %s\n", t.CE1.Path(), lab.Host4(2, 0))
	fmt.Printf("  nsenter --net=%s ping %s\n", t.CE1.Path(), lab.Host6(2, 1))
	fmt.Printf("  nsenter --net=%s tcpdump -ni pe1\n", t.P.Path())
	fmt.Printf("  nsenter --net=%s ip link set eth0 down\n\n", t.CE2.Path())
	fmt.Println("  make clean      removes it")
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"longwire/test/lab"
)

func (s *show) pings() {
	s.title("The sites reach each other")
	for i, name := range customers {
		for _, to := range []netip.Addr{lab.Host4(2, i), lab.Host6(2, i)} {
			s.ping(to)
			s.held("%s: CE1 pings %s with 1400 bytes", name, to)
		}
	}
}

// ping reaches an address from CE1, or ends the demonstration.
func (s *show) ping(to netip.Addr) {
	if err := s.topology.CE1.Ping(to, 1400, 10*time.Second); err != nil {
		s.Fatalf("%v", err)
	}
}

// frames sends frames that are no IP packets of ours from site to site.
func (s *show) frames() {
	s.title("Any Ethernet frame crosses unchanged")
	unicast := [6]byte{0x02, 0, 0, 0, 0, 0x99}
	vlan := lab.Tag{TPID: lab.EtherTypeVLAN, TCI: 3<<13 | 100}
	outer := lab.Tag{TPID: lab.EtherTypeQinQ, TCI: 200}
	tests := []struct {
		name  string
		frame lab.Frame
	}{
		{"broadcast, EtherType 0x88b5", lab.Frame{Destination: lab.Broadcast}},
		{"VLAN 100, priority 3", lab.Frame{Destination: unicast, Tags: []lab.Tag{vlan}}},
		{"VLAN 100 in service VLAN 200", lab.Frame{Destination: unicast, Tags: []lab.Tag{outer, vlan}}},
	}
	for i, name := range customers {
		port, far := s.topology.CE1.Port(lab.HostPort(i)), s.topology.CE2.Sniff(lab.HostPort(i))
		for n, tt := range tests {
			f := tt.frame
			f.Source, f.EtherType, f.Payload = [6]byte{2, 0, 0, 0, byte(i), byte(n)}, lab.EtherTypeTest, lab.Pattern(uint32(n), 200)
			sent := f.Bytes()
			if err := port.Send(sent); err != nil {
				s.Fatalf("send: %v", err)
			}
			got, err := far.Await(5*time.Second, func(b []byte) bool { return bytes.HasPrefix(b, sent[:12]) })
			if err == nil {
				err = lab.SameFrame(sent, got)
			}
			if err != nil {
				s.Fatalf("%s: %s: %v", name, tt.name, err)
			}
			s.held("%s: %-30s %x... %d bytes, identical", name, tt.name, got[:22], len(got))
		}
	}
}

// onTheWire shows one packet of each pseudowire as the router sees it.
func (s *show) onTheWire() {
	s.title("What the provider's router sees")
	for i, name := range customers {
		link := s.topology.P.Sniff("pe1")
		s.ping(lab.Host4(2, i))
		packet, err := link.Await(5*time.Second, func(p []byte) bool { return isTunnel(p, i == 1) })
		if err != nil {
			s.Fatalf("%s: no packet on the underlay: %v", name, err)
		}
		link.Close()
		s.held("%s: %d bytes, %s", name, len(packet), describe(packet))
	}
}

// isTunnel says whether a packet is L2TPv3: of protocol 115 over IPv4, or over
// UDP and IPv6.
func isTunnel(p []byte, udp6 bool) bool {
	const minLen = 14 + 40 + 8 + 4 + 12
	if len(p) < minLen {
		return false
	}
	if udp6 {
		return p[12] == 0x86 && p[13] == 0xdd && p[14+6] == 17
	}
	return p[12] == 0x08 && p[13] == 0x00 && p[14+9] == 115
}

// describe names the headers of a packet that isTunnel accepts.
func describe(p []byte) string {
	if p[12] == 0x08 {
		from, to := netip.AddrFrom4([4]byte(p[26:30])), netip.AddrFrom4([4]byte(p[30:34]))
		return fmt.Sprintf("%s > %s, IP protocol 115, session %x, cookie %x", from, to, p[34:38], p[38:46])
	}
	from, to := netip.AddrFrom16([16]byte(p[22:38])), netip.AddrFrom16([16]byte(p[38:54]))
	port := int(p[56])<<8 | int(p[57])
	return fmt.Sprintf("%s > %s, UDP port %d, session %x, cookie %x", from, to, port, p[66:70], p[70:78])
}

// look prints what an operator sees.
func (s *show) look() {
	s.title("What an operator sees")
	for side := 1; side <= 2; side++ {
		s.table(side, "pseudowires")
	}
	s.table(1, "neighbors")
	for side := 1; side <= 2; side++ {
		s.table(side, "counters")
	}
}

// table prints one "longwire show" of a PE.
func (s *show) table(side int, what string) {
	out, err := s.agents[side].Show(what)
	if err != nil {
		s.Fatalf("%v", err)
	}
	fmt.Printf("\n  PE%d# longwire show %s\n%s\n", side, what, indent(out))
}

// withdraw takes a circuit away and shows that the far end learns of it.
func (s *show) withdraw() {
	s.title("Site 2 unplugs customer-a: its route is withdrawn")
	s.topology.CE2.Down(lab.HostPort(0))
	s.held("PE2: %s is down, %s", customers[0], s.await(2, customers[0], "down"))
	s.held("PE1: %s is down, %s", customers[0], s.await(1, customers[0], "down"))
	s.table(1, "pseudowires")
	if err := s.topology.CE1.Ping(lab.Host4(2, 0), 56, 0); err == nil {
		s.Fatalf("%s still carries traffic", customers[0])
	}
	s.held("%s carries nothing", customers[0])
	s.ping(lab.Host4(2, 1))
	s.held("%s is not touched", customers[1])
}

// restore brings the circuit back.
func (s *show) restore() {
	s.title("Site 2 plugs customer-a in again: the route is back")
	begin := time.Now()
	s.topology.CE2.Up(lab.HostPort(0))
	for side := 1; side <= 2; side++ {
		s.await(side, customers[0], "up")
	}
	s.held("up at both ends after %.2f seconds", time.Since(begin).Seconds())
	s.ping(lab.Host4(2, 0))
	s.held("CE1 pings %s", lab.Host4(2, 0))
	s.table(1, "pseudowires")
	if err := errors.Join(s.agents[1].Daemon().Running(), s.agents[2].Daemon().Running()); err != nil {
		s.Fatalf("%v", err)
	}
}

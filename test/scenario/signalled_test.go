package scenario

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestRouteReflector joins two PEs that know each other only by a route
// reflector, with every encapsulation and cookie size, and holds our UPDATEs and
// the packets that follow from them against tshark.
func TestRouteReflector(t *testing.T) {
	wires := signalledWires()
	record(t, "bring-up and traffic with every encapsulation and cookie")
	recordOutside(t, "bring-up and traffic with every encapsulation; circuit down and up")
	p := newPair(t, lab.Options{Circuits: len(wires), CircuitMTU: tagged}, wires, byReflector)
	bgp, data := p.P.Capture("pe1", "tcp port 179"), p.P.Capture("pe1", filter)
	p.reflect()
	p.launch()
	for _, w := range wires {
		t.Run(w.String(), func(t *testing.T) {
			p.pings(w)
			p.cross(t, w)
		})
	}
	accepted := [3]map[string]session{1: p.sessions(1), 2: p.sessions(2)}
	t.Run("underlay", func(t *testing.T) {
		p.allRight(t, data, wires, func(w wire, side int) lab.Tunnel { return w.signalledTunnel(side, accepted[3-side]) })
	})
	t.Run("routes", func(t *testing.T) { p.tsharkReadsRoutes(t, bgp, wires, accepted[1]) })
	t.Run("circuit down and up", func(t *testing.T) { p.downAndUp(t, wires[3], wires[5]) })
}

// signalledWires are all kinds of signalled wires with our own worker, which sends
// what any daemon on the PEs is given to send, and each encapsulation twice with
// such a daemon.
func signalledWires() []wire {
	wires := matrix()
	if *bgpMode != "worker" {
		wires = wires[8:16]
	}
	for i := range wires {
		wires[i].number, wires[i].signalled = i, true
	}
	return wires
}

// session is a row of "longwire show sessions -o json".
type session struct {
	Pseudowire string `json:"pseudowire"`
	Direction  string `json:"direction"`
	Session    uint32 `json:"session"`
	Cookie     string `json:"cookie"`
}

// sessions returns what a side accepts, by pseudowire.
func (p *pair) sessions(side int) map[string]session {
	p.t.Helper()
	var rows []session
	if err := p.agents[side].Read("sessions", &rows, "--cookies"); err != nil {
		p.t.Fatal(err)
	}
	accepted := map[string]session{}
	for _, row := range rows {
		if row.Direction == "receive" {
			accepted[row.Pseudowire] = row
		}
	}
	return accepted
}

// signalledTunnel is what the packets that a side sends must be, given what the
// far end accepts.
func (w wire) signalledTunnel(side int, farEnd map[string]session) lab.Tunnel {
	tunnel := w.tunnel(side)
	tunnel.Session, tunnel.Cookie = farEnd[w.name()].Session, farEnd[w.name()].Cookie
	return tunnel
}

// routeFields are what tshark is asked of an UPDATE.
var routeFields = []string{
	"bgp.evpn.nlri.rt", "bgp.evpn.nlri.etag", "bgp.update.encaps_tunnel_tlv_type",
	"bgp.update.encaps_tunnel_tlv_subtlv_session_id", "bgp.update.encaps_tunnel_tlv_subtlv_cookie",
	"bgp.ext_com_evpn.l2attr.l2_mtu", "bgp.ext_com_evpn.l2attr.flag_c",
}

// tsharkReadsRoutes finds the UPDATEs of PE1 in a capture and compares all that
// tshark reads in them with what the agent accepts.
func (p *pair) tsharkReadsRoutes(t *testing.T, capture *lab.Capture, wires []wire, accepted map[string]session) {
	capture.Stop()
	only := fmt.Sprintf("bgp.evpn.nlri.rt && ip.src == %s", lab.PE1Source4)
	rows, err := lab.Tshark(t.Context(), capture.Path, only, nil, append(routeFields, "_ws.malformed")...)
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]bool{}
	for _, row := range rows {
		last := len(row) - 1
		if row[last] != "" {
			t.Errorf("tshark finds an UPDATE malformed: %v", row)
		}
		for _, route := range eachRoute(row[:last]) {
			routes[route] = true
		}
	}
	for _, w := range wires {
		ours := accepted[w.name()]
		cookie, word := ours.Cookie, 0
		if cookie == "" {
			cookie = "<MISSING>" // tshark's word for a cookie of no bytes
		}
		if w.sublayer {
			word = 1
		}
		want := fmt.Sprintf("1 %d 1 %d %s %d %d", 1000+w.number, ours.Session, cookie, tagged, word)
		if !routes[want] {
			t.Errorf("%v: tshark reads no route %q in %v", w, want, routes)
		}
	}
}

// eachRoute takes apart what tshark reads in a packet with several UPDATEs, of
// one route each.
func eachRoute(row []string) []string {
	var routes []string
	for i := range strings.Split(row[0], ",") {
		var fields []string
		for _, cell := range row {
			if values := strings.Split(cell, ","); i < len(values) {
				fields = append(fields, values[i])
			}
		}
		routes = append(routes, strings.Join(fields, " "))
	}
	return routes
}

// downAndUp takes a circuit of PE2 down and up again: its route is withdrawn and
// comes back, as seen by PE1, while another wire is not touched.
func (p *pair) downAndUp(t *testing.T, w, other wire) {
	before, untouched := p.mustRead(1)[w.name()], p.Stream(p.CE1, lab.HostPort(other.number), p.CE2, lab.HostPort(other.number), 2*time.Millisecond)
	p.CE2.Down(lab.HostPort(w.number))
	p.await(2, w, "down", "interface_down")
	p.await(1, w, "down", "no_remote")
	p.silent(w)
	p.CE2.Up(lab.HostPort(w.number))
	p.CE2.Address(lab.HostPort(w.number), netip.PrefixFrom(lab.Host6(2, w.number), 64).String())
	p.await(2, w, "up", "")
	after := p.await(1, w, "up", "")
	if before.LocalSession != after.LocalSession || before.RemoteSession != after.RemoteSession {
		t.Errorf("sessions changed: %+v, then %+v", before, after)
	}
	p.pings(w)
	if sent, lost := untouched.Stop(); sent == 0 || lost != 0 {
		t.Errorf("another pseudowire lost %d of %d frames meanwhile", lost, sent)
	}
}

// direct is a way for two PEs to speak BGP without a reflector.
type direct struct {
	name     string
	asn      [3]uint32
	neighbor func(side int) lab.Neighbor
}

// TestDirectBGP joins two PEs that speak BGP with each other.
func TestDirectBGP(t *testing.T) {
	password := "secret of the lab"
	tests := []direct{
		{"iBGP over IPv4 with MD5", [3]uint32{0, 65000, 65000}, func(side int) lab.Neighbor {
			return lab.Neighbor{Address: wire{}.source(3 - side), LocalAddress: wire{}.source(side).String(), PasswordFile: "password"}
		}},
		{"iBGP over IPv6, one side passive", [3]uint32{0, 65000, 65000}, func(side int) lab.Neighbor {
			w := wire{v6: true}
			return lab.Neighbor{Address: w.source(3 - side), LocalAddress: w.source(side).String(), Passive: side == 2}
		}},
		{"eBGP over IPv4 with TTL security", [3]uint32{0, 65001, 65002}, func(side int) lab.Neighbor {
			return lab.Neighbor{Address: wire{}.source(3 - side), LocalAddress: wire{}.source(side).String(), TTLSecurity: 2}
		}},
		{"eBGP over IPv6, multihop", [3]uint32{0, 65001, 4_200_000_002}, func(side int) lab.Neighbor {
			w := wire{v6: true}
			return lab.Neighbor{Address: w.source(3 - side), LocalAddress: w.source(side).String(), Multihop: 3}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wires := encapsulations(0)
			for i := range wires {
				wires[i].signalled, wires[i].cookie = true, 8
			}
			p := newPair(t, lab.Options{Circuits: len(wires)}, wires, nil)
			p.configure(func(side int, c *lab.Config) {
				n := tt.neighbor(side)
				n.ASN = tt.asn[3-side]
				if n.PasswordFile != "" {
					n.PasswordFile = p.Write(n.PasswordFile, password+"\n")
				}
				c.Router.ASN, c.BGP = tt.asn[side], &lab.BGP{Neighbors: []lab.Neighbor{n}}
			}).launch()
			for _, w := range wires {
				p.pings(w)
			}
			neighbors, err := p.agents[1].Show("neighbors")
			if err == nil {
				err = contains(neighbors, tt.neighbor(1).Address.String(), "established")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWrongPassword shows that the MD5 password counts: with different ones
// there is no session.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := wire{signalled: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, nil)
	p.configure(func(side int, c *lab.Config) {
		file := p.Write(fmt.Sprintf("password%d", side), fmt.Sprintf("word of PE%d\n", side))
		c.Router.ASN = 65000
		c.BGP = &lab.BGP{Neighbors: []lab.Neighbor{{Address: w.source(3 - side), ASN: 65000,
			LocalAddress: w.source(side).String(), PasswordFile: file}}}
	})
	refused := p.P.Capture("pe1", "tcp port 179 and src host 192.0.2.1")
	p.agents[1].Launch()
	p.agents[2].Launch()
	// Both sides try several times; none of it may lead to a session.
	if err := refused.Await(upTime, 3); err != nil {
		t.Fatal(err)
	}
	if row := p.await(1, w, "down", "no_remote"); row.RemoteSession != 0 {
		t.Errorf("a remote session without BGP: %+v", row)
	}
	neighbors, err := p.agents[1].Show("neighbors")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(neighbors), "established") {
		t.Errorf("established with different passwords:\n%s", neighbors)
	}
}

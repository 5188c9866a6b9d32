package tc_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/test/lab"
)

// joinSecond programs one end of a second session beside that of join, of the
// second circuits, over UDP and IPv4 with the default sublayer.
func (e *end) joinSecond(t *testing.T, side int, change func(*dataplane.Receive, *dataplane.Transmit)) {
	t.Helper()
	near := []netip.Addr{lab.PE1Source4, lab.PE2Source4}
	me, other := side-1, 2-side
	circuit := e.pe.Index(lab.Circuit(1))
	rx := dataplane.Receive{
		Session: dataplane.SessionID(2000 + me), Pseudowire: "q", Circuit: circuit, Local: near[me], Remote: near[other],
		AcceptUDP: true, LocalPort: 1701, RemotePort: 1701, Sublayer: dataplane.SublayerDefault,
	}
	tx := dataplane.Transmit{
		Circuit: dataplane.Port(circuit), Pseudowire: "q", Session: dataplane.SessionID(2000 + other), Local: near[me], Remote: near[other],
		Encapsulation: dataplane.EncapsulationUDP, LocalPort: 1701, RemotePort: 1701, Sublayer: dataplane.SublayerDefault, TTL: 64, DontFragment: true,
	}
	change(&rx, &tx)
	if err := e.PutReceive(rx); err != nil {
		t.Fatal(err)
	}
	if err := e.PutTransmit(tx); err != nil {
		t.Fatal(err)
	}
}

// attachAll attaches both kinds of programs to two circuits and the uplink.
func (e *end) attachAll(t *testing.T) {
	t.Helper()
	circuits := []int{e.pe.Index(lab.Circuit(0)), e.pe.Index(lab.Circuit(1))}
	uplink := e.pe.Index(lab.Uplink)
	err := e.pe.Do(func() error {
		_, failed := e.Attach(dataplane.Attachments{Circuits: circuits, Underlays: []int{uplink}, XDP: append(circuits, uplink)})
		for _, err := range failed {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.wantXDP(t)
}

// TestXDPBesideTC has pseudowires that XDP can and cannot serve on one uplink:
// each goes its way.
func TestXDPBesideTC(t *testing.T) {
	const pings = 20
	for name, change := range map[string]func(*dataplane.Receive, *dataplane.Transmit){
		"sequencing": func(r *dataplane.Receive, x *dataplane.Transmit) { r.Sequencing, x.Sequencing = true, true },
		"tag for the way": func(r *dataplane.Receive, x *dataplane.Transmit) {
			r.Tags.Pop, x.Tags.Push = 1, dataplane.Tag{Type: 0x8100, VID: 100}
		},
		"untagged frames of a port": func(_ *dataplane.Receive, x *dataplane.Transmit) {
			x.Circuit.VLANs.Outer, _ = dataplane.NewVIDs(dataplane.Untagged)
		},
		"MSS clamped": func(r *dataplane.Receive, x *dataplane.Transmit) { r.ClampMTU, x.ClampMTU = 1400, 1400 },
	} {
		t.Run(name, func(t *testing.T) {
			top, ends := xdpPair(t, lab.Options{Circuits: 2}, carrier{false, true})
			for _, ce := range []*lab.Namespace{top.CE1, top.CE2} {
				ce.Run("ethtool", "-K", lab.HostPort(1), "tx", "off", "txvlan", "off", "gro", "on")
			}
			for i, e := range ends {
				e.joinSecond(t, i+1, change)
				if name == "untagged frames of a port" {
					port := dataplane.Transmit{Circuit: dataplane.Port(e.pe.Index(lab.Circuit(1))), Shared: true, ToHost: true}
					if err := e.PutTransmit(port); err != nil {
						t.Fatal(err)
					}
				}
				e.attachAll(t)
			}
			reachable(t, top, "by XDP")
			if err := top.CE1.Ping(lab.Host4(2, 1), 56, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			encap, decap := ends[0].byXDP(t, func() {
				if err := top.CE1.PingAll(lab.Host4(2, 0), pings); err != nil {
					t.Error(err)
				}
			})
			if encap > pings/2 || decap > pings/2 {
				t.Errorf("by XDP: tc encapsulated %d frames and decapsulated %d packets", encap, decap)
			}
			encap, decap = ends[0].byXDP(t, func() {
				if err := top.CE1.PingAll(lab.Host4(2, 1), pings); err != nil {
					t.Error(err)
				}
				if _, err := top.Transfer(top.CE1, top.CE2, lab.Host4(2, 1), 1<<20, 10*time.Second); err != nil {
					t.Error(err)
				}
			})
			// What only the way out asks for leaves the way in to XDP.
			if encap < pings || decap < pings && !strings.HasPrefix(name, "untagged") {
				t.Errorf("by tc: tc encapsulated %d frames and decapsulated %d packets", encap, decap)
			}
		})
	}
}

// TestXDPTags carries tags through XDP as the part of the frame that they are.
func TestXDPTags(t *testing.T) {
	top, ends := xdpPair(t, lab.Options{}, carrier{true, true})
	tags := []lab.Tag{{TPID: 0x88a8, TCI: 0x6000 | 200}, {TPID: 0x8100, TCI: 100}}
	for _, ce := range []*lab.Namespace{top.CE1, top.CE2} {
		// Room for the tags: the ports themselves take no more.
		ce.Run("ip", "route", "change", "198.18.0.0/24", "dev", lab.HostPort(0), "mtu", "1496")
		ce.Tagged(lab.HostPort(0), tags...)
	}
	reachable(t, top, "with two tags")
	capture := top.CE2.Sniff(lab.HostPort(0))
	encap, decap := ends[0].byXDP(t, func() {
		if _, err := top.Transfer(top.CE1, top.CE2, lab.Host4(2, 0), 4<<20, 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	if encap > 50 || decap > 50 {
		t.Errorf("%d frames encapsulated and %d packets decapsulated by tc", encap, decap)
	}
	bothTags := func(f []byte) bool { return string(f[12:20]) == "\x88\xa8\x60\xc8\x81\x00\x00\x64" }
	if _, err := capture.Await(5*time.Second, bothTags); err != nil {
		t.Error(err)
	}
}

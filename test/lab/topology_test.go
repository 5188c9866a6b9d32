package lab

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestTopologyRoutesBetweenPEs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options Options
	}{
		{"as the kernel makes it", Options{Circuits: 3}},
		{"no offloads, second uplink", Options{NoUnderlayOffloads: true, NoCircuitOffloads: true, SecondUplink: true}},
		{"second reflector", Options{SecondReflector: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			topo := NewTopology(t, tt.options)
			reachable := []netip.Addr{topo.PE2.Source4, topo.PE2.Source6, RRSource4, RRSource6}
			if tt.options.SecondReflector {
				reachable = append(reachable, RR2Source4, RR2Source6)
			}
			for _, to := range reachable {
				if err := topo.PE1.Ping(to, 56, 5*time.Second); err != nil {
					t.Errorf("PE1 to %v: %v", to, err)
				}
			}
			if err := topo.CE1.Ping(Host4(2, 0), 56, 0); err == nil {
				t.Error("the customers reach each other without any pseudowire")
			}
			for i := range max(1, tt.options.Circuits) {
				topo.PE2.Index(Circuit(i))
				topo.CE2.Index(HostPort(i))
			}
			features := topo.P.Run("ethtool", "-k", "pe1")
			if off := strings.Contains(features, "tcp-segmentation-offload: off"); off != tt.options.NoUnderlayOffloads {
				t.Errorf("router's segmentation offload is off: %v", off)
			}
		})
	}
}

func TestCaptureAndWireCheck(t *testing.T) {
	t.Parallel()
	topo := NewTopology(t, Options{})
	capture := topo.P.Capture("pe1", "udp port 1701 or proto 115")
	port := topo.PE1.Port(Uplink)
	to, from := topo.P.MAC("pe1"), topo.PE1.MAC(Uplink)
	inner := Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: Pattern(9, 300)}.Bytes()
	for _, tunnel := range tunnels() {
		packet := tunnelPacket(t, tunnel, inner)
		copy(packet, to)
		copy(packet[6:], from)
		if err := port.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	if err := capture.Await(5*time.Second, len(tunnels())); err != nil {
		t.Fatal(err)
	}
	if missed := capture.Stop(); missed != 0 {
		t.Errorf("%d packets missed", missed)
	}
	tally, err := CheckWire(capture, tunnels()...)
	if err != nil {
		t.Error(err)
	}
	if tally.Packets != len(tunnels()) || tally.Others != 0 || tally.Bytes != int64(len(inner)*len(tunnels())) {
		t.Errorf("tally %+v", tally)
	}
	if n := tally.Sessions[Key{PE2Source4, tunnels()[0].Session}]; n != 2 {
		t.Errorf("%d packets of the IPv4 session, want 2", n)
	}
	// UDP's header and L2TP's own words over it make the longer packets.
	if n, want := tally.Longest[Key{PE2Source6, tunnels()[2].Session}], 14+40+8+4+4+8+len(inner); n != want {
		t.Errorf("the longest packet of the IPv6 session has %d bytes, want %d", n, want)
	}
	other := tunnels()
	for i := range other {
		other[i].Session++
	}
	if tally, err := CheckWire(capture, other...); !errors.Is(err, errNotThisSession) || tally.Packets != 0 {
		t.Errorf("sessions of nobody: tally %+v, error %v", tally, err)
	}
	rows, err := Tshark(t.Context(), capture.Path, "l2tp", L2TPOptions(8, false), "l2tp.sid", "l2tp.cookie", "eth.type")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(tunnels()) {
		t.Fatalf("tshark decodes %d of %d packets: %v", len(rows), len(tunnels()), rows)
	}
	for _, row := range rows {
		if !strings.HasSuffix(row[2], "0x88b5") || !strings.Contains(row[1], "deadbeefcafef00d") {
			t.Errorf("tshark reads %v", row)
		}
	}
}

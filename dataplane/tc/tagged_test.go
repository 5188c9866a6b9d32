package tc_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// TestTaggedTransfer moves bytes by TCP in super-frames that carry up to three
// VLAN tags beside and in them.
func TestTaggedTransfer(t *testing.T) {
	stacks := map[string][]lab.Tag{
		"802.1Q": {{TPID: lab.EtherTypeVLAN, TCI: 100}},
		"QinQ":   {{TPID: lab.EtherTypeQinQ, TCI: 0x6000 | 200}, {TPID: lab.EtherTypeVLAN, TCI: 100}},
		"three":  {{TPID: lab.EtherTypeQinQ, TCI: 200}, {TPID: lab.EtherTypeVLAN, TCI: 300}, {TPID: lab.EtherTypeVLAN, TCI: 100}},
	}
	for name, tags := range stacks {
		for _, c := range carriers {
			for _, off := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s-%s-underlay-off=%v", name, c, off), func(t *testing.T) {
					top := lab.NewTopology(t, lab.Options{NoUnderlayOffloads: off})
					for i, pe := range []*lab.PE{top.PE1, top.PE2} {
						e := openEnd(t, top, pe, tc.ModeAuto)
						e.join(t, c, i+1)
						e.serve(t)
						e.lease(t, top, c, i+1)
					}
					for _, ce := range []*lab.Namespace{top.CE1, top.CE2} {
						// Room for the tags: the ports themselves take no more.
						ce.Run("ip", "route", "change", "198.18.0.0/24", "dev", lab.HostPort(0), "mtu", "1400")
						ce.Run("ip", "-6", "route", "replace", "2001:db8:ce::/64", "dev", lab.HostPort(0), "metric", "1", "mtu", "1400")
						ce.Tagged(lab.HostPort(0), tags...)
					}
					if err := top.CE1.Ping(lab.Host4(2, 0), 56, 2*time.Second); err != nil {
						t.Error(err)
					}
					capture := top.P.Capture("pe2", "", "-s", "2048", "-B", "100000")
					for _, to := range []netip.Addr{lab.Host4(2, 0), lab.Host6(2, 0)} {
						if _, err := top.Transfer(top.CE1, top.CE2, to, 16<<20, 3*time.Second); err != nil {
							t.Error(err)
						}
					}
					if missed := capture.Stop(); missed > 0 {
						t.Errorf("the capture missed %d packets", missed)
					}
					if off {
						checkWire(t, capture, c)
					}
				})
			}
		}
	}
}

// checkWire reads what the router sent to PE 2: every length and checksum must
// be right, since nothing on the way will put it right any more.
func checkWire(t *testing.T, capture *lab.Capture, c carrier) {
	t.Helper()
	tunnel := lab.Tunnel{Source: lab.PE1Source4, Destination: lab.PE2Source4, UDP: c.udp, Session: 1001, Cookie: "0202030405060708"}
	if c.v6 {
		tunnel.Source, tunnel.Destination = lab.PE1Source6, lab.PE2Source6
	}
	wire, err := lab.CheckWire(capture, tunnel)
	if err != nil {
		t.Error(err)
	}
	// Twice 16 MiB in segments of less than 1400 bytes.
	if wire.Packets < 2*(16<<20)/1400 || wire.Largest > lab.UnderlayMTU+14 {
		t.Errorf("on the wire: %+v", wire)
	}
}

package packet

import (
	"fmt"
	"testing"

	"longwire/dataplane"
)

// l2cpRow is a frame by destination and EtherType, or length, and the protocol
// that it is of; 0 is none.
type l2cpRow struct {
	name        string
	destination [6]byte
	etherType   uint16
	protocol    dataplane.L2CP
}

// bridgeGroup is an address of IEEE 802.1Q table 8-1.
func bridgeGroup(last byte) [6]byte { return [6]byte{1, 0x80, 0xc2, 0, 0, last} }

// Destinations that are nobody's control protocol.
var (
	somebody  = [6]byte{2, 0, 0, 0, 0, 1}
	broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	pvst      = [6]byte{1, 0, 0x0c, 0xcc, 0xcc, 0xcd}
	cdp       = [6]byte{1, 0, 0x0c, 0xcc, 0xcc, 0xcc}
	garp      = [6]byte{1, 0x80, 0xc2, 0, 0, 0x20}
)

var l2cpRows = []l2cpRow{
	{"STP", bridgeGroup(0), 38, dataplane.L2CPSTP},
	{"MSTP", bridgeGroup(0), 105, dataplane.L2CPSTP},
	{"STP of a provider", bridgeGroup(8), 39, dataplane.L2CPSTP},
	{"LACP", bridgeGroup(2), 0x8809, dataplane.L2CPLACP},
	{"LACP to the nearest bridge", bridgeGroup(0), 0x8809, dataplane.L2CPLACP},
	{"LLDP", bridgeGroup(0x0e), 0x88cc, dataplane.L2CPLLDP},
	{"LLDP to the nearest customer bridge", bridgeGroup(0), 0x88cc, dataplane.L2CPLLDP},
	{"LLDP to the nearest bridge that is no relay", bridgeGroup(3), 0x88cc, dataplane.L2CPLLDP},
	{"802.1X", bridgeGroup(3), 0x888e, dataplane.L2CPDot1X},
	{"CFM", bridgeGroup(0x35), 0x8902, dataplane.L2CPCFM},
	{"CFM link trace", bridgeGroup(0x3f), 0x8902, dataplane.L2CPCFM},
	{"PVST", pvst, 50, dataplane.L2CPPVST},

	{"CDP", cdp, 300, 0},
	{"GARP", garp, 38, 0},
	{"LLC to another group", bridgeGroup(1), 38, 0},
	{"LLC to the LLDP group", bridgeGroup(0x0e), 38, 0},
	{"pause", bridgeGroup(1), 0x8808, 0},
	{"MVRP", [6]byte{1, 0x80, 0xc2, 0, 0, 0x21}, 0x88f5, 0},
	{"IPv4 to the bridge group", bridgeGroup(0), 0x0800, 0},
	{"least EtherType to the bridge group", bridgeGroup(0), 0x0600, 0},
	{"LACP to a host", somebody, 0x8809, 0},
	{"LLDP to a host", somebody, 0x88cc, 0},
	{"802.1X to a host", somebody, 0x888e, 0},
	{"CFM to a host", somebody, 0x8902, 0},
	{"LLC to a host", somebody, 38, 0},
	{"LLDP to all", broadcast, 0x88cc, 0},
	{"another vendor's group", [6]byte{1, 0x80, 0xc1, 0, 0, 0}, 38, 0},
}

// frame is one of 119 bytes.
func (r l2cpRow) frame() []byte {
	b := frame(119, r.etherType)
	copy(b, r.destination[:])
	return b
}

// TestL2CP drops exactly the protocols that are not tunnelled.
func TestL2CP(t *testing.T) {
	m, nh := open(t, 64), lease(1500)
	policies := map[string]dataplane.L2CP{"tunnel all": 0, "drop all": dataplane.L2CPAll}
	_, names := dataplane.L2CPByName("")
	for _, name := range names {
		protocol, _ := dataplane.L2CPByName(name)
		policies["drop "+name], policies["tunnel "+name] = protocol, dataplane.L2CPAll&^protocol
	}
	for _, f := range carriers() {
		for policy, dropped := range policies {
			tx := f.transmit(t)
			tx.DropL2CP = dropped
			must(t, m.PutTransmit(tx))
			for _, row := range l2cpRows {
				t.Run(fmt.Sprintf("%s/%s/%s", f.name, policy, row.name), func(t *testing.T) {
					must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
					before := dropsOf(t, m)
					got := encap(t, m, row.frame(), skb{})
					if row.protocol&dropped != 0 {
						before[dataplane.DropL2CP]++
						if got.verdict != shot {
							t.Errorf("verdict %d, want %d", got.verdict, shot)
						}
					} else if diff := diffOf(f.sent(t, nh, row.frame()), got.packet); got.verdict != redirect || diff != "" {
						t.Errorf("verdict %d (-want +got):\n%s", got.verdict, diff)
					}
					wantDrops(t, m, before)
				})
			}
		}
	}
}

// TestL2CPReceived delivers all of them: what crosses is the sender's policy.
func TestL2CPReceived(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		for _, row := range l2cpRows {
			got := run(t, m.Programs().Decap, f.outer(t, nearSession, row.frame()), skb{})
			if diff := diffOf(row.frame(), got.packet); got.verdict != redirect || diff != "" {
				t.Errorf("%s, %s: verdict %d (-want +got):\n%s", f.name, row.name, got.verdict, diff)
			}
		}
	}
}

package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"longwire/dataplane"
)

// admissionRow is a packet without a session here.
type admissionRow struct {
	name   string
	only   func(format) bool // nil: every carrier
	packet func(format, []byte) []byte
	drop   dataplane.Drop // how it is counted when it is for an endpoint
	policy bool           // whether DropUnknown drops it then
}

// control makes an L2TP control message of the header's first two bytes over
// UDP, and of session id 0 over IP.
func control(first ...byte) func(format, []byte) []byte {
	return set(func(f format) int { return f.l4() + 8 }, first...)
}

var admissionRows = []admissionRow{
	{"unknown session", nil, set(format.l2tpAt, 0, 9, 9, 9), dataplane.DropUnknownSession, true},
	{"largest session", nil, set(format.l2tpAt, 0xff, 0xff, 0xff, 0xff), dataplane.DropUnknownSession, true},
	{"bytes of our session swapped", nil, func(f format, b []byte) []byte {
		binary.LittleEndian.PutUint32(b[f.l2tpAt():], nearSession)
		return b
	}, dataplane.DropUnknownSession, true},
	{"session 0", nil, set(format.l2tpAt, 0, 0, 0, 0), dataplane.DropControl, false},
	{"control message", onlyUDP, control(0xc8, 3), dataplane.DropControl, false},
	{"control message of version 2", onlyUDP, control(0xc8, 2), dataplane.DropControl, false},
	{"data of version 2", onlyUDP, control(0x02, 2), dataplane.DropWrongVersion, false},
	{"data of version 0", onlyUDP, control(0x00, 0), dataplane.DropWrongVersion, false},
	{"data of version 4", onlyUDP, control(0x00, 4), dataplane.DropWrongVersion, false},
	{"data of version 15", onlyUDP, control(0x00, 15), dataplane.DropWrongVersion, false},
	{"our session at another port", onlyUDP, func(f format, b []byte) []byte {
		binary.BigEndian.PutUint16(b[f.l4()+2:], secondPort)
		fixUDP(f, b)
		return b
	}, dataplane.DropUnknownSession, true},
	{"our session at another address", nil, func(f format, b []byte) []byte {
		b[f.l4()-1] = secondHost
		if f.udp {
			fixUDP(f, b)
		}
		if f.v6 {
			return b
		}
		return fixIPv4(b)
	}, dataplane.DropUnknownSession, true},
}

// A second port of ours, and the last byte of second addresses.
const (
	secondPort = 1801
	secondHost = 77
)

// endpoints are those of every format, and second ones.
func endpoints(t testing.TB) []dataplane.Endpoint {
	t.Helper()
	all := admission(false).Endpoints
	for _, e := range all {
		b := e.Address.AsSlice()
		b[len(b)-1] = secondHost
		second, ok := netip.AddrFromSlice(b)
		if !ok {
			t.Fatalf("%x is no address", b)
		}
		all = append(all, dataplane.Endpoint{Address: second, Port: e.Port})
		if e.Port != 0 {
			all = append(all, dataplane.Endpoint{Address: e.Address, Port: secondPort})
		}
	}
	return all
}

// TestAdmission counts packets of no session when they are for an endpoint of
// ours, and drops those of unknown sessions if so told; control messages and
// other versions are always the stack's, and so is what is for nobody here.
func TestAdmission(t *testing.T) {
	m := openDecap(t, 64)
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		for _, policy := range []bool{false, true} {
			for name, all := range map[string][]dataplane.Endpoint{"endpoints": endpoints(t), "no endpoints": nil} {
				must(t, m.SetAdmission(dataplane.Admission{Endpoints: all, DropUnknown: policy}))
				for _, row := range admissionRows {
					if row.only != nil && !row.only(f) {
						continue
					}
					t.Run(fmt.Sprintf("%s/drop-%t/%s/%s", f.name, policy, name, row.name), func(t *testing.T) {
						before := dropsBy(t, m)
						sent := row.packet(f, f.outer(t, nearSession, frame(100, 0x88b5)))
						got := run(t, m.Programs().Decap, append([]byte(nil), sent...), skb{})
						verdict := uint32(pass)
						if all != nil {
							before[" "+string(row.drop)]++
							if row.policy && policy {
								verdict = shot
							}
						}
						if diff := diffOf(sent, got.packet); got.verdict != verdict || diff != "" {
							t.Errorf("verdict %d, want %d (-want +got):\n%s", int32(got.verdict), int32(verdict), diff)
						}
						if diff := diffOf(before, dropsBy(t, m)); diff != "" {
							t.Errorf("drops (-want +got):\n%s", diff)
						}
					})
				}
			}
		}
	}
}

// TestAdmissionFamily takes a session for unknown in packets of the other family
// to an endpoint of ours.
func TestAdmissionFamily(t *testing.T) {
	m := openDecap(t, 64)
	must(t, m.SetAdmission(dataplane.Admission{Endpoints: endpoints(t), DropUnknown: true}))
	unknown := uint64(0)
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		other := f
		other.v6 = !f.v6
		if got := run(t, m.Programs().Decap, other.outer(t, nearSession, frame(100, 0x88b5)), skb{}); got.verdict != shot {
			t.Errorf("session of %s over the other family: verdict %d", f.name, int32(got.verdict))
		}
		unknown++
		wantDrops(t, m, map[dataplane.Drop]uint64{dataplane.DropUnknownSession: unknown})
	}
}

package plan

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// BenchmarkResolve makes the plan of 10 000 signalled pseudowires, the size at
// which anything quadratic would show.
func BenchmarkResolve(b *testing.B) {
	const n = 10000
	in := input(signalledPW())
	in.Config.Pseudowires = nil
	for i := range n {
		pw := signalledPW()
		pw.Name, pw.Interface = fmt.Sprintf("pw%d", i), fmt.Sprintf("ac%d", i)
		pw.EVPN = &config.EVPN{RouteTargets: pw.EVPN.RouteTargets, LocalService: evpn.ServiceID(i + 1), RemoteService: evpn.ServiceID(i + 1)}
		in.Config.Pseudowires = append(in.Config.Pseudowires, pw)
		in.Links[pw.Interface] = Link{Index: 100 + i, MTU: 1500, Ethernet: true, Up: true}
		in.Identities[pw.Name] = Identity{Identity: dataplane.Identity{Session: dataplane.SessionID(100000 + i), Cookie: ourCookie}}
		r := route()
		binary.BigEndian.PutUint16(r.RD[6:], uint16(i))
		r.Tag = evpn.ServiceID(i + 1)
		in.Routes = append(in.Routes, r)
	}
	for b.Loop() {
		if p := Resolve(in); len(p.State.Transmit) != n {
			b.Fatalf("%d of %d pseudowires transmit", len(p.State.Transmit), n)
		}
	}
}

// BenchmarkResolveOnePort makes the plan of a port of which every VLAN is a
// circuit.
func BenchmarkResolveOnePort(b *testing.B) {
	in := input(staticPW())
	in.Config.Pseudowires = nil
	for vid := 1; vid <= dataplane.MaxVID; vid++ {
		pw := staticPW()
		pw.Name, pw.VLANs.Outer = fmt.Sprintf("pw%d", vid), dataplane.VIDs(strconv.Itoa(vid))
		pw.Static = staticConfig(config.WhenAlways)
		pw.Static.LocalSession = dataplane.SessionID(vid)
		in.Config.Pseudowires = append(in.Config.Pseudowires, pw)
	}
	for b.Loop() {
		if p := Resolve(in); len(p.State.Transmit) != dataplane.MaxVID+1 {
			b.Fatalf("%d entries", len(p.State.Transmit))
		}
	}
}

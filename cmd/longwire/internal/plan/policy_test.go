package plan

import (
	"net/netip"
	"testing"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// every gives a pseudowire every policy that there is.
func every(pw *config.Pseudowire) {
	pw.Sublayer, pw.Sequencing = dataplane.SublayerDefault, true
	pw.TTL, pw.DSCP, pw.CopyDSCP, pw.CopyECN, pw.DontFragment = 9, 46, true, true, true
	pw.TooBig, pw.DropL2CP = dataplane.TooBigAnswer, dataplane.L2CPLACP
	pw.Entropy, pw.ZeroChecksum = true, true
}

func TestPolicies(t *testing.T) {
	transmit := func(tx *dataplane.Transmit) {
		tx.Sublayer, tx.Sequencing = dataplane.SublayerDefault, true
		tx.TTL, tx.DSCP, tx.CopyDSCP, tx.CopyECN, tx.DontFragment = 9, 46, true, true, true
		tx.TooBig, tx.DropL2CP = dataplane.TooBigAnswer, dataplane.L2CPLACP
	}
	receive := func(r *dataplane.Receive) { r.Sublayer, r.Sequencing = dataplane.SublayerDefault, true }

	got := resolveAll([]config.Pseudowire{with(staticPW(), every)})
	diff(t, "over IP", state(receives{with(wantStaticReceive(), receive)}, with(wantStaticTransmit(), transmit)), got.State)

	got = resolveAll([]config.Pseudowire{with(staticPW(), every, useUDP)})
	diff(t, "over UDP", state(receives{with(wantStaticReceive(), receive, acceptUDP, func(r *dataplane.Receive) { r.AcceptIP, r.ZeroChecksum = false, true })},
		with(wantStaticTransmit(), transmit, func(tx *dataplane.Transmit) {
			tx.Encapsulation, tx.LocalPort, tx.RemotePort, tx.Entropy, tx.ZeroChecksum = dataplane.EncapsulationUDP, 1701, 1702, true, true
		})), got.State)

	pw := with(staticPW(), every)
	pw.Source, pw.Static.Remote = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::9")
	if resolveAll([]config.Pseudowire{pw}).State.Transmit[dataplane.Port(3)].DontFragment {
		t.Error("IPv6 has a bit not to fragment")
	}
}

func TestPreviousCookies(t *testing.T) {
	previous := mustCookie(7, 7, 7, 7, 7, 7, 7, 7)
	rotated := dataplane.Identity{Session: 555555, Cookie: ourCookie, Previous: previous, Rotated: start}
	tests := []struct {
		name   string
		id     dataplane.Identity
		length int
		want   func(*dataplane.Receive)
		remark string
	}{
		{"none", dataplane.Identity{Session: 555555, Cookie: ourCookie}, 8, func(*dataplane.Receive) {}, ""},
		{"both", rotated, 8, func(r *dataplane.Receive) { r.AcceptPrevious, r.Previous = true, previous }, "new cookie, the previous one is still accepted"},
		{"short ones", rotated, 4, func(r *dataplane.Receive) {
			r.AcceptPrevious, r.Cookie, r.Previous = true, mustCookie(1, 2, 3, 4), mustCookie(7, 7, 7, 7)
		}, "new cookie, the previous one is still accepted"},
		{"no cookie at all", rotated, 0, func(r *dataplane.Receive) { r.Cookie = dataplane.Cookie{} }, "new cookie, the previous one is still accepted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pw := signalledPW()
			pw.CookieLength = tt.length
			got := resolveAll([]config.Pseudowire{pw}, learned1, func(in *Input) { in.Identities["a"] = Identity{Identity: tt.id} })
			diff(t, "session", with(wantReceive(), tt.want), got.State.Receive[555555])
			if s := got.Statuses[0]; s.Detail != tt.remark || !s.Rotated.Equal(tt.id.Rotated) {
				t.Errorf("status %+v", s)
			}
			if ad := got.Advertise[0]; string(ad.Cookie) != string(ourCookie.Bytes()[:tt.length]) {
				t.Errorf("announced %x", ad.Cookie)
			}
		})
	}
	pw := staticPW()
	pw.Static.PreviousCookie = new(mustCookie(5, 5, 5, 5))
	diff(t, "static", with(wantStaticReceive(), func(r *dataplane.Receive) { r.AcceptPrevious, r.Previous = true, mustCookie(5, 5, 5, 5) }),
		resolveAll([]config.Pseudowire{pw}).State.Receive[1012])
}

func TestAdmission(t *testing.T) {
	own6 := netip.MustParseAddr("2001:db8::1")
	pws := staticPWs(dataplane.VLANs{}, dataplane.VLANs{Outer: "1"}, dataplane.VLANs{Outer: "2"}, dataplane.VLANs{Outer: "3"})
	pws[1] = with(pws[1], useUDP)
	pws[2] = with(pws[2], useUDP, func(pw *config.Pseudowire) { pw.Port = 1700 })
	pws[3].Source, pws[3].Static.Remote = own6, netip.MustParseAddr("2001:db8::9")
	got := resolveAll(pws, func(in *Input) {
		in.Config.Dataplane.DropUnknown = true
		in.Config.Router.Sources = append(in.Config.Router.Sources, own6, far2)
	})
	diff(t, "admission", dataplane.Admission{
		Endpoints:   []dataplane.Endpoint{{Address: own}, {Address: own, Port: 1700}, {Address: own, Port: 1701}, {Address: own6}},
		DropUnknown: true,
	}, got.Admission)
	diff(t, "of no pseudowires", dataplane.Admission{}, resolveAll(pws, func(in *Input) { in.Config.Pseudowires = nil }).Admission)
}

func TestXDP(t *testing.T) {
	tests := []struct {
		name     string
		xdp      config.XDP
		want     []int
		problems []string
	}{
		{"off", config.XDP{}, nil, nil},
		{"auto", config.XDP{Auto: true}, []int{2, 3}, nil},
		{"list", config.XDP{Interfaces: []string{"eth1", "eth2"}}, []int{3, 9}, nil},
		{
			"list of others", config.XDP{Interfaces: []string{"bare", "none"}}, nil,
			[]string{"dataplane.xdp: bare is neither a circuit nor an underlay interface", "dataplane.xdp: none is neither a circuit nor an underlay interface"},
		},
	}
	some := []netip.Addr{own}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := resolveAll(staticPWs(dataplane.VLANs{Outer: "1"}, dataplane.VLANs{Outer: "2"}), func(in *Input) {
				in.Config.Dataplane.XDP = tt.xdp
				in.Links = map[string]Link{
					"eth0": {Index: 2, Ethernet: true, Addresses: some, XDP: true}, "eth1": {Index: 9, Ethernet: true, Addresses: some},
					"eth2": {Index: 3, Ethernet: true, XDP: true}, "bare": {Index: 4, Ethernet: true, XDP: true},
				}
			})
			diff(t, "attachments", dataplane.Attachments{Circuits: []int{3}, Underlays: []int{2, 9}, XDP: tt.want}, got.Attach)
			diff(t, "problems", tt.problems, got.Problems)
		})
	}
}

// A rotation changes what is received and announced, never what is sent.
func TestRotationLeavesSendingAlone(t *testing.T) {
	before := resolveAll([]config.Pseudowire{signalledPW()}, learned1)
	after := resolveAll([]config.Pseudowire{signalledPW()}, learned1, func(in *Input) {
		in.Identities["a"] = Identity{Identity: dataplane.Identity{Session: 555555, Cookie: farCookie, Previous: ourCookie, Rotated: start.Add(-time.Second)}}
	})
	diff(t, "sent", before.State.Transmit, after.State.Transmit)
	diff(t, "received", with(wantReceive(), func(r *dataplane.Receive) { r.Cookie, r.Previous, r.AcceptPrevious = farCookie, ourCookie, true }), after.State.Receive[555555])
}

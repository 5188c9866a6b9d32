package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// Resolve makes the plan of an input.
func Resolve(in Input) Plan {
	r := newResolution(in)
	pseudowires := slices.Clone(in.Config.Pseudowires)
	slices.SortFunc(pseudowires, func(a, b config.Pseudowire) int { return cmp.Compare(a.Name, b.Name) })
	for _, pw := range pseudowires {
		r.pseudowire(pw)
	}
	r.attachments()
	r.flows()
	return r.plan
}

// resolution is a plan in the making.
type resolution struct {
	in       Input
	plan     Plan
	byTag    map[evpn.ServiceID][]evpn.Route
	own      []netip.Addr
	kept     map[string]dataplane.Transmit // what the kernel has, by pseudowire
	circuits map[int]string                // owners
}

func newResolution(in Input) *resolution {
	r := &resolution{
		in: in,
		plan: Plan{
			State:  dataplane.State{Receive: map[dataplane.SessionID]dataplane.Receive{}, Transmit: map[dataplane.Circuit]dataplane.Transmit{}},
			Uses:   map[evpn.Key][]Use{},
			Clocks: map[string]Clock{},
		},
		byTag:    map[evpn.ServiceID][]evpn.Route{},
		own:      slices.Clone(in.Config.Router.Sources),
		kept:     map[string]dataplane.Transmit{},
		circuits: map[int]string{},
	}
	for _, route := range in.Routes {
		r.byTag[route.Tag] = append(r.byTag[route.Tag], route)
	}
	for _, link := range in.Links {
		r.own = append(r.own, link.Addresses...)
	}
	for _, circuit := range slices.SortedFunc(maps.Keys(in.Actual.Transmit), dataplane.Circuit.Compare) {
		t := in.Actual.Transmit[circuit]
		r.kept[t.Pseudowire] = t
	}
	return r
}

// pseudowire adds one pseudowire to the plan: decapsulation as soon as there is
// a circuit, the advertisement while it is up, encapsulation while it is up and
// the far end is known. Nothing waits for the other end, so that two ends that
// start at the same time cannot wait for each other.
func (r *resolution) pseudowire(pw config.Pseudowire) {
	link, exists := r.in.Links[pw.Interface]
	far := r.choose(pw, mtuOf(pw, link))
	status := r.status(pw, link, exists, far)
	if owner, taken := r.circuits[link.Index]; exists && taken {
		status = status.blocked(ReasonConflict, "the circuit belongs to "+owner)
		exists = false
	}
	if exists && link.Ethernet {
		r.circuits[link.Index] = pw.Name
		if problem := r.receive(pw, link, far); problem != nil {
			status = status.blocked(problem.Reason, problem.Detail)
		} else if link.Up {
			r.advertise(pw, link)
			r.transmit(pw, link, far)
		}
	}
	r.plan.Statuses = append(r.plan.Statuses, status)
}

// receive installs what the far end may send to: the session of our
// advertisement, and that of the static far end, which is always there because
// the far end may fall back before us.
func (r *resolution) receive(pw config.Pseudowire, link Link, far farEnd) *problem {
	var wanted []dataplane.Receive
	if pw.Static != nil {
		wanted = append(wanted, staticReceive(pw, link))
	}
	if pw.EVPN != nil {
		id := r.in.Identities[pw.Name]
		cookie, err := dataplane.NewCookie(cut(id.Cookie.Bytes(), pw.CookieLength))
		if err = cmp.Or(id.Err, err); err != nil {
			return &problem{reasonOf(err), err.Error()}
		}
		if id.Session == 0 {
			return &problem{ReasonProgramFailed, "there is no session id yet"}
		}
		wanted = append(wanted, signalledReceive(pw, link, id.Session, cookie, far.remote))
	}
	for _, w := range wanted {
		if other, taken := r.plan.State.Receive[w.Session]; taken {
			return conflictOver(w, other)
		}
	}
	for _, w := range wanted {
		r.plan.State.Receive[w.Session] = w
	}
	return nil
}

func staticReceive(pw config.Pseudowire, link Link) dataplane.Receive {
	udp := pw.Encapsulation == dataplane.EncapsulationUDP
	w := dataplane.Receive{
		Session: pw.Static.LocalSession, Pseudowire: pw.Name, Circuit: link.Index,
		Local: pw.Source, Remote: pw.Static.Remote, AcceptIP: !udp, AcceptUDP: udp,
		Cookie: pw.Static.LocalCookie, Sublayer: pw.Sublayer,
	}
	if udp {
		w.LocalPort = pw.Port
	}
	return w
}

// signalledReceive also takes protocol 115 when we ask for UDP, because a far
// end that does not know our UDP sub-TLV cannot send anything else.
func signalledReceive(pw config.Pseudowire, link Link, id dataplane.SessionID, cookie dataplane.Cookie, remote netip.Addr) dataplane.Receive {
	w := dataplane.Receive{
		Session: id, Pseudowire: pw.Name, Circuit: link.Index,
		Local: pw.Source, Remote: remote, AcceptIP: true,
		Cookie: cookie, Sublayer: pw.Sublayer,
	}
	if pw.Encapsulation == dataplane.EncapsulationUDP {
		w.AcceptUDP, w.LocalPort = true, pw.Port
	}
	return w
}

func (r *resolution) advertise(pw config.Pseudowire, link Link) {
	if pw.EVPN == nil {
		return
	}
	id := r.in.Identities[pw.Name]
	ad := evpn.Advertisement{
		RD: pw.EVPN.RD, Service: pw.EVPN.LocalService, RouteTargets: pw.EVPN.RouteTargets,
		NextHop: pw.Source, Endpoint: pw.Source,
		Session: evpn.SessionID(id.Session), Cookie: evpn.Cookie(cut(id.Cookie.Bytes(), pw.CookieLength)),
		L2: evpn.L2Attributes{MTU: mtuOf(pw, link)},
	}
	if pw.Encapsulation == dataplane.EncapsulationUDP {
		ad.UDPPort = pw.Port
	}
	if pw.Sublayer == dataplane.SublayerDefault {
		ad.L2.Flags |= evpn.FlagControlWord
	}
	r.plan.Advertise = append(r.plan.Advertise, ad)
}

func (r *resolution) transmit(pw config.Pseudowire, link Link, far farEnd) {
	if !far.known() {
		return
	}
	t := dataplane.Transmit{
		Circuit: dataplane.Port(link.Index), Pseudowire: pw.Name, Session: far.session,
		Local: pw.Source, Remote: far.remote, Encapsulation: far.encapsulation,
		Cookie: far.cookie, Sublayer: pw.Sublayer, TTL: pw.TTL,
	}
	if far.encapsulation == dataplane.EncapsulationUDP {
		t.LocalPort, t.RemotePort = pw.Port, far.port
	}
	r.plan.State.Transmit[t.Circuit] = t
}

// flows lists the address pairs whose next hop should be kept resolved.
func (r *resolution) flows() {
	seen := map[dataplane.Flow]bool{}
	for _, t := range r.plan.State.Transmit {
		seen[dataplane.Flow{Local: t.Local, Remote: t.Remote}] = true
	}
	r.plan.Flows = slices.SortedFunc(maps.Keys(seen), func(a, b dataplane.Flow) int {
		return cmp.Or(a.Local.Compare(b.Local), a.Remote.Compare(b.Remote))
	})
}

// wake notes a time at which the plan must be made again.
func (r *resolution) wake(at time.Time) {
	if r.plan.Wake.IsZero() || at.Before(r.plan.Wake) {
		r.plan.Wake = at
	}
}

// mtuOf is the Ethernet payload that we announce and check; 0 when it is not
// known or does not fit the attribute (RFC 8214 section 3.1).
func mtuOf(pw config.Pseudowire, link Link) uint16 {
	switch {
	case pw.MTU != 0:
		return pw.MTU
	case link.MTU > 0 && link.MTU <= 0xffff:
		return uint16(link.MTU)
	}
	return 0
}

func cut(b []byte, n int) []byte { return b[:min(n, len(b))] }

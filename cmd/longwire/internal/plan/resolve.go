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
	r.share()
	r.attachments()
	r.admission()
	r.flows()
	return r.plan
}

// resolution is a plan in the making.
type resolution struct {
	in      Input
	plan    Plan
	byTag   map[evpn.ServiceID][]evpn.Route
	own     []netip.Addr
	kept    map[string]dataplane.Transmit // what the kernel sends, by pseudowire
	ports   map[int]bool                  // interfaces that send into circuits
	clamped map[clampKey]uint16
	owners  map[selection]string // of circuits
	wanted  map[dataplane.Flow]bool
}

func newResolution(in Input) *resolution {
	r := &resolution{
		in: in,
		plan: Plan{
			State:  dataplane.State{Receive: map[dataplane.SessionID]dataplane.Receive{}, Transmit: map[dataplane.Circuit]dataplane.Transmit{}},
			Uses:   map[evpn.Key][]Use{},
			Clocks: map[string]Clock{},
		},
		byTag:   map[evpn.ServiceID][]evpn.Route{},
		own:     slices.Clone(in.Config.Router.Sources),
		kept:    map[string]dataplane.Transmit{},
		ports:   map[int]bool{},
		clamped: clamped(in.Actual),
		owners:  map[selection]string{},
		wanted:  map[dataplane.Flow]bool{},
	}
	for _, route := range in.Routes {
		r.byTag[route.Tag] = append(r.byTag[route.Tag], route)
	}
	for _, link := range in.Links {
		r.own = append(r.own, link.Addresses...)
	}
	for _, circuit := range slices.SortedFunc(maps.Keys(in.Actual.Transmit), dataplane.Circuit.Compare) {
		if t := in.Actual.Transmit[circuit]; t.Session != 0 {
			r.kept[t.Pseudowire] = t
		}
	}
	for _, pw := range in.Config.Pseudowires {
		if link, exists := in.Links[pw.Interface]; exists {
			r.ports[link.Index] = true
			if pw.VLANs == (dataplane.VLANs{}) {
				r.above(link)
			}
		}
	}
	return r
}

// above notes the interfaces that send by a port which is one circuit: its
// bridge or bond, and what lies on it.
func (r *resolution) above(port Link) {
	if port.Master != 0 {
		r.ports[port.Master] = true
	}
	for _, link := range r.in.Links {
		if link.Parent == port.Index {
			r.ports[link.Index] = true
		}
	}
}

// pseudowire adds one pseudowire to the plan: decapsulation as soon as there is
// a circuit, the advertisement while it is up, encapsulation while it is up and
// the far end is known; until then the circuit is closed. Nothing waits for the
// other end, so that two ends that start at the same time cannot wait for each
// other.
func (r *resolution) pseudowire(pw config.Pseudowire) {
	link, exists := r.in.Links[pw.Interface]
	far := r.choose(pw, mtuOf(pw, link))
	way := r.way(pw, link, far)
	status := r.status(pw, link, exists, far, way)
	if exists && link.Ethernet {
		if problem := r.forward(pw, link, far, way); problem != nil {
			status = status.blocked(problem.Reason, problem.Detail)
		}
	}
	r.plan.Statuses = append(r.plan.Statuses, status)
}

// forward adds what a pseudowire receives, announces and sends, or says why it
// cannot.
func (r *resolution) forward(pw config.Pseudowire, link Link, far farEnd, way way) *problem {
	circuit := circuitOf(pw, link)
	if owner, taken := r.claim(circuit, pw.Name); taken {
		return &problem{ReasonConflict, "the circuit belongs to " + owner}
	}
	transmit := closed(pw, circuit)
	problem := r.receive(pw, link, far, way)
	if problem == nil && link.Up {
		r.advertise(pw, link)
		if far.known() {
			r.wanted[dataplane.Flow{Local: pw.Source, Remote: far.remote}] = true
			if !way.loop {
				transmit = transmitOf(pw, circuit, far, way)
			}
		}
	}
	r.plan.State.Transmit[circuit] = transmit
	return problem
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

// transmitOf is how the frames of a circuit leave for a far end.
func transmitOf(pw config.Pseudowire, circuit dataplane.Circuit, far farEnd, way way) dataplane.Transmit {
	t := closed(pw, circuit)
	t.Session, t.Cookie, t.Local, t.Remote, t.Encapsulation = far.session, far.cookie, pw.Source, far.remote, far.encapsulation
	t.Sublayer, t.Sequencing, t.Tags = pw.Sublayer, pw.Sequencing, imposition(pw)
	t.TTL, t.DSCP, t.CopyDSCP, t.CopyECN = pw.TTL, pw.DSCP, pw.CopyDSCP, pw.CopyECN
	t.TooBig, t.ClampMTU = pw.TooBig, way.clamp
	t.DontFragment = pw.DontFragment && far.remote.Is4() // IPv6 routers never fragment
	if far.encapsulation == dataplane.EncapsulationUDP {
		t.LocalPort, t.RemotePort, t.Entropy, t.ZeroChecksum = pw.Port, far.port, pw.Entropy, pw.ZeroChecksum
	}
	return t
}

// flows lists the address pairs whose next hop should be kept resolved, also of
// those whose way leads into a circuit now: it may lead elsewhere one day.
func (r *resolution) flows() {
	r.plan.Flows = slices.SortedFunc(maps.Keys(r.wanted), func(a, b dataplane.Flow) int {
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

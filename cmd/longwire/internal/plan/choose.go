package plan

import (
	"fmt"
	"net/netip"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// problem is a reason with the values that caused it.
type problem struct {
	Reason Reason
	Detail string
}

// farEnd is the far end that a pseudowire uses now.
type farEnd struct {
	source        Source
	remote        netip.Addr
	session       dataplane.SessionID
	cookie        dataplane.Cookie
	encapsulation dataplane.Encapsulation
	port          uint16 // UDP destination
	stale         *problem
	staleSince    time.Time
	// why says why there is no signalled far end.
	why    *problem
	losers []evpn.Route
}

func (f farEnd) known() bool { return f.source != SourceNone }

// choose picks the far end: a static one that is always used, else the
// signalled one, else what a restart left in the kernel, else the static
// fallback once the signalled one has been absent for long enough.
func (r *resolution) choose(pw config.Pseudowire, mtu uint16) farEnd {
	if pw.EVPN == nil {
		return staticFarEnd(pw)
	}
	far := r.signalled(pw, mtu)
	if pw.Static == nil {
		return far
	}
	if pw.Static.When == config.WhenAlways {
		return staticFarEnd(pw)
	}
	if far.known() {
		return far
	}
	return r.fallback(pw, far)
}

// signalled returns the learned far end, or why there is none.
func (r *resolution) signalled(pw config.Pseudowire, mtu uint16) farEnd {
	choice := evpn.Select(r.byTag[pw.EVPN.RemoteService], evpn.Want{
		RouteTargets: pw.EVPN.RouteTargets, Remote: pw.EVPN.RemoteService,
		MTU: mtu, IgnoreMTU: pw.IgnoreMTU, ControlWord: pw.Sublayer == dataplane.SublayerDefault,
		Family4: pw.Source.Is4(), Family6: pw.Source.Is6(), Own: r.own,
	})
	r.uses(pw.Name, choice)
	if choice.Route != nil || choice.Problem != nil || r.in.Clocks[pw.Name].Learned {
		r.plan.Clocks[pw.Name] = Clock{Learned: true}
	}
	switch {
	case choice.Route != nil:
		return learned(pw, choice)
	case choice.Problem != nil:
		return farEnd{why: &problem{Reason(choice.Problem.Reason), choice.Problem.Detail}}
	}
	if far, ok := r.keep(pw); ok {
		return far
	}
	detail := fmt.Sprintf("no route for service %d with %s", pw.EVPN.RemoteService, targets(pw.EVPN.RouteTargets))
	return farEnd{why: &problem{ReasonNoRemote, detail}}
}

func (r *resolution) uses(name string, choice evpn.Choice) {
	note := func(route evpn.Route, use Use) {
		r.plan.Uses[route.Key] = append(r.plan.Uses[route.Key], use)
	}
	if choice.Route != nil {
		note(*choice.Route, Use{Pseudowire: name, Selected: true})
	}
	for i, loser := range choice.Losers {
		use := Use{Pseudowire: name}
		if i == 0 {
			use.Problem = choice.Problem // nil when there is a winner
		}
		note(loser, use)
	}
}

// learned turns a chosen route into a far end. UDP is used only if both ends
// ask for it: the far end by its sub-TLV, we by configuration.
func learned(pw config.Pseudowire, choice evpn.Choice) farEnd {
	cookie, err := dataplane.NewCookie([]byte(choice.Tunnel.Cookie))
	if err != nil {
		return farEnd{why: &problem{Reason(evpn.ReasonBadCookie), err.Error()}}
	}
	far := farEnd{
		source: SourceSignalled, remote: choice.Remote, session: dataplane.SessionID(choice.Tunnel.Session),
		cookie: cookie, losers: choice.Losers,
	}
	if pw.Encapsulation == dataplane.EncapsulationUDP && choice.Tunnel.UDPPort != 0 {
		far.encapsulation, far.port = dataplane.EncapsulationUDP, choice.Tunnel.UDPPort
	}
	if choice.Route.Stale() {
		far.stale = &problem{ReasonPeerLost, fmt.Sprintf("the BGP session to %s is lost", choice.Route.Peer)}
		far.staleSince = choice.Route.StaleSince
	}
	return far
}

// keep carries over what the kernel forwards for a learned far end whose route
// has not come again yet. What does not fit the configuration is not kept, and
// nothing once a route has come: its withdrawal is to be obeyed.
func (r *resolution) keep(pw config.Pseudowire) (farEnd, bool) {
	clock := r.in.Clocks[pw.Name]
	t, installed := r.kept[pw.Name]
	if !installed {
		t = clock.Kept
	}
	if !r.in.Holding || clock.Learned || t.Session == 0 || isStatic(pw, t) || t.Local != pw.Source || t.Sublayer != pw.Sublayer {
		return farEnd{}, false
	}
	r.plan.Clocks[pw.Name] = Clock{Kept: t}
	far := farEnd{
		source: SourceSignalled, remote: t.Remote, session: t.Session, cookie: t.Cookie,
		stale: &problem{ReasonRestarting, "kept until the route comes again"},
	}
	if pw.Encapsulation == dataplane.EncapsulationUDP && t.Encapsulation == dataplane.EncapsulationUDP {
		far.encapsulation, far.port = t.Encapsulation, t.RemotePort
	}
	return far, true
}

// isStatic says whether an installed encapsulation is that of the static far
// end.
func isStatic(pw config.Pseudowire, t dataplane.Transmit) bool {
	s := pw.Static
	return s != nil && t.Remote == s.Remote && t.Session == s.RemoteSession && t.Cookie == s.RemoteCookie
}

// fallback uses the static far end once the signalled one has been absent for
// static.after. A fallback that a restart finds in the kernel goes on at once.
func (r *resolution) fallback(pw config.Pseudowire, absent farEnd) farEnd {
	clock, known := r.in.Clocks[pw.Name]
	if t, installed := r.kept[pw.Name]; !known && installed && isStatic(pw, t) {
		clock.Fallback = true
	}
	if clock.AbsentSince.IsZero() {
		clock.AbsentSince = r.in.Now
	}
	due := clock.AbsentSince.Add(pw.Static.After)
	clock.Fallback = clock.Fallback || !r.in.Now.Before(due)
	clock.Kept, clock.Learned = dataplane.Transmit{}, r.plan.Clocks[pw.Name].Learned
	r.plan.Clocks[pw.Name] = clock
	if !clock.Fallback {
		r.wake(due)
		absent.why = &problem{absent.why.Reason, absent.why.Detail + "; static fallback after " + pw.Static.After.String()}
		return absent
	}
	far := staticFarEnd(pw)
	far.why = absent.why
	return far
}

func staticFarEnd(pw config.Pseudowire) farEnd {
	s := pw.Static
	far := farEnd{
		source: SourceStatic, remote: s.Remote, session: s.RemoteSession, cookie: s.RemoteCookie,
		encapsulation: pw.Encapsulation,
	}
	if pw.Encapsulation == dataplane.EncapsulationUDP {
		far.port = s.RemotePort
	}
	return far
}

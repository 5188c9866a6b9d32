package evpn

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Want is what one pseudowire looks for.
type Want struct {
	RouteTargets []RouteTarget
	Remote       ServiceID
	MTU          uint16 // bytes of Ethernet payload of our circuit; 0 = do not check
	IgnoreMTU    bool   // policy mtu_check: ignore
	ControlWord  bool   // we use a default L2-specific sublayer
	// Family4 and Family6 say which families our source address has.
	Family4, Family6 bool
	// Own lists our own addresses, which are never a remote.
	Own []netip.Addr
}

// Choice is the far end that a pseudowire uses, and why not when there is none.
type Choice struct {
	Route  *Route     // nil when no candidate can be used
	Tunnel Tunnel     // of Route
	Remote netip.Addr // the resolved egress of Tunnel
	// Problem is that of the best candidate when Route is nil; nil when there
	// is no candidate at all.
	Problem *Problem
	// Losers are the other candidates, best first.
	Losers []Route
}

// Select picks the far end of a pseudowire among routes. The result depends on
// the set of routes only, never on their order. A usable route goes before one
// with a problem, then a fresh one before a stale one, then the primary before
// an unmarked one before a backup (RFC 8214 section 3.1), then the lowest
// remote address; the key breaks the tie that two reflectors make.
func Select(routes []Route, w Want) Choice {
	var found []candidate
	for _, r := range routes {
		if r.Tag == w.Remote && sharesTarget(r.RouteTargets, w.RouteTargets) {
			found = append(found, w.judge(r))
		}
	}
	if len(found) == 0 {
		return Choice{}
	}
	found = currentFirst(found)
	best := found[0]
	c := Choice{Problem: best.problem}
	losers := found
	if best.problem == nil {
		c.Route, c.Tunnel, c.Remote = &best.route, best.tunnel, best.remote
		losers = found[1:]
	}
	for _, l := range losers {
		c.Losers = append(c.Losers, l.route)
	}
	return c
}

// candidate is a route that matches, with the verdict on it.
type candidate struct {
	route   Route
	tunnel  Tunnel
	remote  netip.Addr
	problem *Problem
}

// judge applies Validate and then the policy of w.
func (w Want) judge(r Route) candidate {
	c := candidate{route: r, problem: Validate(r.Endpoint)}
	if c.problem == nil && slices.Contains(w.Own, r.NextHop) {
		c.problem = &Problem{ReasonBadNextHop, fmt.Sprintf("the BGP next hop is %s, an address of our own", r.NextHop)}
	}
	if c.problem == nil {
		c.tunnel, c.remote, c.problem = w.chooseTunnel(r)
	}
	if c.problem == nil {
		c.problem = w.checkLayer2(r.Endpoint)
	}
	return c
}

// chooseTunnel takes the first valid tunnel of the route whose family we can
// send from.
func (w Want) chooseTunnel(r Route) (Tunnel, netip.Addr, *Problem) {
	var first *Problem
	for _, t := range r.Tunnels {
		egress := t.Egress(r.NextHop)
		p := t.Validate(r.NextHop)
		switch {
		case p != nil:
		case slices.Contains(w.Own, egress):
			p = &Problem{ReasonBadEndpoint, fmt.Sprintf("the tunnel egress endpoint is %s, an address of our own", egress)}
		case egress.Is4() && !w.Family4:
			p = &Problem{ReasonBadEndpoint, fmt.Sprintf("the tunnel ends at %s and we have no IPv4 source address", egress)}
		case egress.Is6() && !w.Family6:
			p = &Problem{ReasonBadEndpoint, fmt.Sprintf("the tunnel ends at %s and we have no IPv6 source address", egress)}
		default:
			return t, egress, nil
		}
		if first == nil {
			first = p
		}
	}
	return Tunnel{}, netip.Addr{}, first
}

// checkLayer2 compares the Layer 2 Attributes with ours. Absent on a
// single-homed route they mean no MTU check and no control word
// (RFC 8214 section 3.1).
func (w Want) checkLayer2(ep Endpoint) *Problem {
	if remote := ep.HasL2 && ep.L2.Flags&FlagControlWord != 0; remote != w.ControlWord {
		return &Problem{ReasonControlWord, fmt.Sprintf("the far end %s, we %s", usesSublayer(remote), useSublayer(w.ControlWord))}
	}
	if w.IgnoreMTU || !ep.HasL2 || ep.L2.MTU == 0 || w.MTU == 0 || ep.L2.MTU == w.MTU {
		return nil
	}
	return &Problem{ReasonMTUMismatch, fmt.Sprintf("the far end has MTU %d, we have %d%s", ep.L2.MTU, w.MTU, mtuHint(ep.L2.MTU, w.MTU))}
}

func usesSublayer(yes bool) string {
	if yes {
		return "uses the default L2-specific sublayer"
	}
	return "uses no L2-specific sublayer"
}

func useSublayer(yes bool) string {
	if yes {
		return "use it"
	}
	return "use none"
}

// mtuHint names the usual reason for a telling difference: vendors disagree on
// whether the L2 MTU counts the Ethernet header, a tag and the FCS.
func mtuHint(a, b uint16) string {
	difference := max(a, b) - min(a, b)
	var counted string
	switch difference {
	case 14:
		counted = "the Ethernet header"
	case 18:
		counted = "the Ethernet header and a VLAN tag or the FCS"
	case 22:
		counted = "the Ethernet header, a VLAN tag and the FCS"
	default:
		return ""
	}
	return fmt.Sprintf("; a difference of %d suggests that one side counts %s: align them or set mtu_check: ignore", difference, counted)
}

// currentFirst puts candidates in order: first the current copy of each route,
// best first, then the other copies.
func currentFirst(found []candidate) []candidate {
	if len(found) == 1 {
		return found
	}
	slices.SortFunc(found, compareCandidates)
	copies := map[Key][]candidate{}
	for _, c := range found {
		copies[c.route.withoutPeer()] = append(copies[c.route.withoutPeer()], c)
	}
	var currents, others []candidate
	for _, c := range found {
		if c.route.Peer == current(copies[c.route.withoutPeer()]).route.Peer {
			currents = append(currents, c)
		} else {
			others = append(others, c)
		}
	}
	return append(currents, others...)
}

// withoutPeer is what the copies of one route have in common.
func (k Key) withoutPeer() Key {
	k.Peer = netip.Addr{}
	return k
}

// current picks among the copies of one route, best first. While reflectors
// disagree about what the far end says, that counts which one of them has heard
// last: another may be slow, or hang, until its session is lost. Of those that
// say the same the first is taken, so that one that comes and goes changes nothing.
func current(copies []candidate) candidate {
	best, heard := copies[0], lastHeard(copies, copies[0])
	for _, c := range copies[1:] {
		equal := (c.problem != nil) == (best.problem != nil) && c.route.Stale() == best.route.Stale()
		if at := lastHeard(copies, c); equal && at.After(heard) {
			best, heard = c, at
		}
	}
	return best
}

// lastHeard returns when the last of the fresh or stale copies that say the same
// as c began to do so.
func lastHeard(copies []candidate, c candidate) time.Time {
	var last time.Time
	for _, other := range copies {
		if other.route.Stale() == c.route.Stale() && sameTerms(other.route, c.route) && other.route.Since.After(last) {
			last = other.route.Since
		}
	}
	return last
}

// sameTerms compares what the far end says of itself, and not what reflectors
// change: some clear the label.
func sameTerms(a, b Route) bool {
	return slices.Equal(a.Tunnels, b.Tunnels) && a.L2 == b.L2 && a.HasL2 == b.HasL2
}

func sharesTarget(a, b []RouteTarget) bool {
	return slices.ContainsFunc(a, func(t RouteTarget) bool { return slices.Contains(b, t) })
}

func compareCandidates(a, b candidate) int {
	return cmp.Or(
		compareBool(a.problem != nil, b.problem != nil),
		compareBool(a.route.Stale(), b.route.Stale()),
		cmp.Compare(rank(a.route), rank(b.route)),
		a.remote.Compare(b.remote),
		a.route.NextHop.Compare(b.route.NextHop),
		compareKeys(a.route.Key, b.route.Key),
	)
}

// rank orders by the P and B flags: primary, unmarked, backup.
func rank(r Route) int {
	switch {
	case !r.HasL2:
		return 1
	case r.L2.Flags&FlagPrimary != 0:
		return 0
	case r.L2.Flags&FlagBackup != 0:
		return 2
	}
	return 1
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

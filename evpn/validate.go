package evpn

import (
	"fmt"
	"net/netip"
)

// The labels that do not mean MPLS inside the tunnel: Implicit NULL, which
// Longwire sends, and 0 (RFC 3032 section 2.1, RFC 9012 section 3.2.1).
const (
	labelExplicitNull = 0
	labelImplicitNull = 3
)

// labelLost is the label field that bgpd of FRR 8.4 passes on in place of
// an Ethernet A-D route's own, when the next hop has a metric; else it passes on
// 0. Nobody means a label by it: of the four bits behind the label only the
// last may be set.
const labelLost = 0xfffffd

// Validate checks what no policy can excuse and returns the first problem, or
// nil. It fails closed: a route that it passes has a usable next hop and at
// least one tunnel with a session, a cookie of a legal size and an egress
// endpoint. A Problem that the decoder has already set is returned as it is.
func Validate(ep Endpoint) *Problem {
	if ep.Problem != nil {
		return ep.Problem
	}
	if ep.Tag == ReservedTag {
		return &Problem{ReasonMalformed, "Ethernet Tag 0xffffffff is never a service (RFC 7432 section 8.2.1)"}
	}
	if ep.ESI != (ESI{}) {
		return &Problem{ReasonMultihomed, fmt.Sprintf("Ethernet segment %x: multihoming is not supported yet", ep.ESI[:])}
	}
	if why := unusable(ep.NextHop); why != "" {
		return &Problem{ReasonBadNextHop, "the BGP next hop is " + why}
	}
	if label := ep.Label >> 4; label != labelExplicitNull && label != labelImplicitNull && ep.Label != labelLost {
		return &Problem{ReasonBadLabel, fmt.Sprintf("label %d means MPLS inside the tunnel; want Implicit NULL (3) or 0", label)}
	}
	return validateTunnels(ep)
}

// validateTunnels returns nil when one tunnel is good, else the problem of the
// first, because a bad TLV is ignored for itself (RFC 9012 section 13).
func validateTunnels(ep Endpoint) *Problem {
	if len(ep.Tunnels) == 0 {
		return &Problem{ReasonNoEncapsulation, "no usable L2TPv3 tunnel in the Tunnel Encapsulation attribute"}
	}
	var first *Problem
	for _, t := range ep.Tunnels {
		p := t.Validate(ep.NextHop)
		if p == nil {
			return nil
		}
		if first == nil {
			first = p
		}
	}
	return first
}

// Validate checks one tunnel on its own; nextHop stands in for an endpoint that
// the TLV leaves to the BGP next hop (RFC 9012 section 3.1).
func (t Tunnel) Validate(nextHop netip.Addr) *Problem {
	if t.Session == 0 {
		return &Problem{ReasonBadSessionID, "session id 0 is a control message (RFC 3931 section 4.1)"}
	}
	switch len(t.Cookie) {
	case 0, 4, 8:
	default:
		return &Problem{ReasonBadCookie, fmt.Sprintf("a cookie has 0, 4 or 8 bytes, not %d", len(t.Cookie))}
	}
	why := unusable(t.Egress(nextHop))
	switch {
	case why == "":
		return nil
	case t.Endpoint.IsValid():
		return &Problem{ReasonBadEndpoint, "the tunnel egress endpoint is " + why}
	}
	return &Problem{ReasonBadNextHop, "the tunnel ends at the BGP next hop, which is " + why}
}

// Egress returns the address that the tunnel ends at: its own endpoint, or
// nextHop when it names none.
func (t Tunnel) Egress(nextHop netip.Addr) netip.Addr {
	if t.Endpoint.IsValid() {
		return t.Endpoint
	}
	return nextHop
}

// unusable says why a can never be the outer address of a remote, or "". The
// documentation prefixes pass: laboratories run on them.
func unusable(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "absent"
	case a.Is4In6():
		return fmt.Sprintf("%s, an IPv4-mapped address", a)
	case a.IsUnspecified():
		return fmt.Sprintf("%s, the unspecified address", a)
	case a.IsLoopback():
		return fmt.Sprintf("%s, a loopback address", a)
	case a.IsMulticast():
		return fmt.Sprintf("%s, a multicast address", a)
	case a.IsLinkLocalUnicast():
		return fmt.Sprintf("%s, a link-local address", a)
	case a.Is4() && a.As4()[0] == 0:
		return fmt.Sprintf("%s, an address of \"this network\"", a)
	case a.Is4() && a.As4()[0] >= 240:
		return fmt.Sprintf("%s, a reserved or broadcast address", a)
	}
	return ""
}

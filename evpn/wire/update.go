package wire

import (
	"errors"
	"net/netip"

	"longwire/evpn"
)

// Update is what an UPDATE message says about Ethernet A-D per-EVI routes.
type Update struct {
	Reach    []evpn.Endpoint
	Unreach  []evpn.Key
	EndOfRIB bool // of the EVPN family (RFC 4724 section 2)
}

// DecodeUpdate reads a whole BGP UPDATE message, header included, that came
// from peer. Routes of other types and families are passed over. The error
// wraps ErrMalformed and does not void the Update: it holds what could be read,
// and an endpoint whose attributes are broken carries its Problem.
func DecodeUpdate(peer netip.Addr, message []byte) (Update, error) {
	c := cursor{rest: message}
	c.take(16) // marker
	length, kind := c.uint16(), c.uint8()
	if c.short || length != len(message) || kind != messageUpdate {
		return Update{}, malformed("no UPDATE message: %d bytes, header says type %d and length %d", len(message), kind, length)
	}
	withdrawn := c.take(c.uint16()) // IPv4 only
	block := c.take(c.uint16())
	if c.short {
		return Update{}, malformed("the UPDATE ends inside its attributes")
	}
	if len(withdrawn) == 0 && len(block) == 0 {
		return Update{}, nil // End-of-RIB of IPv4 unicast
	}
	attributes, err := splitAttributes(block)
	u, decodeErr := attributes.decode(peer)
	return u, errors.Join(err, decodeErr)
}

// DecodePath reads one NLRI and the attributes of its path, each with its own
// header, as GoBGP's API lists them.
func DecodePath(peer netip.Addr, nlri []byte, attributes [][]byte) (evpn.Endpoint, error) {
	set := attributeSet{}
	for _, a := range attributes {
		one, err := splitAttributes(a)
		if err != nil {
			return evpn.Endpoint{}, err
		}
		for kind, value := range one {
			set[kind] = value
		}
	}
	routes, err := splitNLRI(nlri)
	if err != nil {
		return evpn.Endpoint{}, err
	}
	if len(routes) != 1 {
		return evpn.Endpoint{}, malformed("%d A-D per-EVI routes in the NLRI, want one", len(routes))
	}
	var nextHop netip.Addr
	if reach, ok := set[attrMPReach]; ok {
		nextHop, _, err = splitReach(reach)
	}
	ep := set.endpoint(nextHop)
	ep.Key, ep.Label = routes[0].key(peer), routes[0].label
	return ep, err
}

// attributeSet maps the type of a path attribute to its value.
type attributeSet map[int][]byte

// splitAttributes cuts a block of path attributes (RFC 4271 section 4.3). Of a
// repeated attribute the first counts (RFC 7606 section 3g).
func splitAttributes(block []byte) (attributeSet, error) {
	set := attributeSet{}
	c := cursor{rest: block}
	for !c.empty() {
		flags, kind := c.uint8(), c.uint8()
		var length int
		if flags&flagExtendedLength != 0 {
			length = c.uint16()
		} else {
			length = c.uint8()
		}
		value := c.take(length)
		if c.short {
			return set, malformed("path attribute %d runs past the end", kind)
		}
		if _, seen := set[kind]; !seen {
			set[kind] = value
		}
	}
	return set, nil
}

// decode reads the multiprotocol attributes and gives each reachable route the
// other attributes of the message.
func (set attributeSet) decode(peer netip.Addr) (Update, error) {
	var u Update
	var errs []error
	if value, ok := set[attrMPUnreach]; ok {
		routes, endOfRIB, err := decodeUnreach(value)
		errs = append(errs, err)
		u.EndOfRIB = endOfRIB && len(set) == 1
		for _, r := range routes {
			u.Unreach = append(u.Unreach, r.key(peer))
		}
	}
	if value, ok := set[attrMPReach]; ok {
		nextHop, nlri, err := splitReach(value)
		routes, nlriErr := splitNLRI(nlri)
		errs = append(errs, err, nlriErr)
		for _, r := range routes {
			ep := set.endpoint(nextHop)
			ep.Key, ep.Label = r.key(peer), r.label
			u.Reach = append(u.Reach, ep)
		}
	}
	return u, errors.Join(errs...)
}

// endpoint reads what the attributes say of every route of the message.
func (set attributeSet) endpoint(nextHop netip.Addr) evpn.Endpoint {
	ep := evpn.Endpoint{NextHop: nextHop}
	if id, ok := set[attrOriginatorID]; ok && len(id) == 4 {
		ep.Originator = netip.AddrFrom4([4]byte(id))
	}
	if value, ok := set[attrExtendedCommunities]; ok {
		readCommunities(&ep, value)
	}
	value, ok := set[attrTunnelEncapsulation]
	if !ok {
		ep.Problem = firstProblem(ep.Problem, noEncapsulation("the route has no Tunnel Encapsulation attribute"))
		return ep
	}
	tunnels, problem := decodeTunnels(value, nextHop)
	ep.Tunnels, ep.Problem = tunnels, firstProblem(ep.Problem, problem)
	return ep
}

func firstProblem(a, b *evpn.Problem) *evpn.Problem {
	if a != nil {
		return a
	}
	return b
}

// readCommunities takes the route targets and the Layer 2 Attributes; others,
// among them the encapsulation community, say nothing that we use. A length
// that is no multiple of eight spoils the route (RFC 7606 section 7.14).
func readCommunities(ep *evpn.Endpoint, value []byte) {
	if len(value)%communityLength != 0 {
		ep.Problem = &evpn.Problem{Reason: evpn.ReasonMalformed, Detail: "the extended communities are no multiple of 8 bytes"}
		return
	}
	for c := (cursor{rest: value}); !c.empty(); {
		b := [communityLength]byte(c.take(communityLength))
		switch target := evpn.RouteTarget(b); {
		case target.IsRouteTarget():
			ep.RouteTargets = append(ep.RouteTargets, target)
		case b[0] == communityEVPN && b[1] == subtypeL2Attributes && !ep.HasL2:
			l2 := cursor{rest: b[2:]}
			ep.HasL2 = true
			ep.L2 = evpn.L2Attributes{Flags: uint16(l2.uint16()), MTU: uint16(l2.uint16())}
		}
	}
}

package wire

import (
	"net/netip"

	"longwire/evpn"
)

// route is an Ethernet A-D per-EVI route without its attributes
// (RFC 7432 section 7.1):
//
//	RD (8) · ESI (10) · Ethernet Tag (4) · MPLS label (3)
type route struct {
	rd    evpn.RD
	esi   evpn.ESI
	tag   evpn.ServiceID
	label uint32 // the raw 24 bits
}

func (r route) key(peer netip.Addr) evpn.Key {
	return evpn.Key{Peer: peer, RD: r.rd, ESI: r.esi, Tag: r.tag}
}

// splitNLRI cuts EVPN NLRI (type 1, length 1, value) and returns the A-D
// per-EVI routes. Per-ES routes and other route types are passed over; an A-D
// route of a wrong length is an error that leaves the others intact, because
// its own length field still says where the next begins.
func splitNLRI(b []byte) ([]route, error) {
	var routes []route
	var err error
	c := cursor{rest: b}
	for !c.empty() {
		kind, length := c.uint8(), c.uint8()
		value := c.take(length)
		if c.short {
			return routes, malformed("the EVPN NLRI runs past the end")
		}
		if kind != routeTypeAD {
			continue
		}
		if length != adLength {
			err = malformed("an Ethernet A-D route has %d bytes, want %d", length, adLength)
			continue
		}
		if r := readRoute(value); r.tag != evpn.ReservedTag {
			routes = append(routes, r)
		}
	}
	return routes, err
}

func readRoute(value []byte) route {
	c := cursor{rest: value}
	r := route{
		rd:  evpn.RD(c.take(8)),
		esi: evpn.ESI(c.take(10)),
		tag: evpn.ServiceID(c.uint32()),
	}
	label := c.take(3)
	r.label = uint32(label[0])<<16 | uint32(label[1])<<8 | uint32(label[2])
	return r
}

// splitReach reads MP_REACH_NLRI (RFC 4760 section 3) and returns the EVPN part;
// another family has neither next hop nor NLRI for us. A next hop of an odd
// length comes back as the zero Addr, and its routes with it: they are shown
// and never used.
func splitReach(value []byte) (nextHop netip.Addr, nlri []byte, err error) {
	c := cursor{rest: value}
	afi, safi := c.uint16(), c.uint8()
	hop := c.take(c.uint8())
	c.take(1) // reserved
	if c.short {
		return netip.Addr{}, nil, malformed("MP_REACH_NLRI is too short")
	}
	if afi != afiL2VPN || safi != safiEVPN {
		return netip.Addr{}, nil, nil
	}
	return readNextHop(hop), c.rest, nil
}

// readNextHop takes the global address of a pair with a link-local one
// (RFC 2545 section 3).
func readNextHop(b []byte) netip.Addr {
	if len(b) == 32 {
		b = b[:16]
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// decodeUnreach reads MP_UNREACH_NLRI (RFC 4760 section 4). Without routes it
// marks the end of the RIB of its family.
func decodeUnreach(value []byte) (routes []route, endOfRIB bool, err error) {
	c := cursor{rest: value}
	afi, safi := c.uint16(), c.uint8()
	if c.short {
		return nil, false, malformed("MP_UNREACH_NLRI is too short")
	}
	if afi != afiL2VPN || safi != safiEVPN {
		return nil, false, nil
	}
	if c.empty() {
		return nil, true, nil
	}
	routes, err = splitNLRI(c.rest)
	return routes, false, err
}

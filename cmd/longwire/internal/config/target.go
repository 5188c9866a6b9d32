package config

import (
	"encoding/binary"
	"net/netip"

	"longwire/evpn"
)

// routeTarget parses one route target.
func (r resolver) routeTarget(s scalar) (evpn.RouteTarget, bool) {
	rt, err := evpn.ParseRouteTarget(s.text)
	if err != nil {
		r.bad(s, "a route target", `write ASN:number or IPv4:number, such as "65000:1"`)
		return evpn.RouteTarget{}, false
	}
	return rt, true
}

// routeDistinguisher parses the three types of RFC 4364 section 4.2.
func (r resolver) routeDistinguisher(s scalar) evpn.RD {
	rd, err := evpn.ParseRD(s.text)
	if err != nil {
		r.bad(s, "a route distinguisher", `write ASN:number or IPv4:number, such as "192.0.2.1:7"`)
	}
	return rd
}

// defaultRD derives the RD of a pseudowire from the low 16 bits of its first
// route target, so that it is the same after every restart and reload and
// services of different route targets do not meet.
func defaultRD(id netip.Addr, rt evpn.RouteTarget) evpn.RD {
	return evpn.NewRD1(id, binary.BigEndian.Uint16(rt[6:]))
}

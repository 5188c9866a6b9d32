package wire

import (
	"fmt"
	"net/netip"

	"longwire/evpn"
)

// decodeTunnels reads the value of a Tunnel Encapsulation attribute
// (RFC 9012 section 2), a list of
//
//	tunnel type (2) · length (2) · sub-TLVs
//
// and returns its usable tunnels of type 1, L2TPv3 over IP, in their order. When
// none is left the problem says why the first of them cannot be used, or that
// there was none. An attribute whose TLVs do not fit yields no tunnel at all:
// RFC 9012 section 13 has it treated as a withdrawal.
func decodeTunnels(value []byte, nextHop netip.Addr) ([]evpn.Tunnel, *evpn.Problem) {
	var tunnels []evpn.Tunnel
	var problem *evpn.Problem
	c := cursor{rest: value}
	for !c.empty() {
		kind := c.uint16()
		subTLVs, err := splitSubTLVs(c.take(c.uint16()))
		if c.short {
			return nil, noEncapsulation("malformed Tunnel Encapsulation attribute: a TLV runs past its end")
		}
		if err != "" {
			return nil, noEncapsulation("malformed Tunnel Encapsulation attribute: " + err)
		}
		if kind != tunnelTypeL2TPv3 {
			continue
		}
		t, p := readTunnel(subTLVs)
		if p == nil {
			p = t.Validate(nextHop)
		}
		if p == nil {
			tunnels = append(tunnels, t)
		}
		problem = firstProblem(problem, p)
	}
	if len(tunnels) > 0 {
		return tunnels, nil
	}
	return nil, firstProblem(problem, noEncapsulation("the Tunnel Encapsulation attribute has no tunnel of type 1 (L2TPv3 over IP)"))
}

// subTLV is one sub-TLV of a tunnel (RFC 9012 section 2).
type subTLV struct {
	kind  int
	value []byte
}

// splitSubTLVs cuts the value of a TLV. The end of the last sub-TLV must be the
// end of the TLV; otherwise it says what is wrong.
func splitSubTLVs(b []byte) (list []subTLV, wrong string) {
	c := cursor{rest: b}
	for !c.empty() {
		kind := c.uint8()
		var length int
		if kind >= firstLongSubTLV {
			length = c.uint16()
		} else {
			length = c.uint8()
		}
		value := c.take(length)
		if c.short {
			return nil, fmt.Sprintf("sub-TLV %d does not end with its TLV", kind)
		}
		list = append(list, subTLV{kind, value})
	}
	return list, ""
}

// readTunnel reads the sub-TLVs of a tunnel of type 1. Of a repeated
// encapsulation the first counts, and the egress endpoint must occur exactly
// once (RFC 9012 section 13). The UDP destination port (8) is disregarded for
// this type; sub-TLV 126 is Longwire's own and ignored when its size is wrong.
func readTunnel(list []subTLV) (evpn.Tunnel, *evpn.Problem) {
	var t evpn.Tunnel
	var encapsulations, endpoints int
	var problem *evpn.Problem
	for _, s := range list {
		switch s.kind {
		case subTLVEncapsulation:
			if encapsulations++; encapsulations == 1 {
				problem = firstProblem(problem, readEncapsulation(&t, s.value))
			}
		case subTLVEgressEndpoint:
			endpoints++
			problem = firstProblem(problem, readEgress(&t, s.value))
		case subTLVLongwireUDPPort:
			if c := (cursor{rest: s.value}); len(s.value) == 2 && t.UDPPort == 0 {
				t.UDPPort = uint16(c.uint16())
			}
		}
	}
	switch {
	case encapsulations == 0:
		return t, noEncapsulation("the L2TPv3 tunnel has no encapsulation sub-TLV")
	case endpoints != 1:
		return t, badEndpoint("the L2TPv3 tunnel has %d egress endpoints, want one", endpoints)
	}
	return t, problem
}

// readEncapsulation reads session id (4) · cookie (rest), RFC 9012
// section 3.2.1. The size of the cookie is judged by Tunnel.Validate.
func readEncapsulation(t *evpn.Tunnel, value []byte) *evpn.Problem {
	if len(value) < 4 {
		return noEncapsulation(fmt.Sprintf("the encapsulation sub-TLV has %d bytes, want 4 and a cookie", len(value)))
	}
	c := cursor{rest: value}
	t.Session = evpn.SessionID(c.uint32())
	t.Cookie = evpn.Cookie(c.rest)
	return nil
}

// readEgress reads reserved (4) · address family (2) · address, RFC 9012
// section 3.1. Family 0 leaves the endpoint to the BGP next hop.
func readEgress(t *evpn.Tunnel, value []byte) *evpn.Problem {
	c := cursor{rest: value}
	c.take(4)
	family := c.uint16()
	if c.short {
		return badEndpoint("the egress endpoint sub-TLV has %d bytes, want 6, 10 or 22", len(value))
	}
	want := map[int]int{0: 0, afiIPv4: 4, afiIPv6: 16}
	n, known := want[family]
	if !known || n != len(c.rest) {
		return badEndpoint("the egress endpoint sub-TLV has family %d and an address of %d bytes", family, len(c.rest))
	}
	if n > 0 {
		t.Endpoint, _ = netip.AddrFromSlice(c.rest)
	}
	return nil
}

func noEncapsulation(detail string) *evpn.Problem {
	return &evpn.Problem{Reason: evpn.ReasonNoEncapsulation, Detail: detail}
}

func badEndpoint(format string, args ...any) *evpn.Problem {
	return &evpn.Problem{Reason: evpn.ReasonBadEndpoint, Detail: fmt.Sprintf(format, args...)}
}

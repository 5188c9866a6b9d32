package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"longwire/evpn"
)

// implicitNull is label 3 in the high 20 bits of the label field: the tunnel
// carries Ethernet and not MPLS (RFC 3032 section 2.1).
const implicitNull = 3 << 4

// EncodeNLRI returns the Ethernet A-D per-EVI route of ad with its type and
// length (RFC 7432 section 7.1). The label is Implicit NULL.
func EncodeNLRI(ad evpn.Advertisement) []byte {
	b := make([]byte, 0, 2+adLength)
	b = append(b, routeTypeAD, adLength)
	b = append(b, ad.RD[:]...)
	b = append(b, ad.ESI[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(ad.Service))
	return append(b, implicitNull>>16, implicitNull>>8&0xff, implicitNull&0xff)
}

// EncodePath returns the NLRI of ad and its path attributes, each with its own
// header, as GoBGP's API takes them: ORIGIN, MP_REACH_NLRI, extended
// communities, tunnel encapsulation. GoBGP adds AS_PATH and LOCAL_PREF. It
// fails when ad would make a route that a receiver must refuse.
func EncodePath(ad evpn.Advertisement) (nlri []byte, attributes [][]byte, err error) {
	if err := check(ad); err != nil {
		return nil, nil, err
	}
	nlri = EncodeNLRI(ad)
	return nlri, [][]byte{
		attribute(flagTransitive, attrOrigin, []byte{0}), // IGP
		attribute(flagOptional, attrMPReach, encodeReach(ad.NextHop, nlri)),
		attribute(flagOptional|flagTransitive, attrExtendedCommunities, encodeCommunities(ad)),
		attribute(flagOptional|flagTransitive, attrTunnelEncapsulation, encodeTunnel(ad)),
	}, nil
}

// check refuses what evpn.Validate would refuse at the far end, a route without
// a route target, which no far end would find, and flags that GoBGP would not
// carry: RFC 8214 section 3.1 defines P, B and C only, and P excludes B.
func check(ad evpn.Advertisement) error {
	ep := evpn.Endpoint{
		Key:     evpn.Key{RD: ad.RD, ESI: ad.ESI, Tag: ad.Service},
		NextHop: ad.NextHop,
		Label:   implicitNull,
		Tunnels: []evpn.Tunnel{{Session: ad.Session, Cookie: ad.Cookie, Endpoint: ad.Endpoint}},
	}
	if p := evpn.Validate(ep); p != nil {
		return fmt.Errorf("announce service %d: %w", ad.Service, p)
	}
	if !slices.ContainsFunc(ad.RouteTargets, evpn.RouteTarget.IsRouteTarget) {
		return fmt.Errorf("announce service %d: no route target", ad.Service)
	}
	const primaryAndBackup = evpn.FlagPrimary | evpn.FlagBackup
	if f := ad.L2.Flags; f&^(primaryAndBackup|evpn.FlagControlWord) != 0 || f&primaryAndBackup == primaryAndBackup {
		return fmt.Errorf("announce service %d: layer 2 flags %#x are not allowed", ad.Service, f)
	}
	return nil
}

// attribute puts a header before a value (RFC 4271 section 4.3).
func attribute(flags, kind byte, value []byte) []byte {
	if len(value) > 0xff {
		b := []byte{flags | flagExtendedLength, kind, 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(len(value)))
		return append(b, value...)
	}
	return append([]byte{flags, kind, byte(len(value))}, value...)
}

func encodeReach(nextHop netip.Addr, nlri []byte) []byte {
	hop := nextHop.AsSlice()
	b := []byte{0, afiL2VPN, safiEVPN, byte(len(hop))}
	b = append(b, hop...)
	b = append(b, 0) // reserved
	return append(b, nlri...)
}

// encodeCommunities lists the route targets and the Layer 2 Attributes:
//
//	06 04 · control flags (2) · L2 MTU (2) · reserved (2)
func encodeCommunities(ad evpn.Advertisement) []byte {
	var b []byte
	for _, t := range ad.RouteTargets {
		b = append(b, t[:]...)
	}
	b = append(b, communityEVPN, subtypeL2Attributes)
	b = binary.BigEndian.AppendUint16(b, ad.L2.Flags)
	b = binary.BigEndian.AppendUint16(b, ad.L2.MTU)
	return append(b, 0, 0)
}

// encodeTunnel makes exactly one TLV of type 1 with sub-TLV types below 128:
// some receivers reset the session on more.
func encodeTunnel(ad evpn.Advertisement) []byte {
	session := binary.BigEndian.AppendUint32(nil, uint32(ad.Session))
	sub := appendSubTLV(nil, subTLVEncapsulation, append(session, ad.Cookie...))
	sub = appendSubTLV(sub, subTLVEgressEndpoint, encodeEgress(ad.Endpoint))
	if ad.UDPPort != 0 {
		sub = appendSubTLV(sub, subTLVLongwireUDPPort, binary.BigEndian.AppendUint16(nil, ad.UDPPort))
	}
	b := []byte{0, tunnelTypeL2TPv3}
	b = binary.BigEndian.AppendUint16(b, uint16(len(sub)))
	return append(b, sub...)
}

func encodeEgress(a netip.Addr) []byte {
	family := byte(0) // the BGP next hop
	switch {
	case a.Is4():
		family = afiIPv4
	case a.Is6():
		family = afiIPv6
	}
	return append([]byte{0, 0, 0, 0, 0, family}, a.AsSlice()...)
}

func appendSubTLV(b []byte, kind byte, value []byte) []byte {
	b = append(b, kind, byte(len(value)))
	return append(b, value...)
}

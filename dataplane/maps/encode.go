package maps

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"longwire/bpf"
	"longwire/dataplane"
)

// Lengths of the template's parts in bytes (RFC 791, RFC 8200, RFC 768,
// RFC 3931 section 4.1).
const (
	ipv4Len    = 20
	ipv6Len    = 40
	udpLen     = 8
	l2tpUDPLen = 8
	l2tpIPLen  = 4

	protoUDP  = 17
	protoL2TP = 115

	l2tpVersion3 = 0x0003
)

// encodeReceive makes the map value of one session. A port is kept as it lies
// on the wire.
func encodeReceive(r dataplane.Receive, slot uint32) (bpf.LongwireReceive, error) {
	v := bpf.LongwireReceive{
		Circuit: uint32(r.Circuit), Slot: slot, ClampMtu: r.ClampMTU,
		LocalPort: wire16(r.LocalPort), RemotePort: wire16(r.RemotePort),
		Cookie: wireCookie(r.Cookie), Previous: wireCookie(r.Previous),
		CookieLen: uint8(r.Cookie.Len()), SublayerLen: uint8(r.Sublayer.Len()),
	}
	switch {
	case r.Session == 0:
		return v, fmt.Errorf("session id 0 of %q is a control message, not a session", r.Pseudowire)
	case !r.Local.IsValid() || r.Remote.IsValid() && r.Remote.Is4() != r.Local.Is4():
		return v, fmt.Errorf("addresses %s and %s of %q are not of one family", r.Local, r.Remote, r.Pseudowire)
	case r.AcceptPrevious && r.Previous.Len() != r.Cookie.Len():
		return v, fmt.Errorf("the two cookies of %q have %d and %d bytes: they must be of one length", r.Pseudowire, r.Cookie.Len(), r.Previous.Len())
	case r.Sequencing && r.Sublayer == dataplane.SublayerNone:
		return v, fmt.Errorf("sequencing of %q needs the default sublayer", r.Pseudowire)
	}
	copy(v.Local[:], r.Local.AsSlice())
	copy(v.Remote[:], r.Remote.AsSlice())
	encodeDelivery(&v, r.Tags)
	for flag, on := range map[bpf.LongwireReceiveFlag]bool{
		bpf.LongwireReceiveFlagRECEIVE_ACCEPT_IP:     r.AcceptIP,
		bpf.LongwireReceiveFlagRECEIVE_ACCEPT_UDP:    r.AcceptUDP,
		bpf.LongwireReceiveFlagRECEIVE_HAS_REMOTE:    r.Remote.IsValid(),
		bpf.LongwireReceiveFlagRECEIVE_IPV6:          r.Local.Is6(),
		bpf.LongwireReceiveFlagRECEIVE_PREVIOUS:      r.AcceptPrevious,
		bpf.LongwireReceiveFlagRECEIVE_ZERO_CHECKSUM: r.ZeroChecksum,
		bpf.LongwireReceiveFlagRECEIVE_SEQUENCED:     r.Sequencing,
		bpf.LongwireReceiveFlagRECEIVE_TAGS:          r.Tags != dataplane.Delivery{},
		bpf.LongwireReceiveFlagRECEIVE_CLAMP:         r.ClampMTU != 0,
	} {
		if on {
			v.Flags |= flag
		}
	}
	return v, nil
}

// decodeReceive is the inverse of encodeReceive.
func decodeReceive(id uint32, v bpf.LongwireReceive, pseudowire string) (dataplane.Receive, error) {
	has := func(flag bpf.LongwireReceiveFlag) bool { return v.Flags&flag != 0 }
	r := dataplane.Receive{
		Session: dataplane.SessionID(id), Pseudowire: pseudowire, Circuit: int(v.Circuit),
		AcceptIP:  has(bpf.LongwireReceiveFlagRECEIVE_ACCEPT_IP),
		AcceptUDP: has(bpf.LongwireReceiveFlagRECEIVE_ACCEPT_UDP),
		LocalPort: wire16(v.LocalPort), RemotePort: wire16(v.RemotePort),
		AcceptPrevious: has(bpf.LongwireReceiveFlagRECEIVE_PREVIOUS),
		ZeroChecksum:   has(bpf.LongwireReceiveFlagRECEIVE_ZERO_CHECKSUM),
		Sequencing:     has(bpf.LongwireReceiveFlagRECEIVE_SEQUENCED),
		Sublayer:       sublayer(v.SublayerLen), Tags: decodeDelivery(v), ClampMTU: v.ClampMtu,
	}
	v6 := has(bpf.LongwireReceiveFlagRECEIVE_IPV6)
	r.Local = address(v.Local[:], v6)
	if has(bpf.LongwireReceiveFlagRECEIVE_HAS_REMOTE) {
		r.Remote = address(v.Remote[:], v6)
	}
	var err error
	if r.Cookie, err = cookieOf(v.Cookie, v.CookieLen); err != nil {
		return r, fmt.Errorf("session %d: %w", id, err)
	}
	if r.AcceptPrevious {
		r.Previous, err = cookieOf(v.Previous, v.CookieLen)
	}
	return r, err
}

// wireCookie returns a cookie as a native load from the packet gives it.
func wireCookie(c dataplane.Cookie) uint64 {
	var b [8]byte
	copy(b[:], c.Bytes())
	return binary.NativeEndian.Uint64(b[:])
}

// cookieOf is the inverse of wireCookie.
func cookieOf(v uint64, n uint8) (dataplane.Cookie, error) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	return dataplane.NewCookie(b[:min(int(n), 8)])
}

// encodeDelivery writes what happens to tags; setting and pushing share the
// place for them, as one session does one of the two.
func encodeDelivery(v *bpf.LongwireReceive, d dataplane.Delivery) {
	v.PopTags = d.Pop
	for i, tag := range d.Set {
		if tag.Type != 0 {
			v.SetTags, v.Tags[i] = uint8(i+1), wireTag(tag)
		}
	}
	for i, tag := range d.Push {
		if tag.Type != 0 {
			v.PushTags, v.Tags[i] = uint8(i+1), wireTag(tag)
		}
	}
}

// decodeDelivery is the inverse of encodeDelivery.
func decodeDelivery(v bpf.LongwireReceive) dataplane.Delivery {
	d := dataplane.Delivery{Pop: v.PopTags}
	for i := range min(v.SetTags, 2) {
		d.Set[i] = tagOf(v.Tags[i])
	}
	for i := range min(v.PushTags, 2) {
		d.Push[i] = tagOf(v.Tags[i])
	}
	return d
}

// wireTag returns a tag as a native load from the packet gives it: type, then
// priority 0 and VLAN id.
func wireTag(t dataplane.Tag) uint32 {
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, t.Type), t.VID))
}

// tagOf is the inverse of wireTag.
func tagOf(v uint32) dataplane.Tag {
	b := binary.NativeEndian.AppendUint32(nil, v)
	return dataplane.Tag{Type: binary.BigEndian.Uint16(b), VID: binary.BigEndian.Uint16(b[2:])}
}

func protocol(udp bool) byte {
	if udp {
		return protoUDP
	}
	return protoL2TP
}

func sublayer(n uint8) dataplane.Sublayer {
	if n == 0 {
		return dataplane.SublayerNone
	}
	return dataplane.SublayerDefault
}

func address(b []byte, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte(b[:16]))
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

// wire16 turns a number into the one that has its bytes in wire order when it
// is stored natively, and back.
func wire16(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// sum is the ones' complement sum of b in native order (RFC 1071): a checksum
// does not mind the byte order, as long as it is the same throughout.
func sum(b []byte) uint32 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.NativeEndian.Uint16(b))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return s
}

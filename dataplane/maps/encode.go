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
		Circuit: uint32(r.Circuit), Slot: slot,
		LocalPort: wire16(r.LocalPort), RemotePort: wire16(r.RemotePort),
		CookieLen: uint8(r.Cookie.Len()), SublayerLen: uint8(r.Sublayer.Len()),
	}
	if r.Session == 0 {
		return v, fmt.Errorf("session id 0 of %q is a control message, not a session", r.Pseudowire)
	}
	if !r.Local.IsValid() || r.Remote.IsValid() && r.Remote.Is4() != r.Local.Is4() {
		return v, fmt.Errorf("addresses %s and %s of %q are not of one family", r.Local, r.Remote, r.Pseudowire)
	}
	copy(v.Local[:], r.Local.AsSlice())
	copy(v.Remote[:], r.Remote.AsSlice())
	var cookie [8]byte
	copy(cookie[:], r.Cookie.Bytes())
	v.Cookie = binary.NativeEndian.Uint64(cookie[:])
	for flag, on := range map[bpf.LongwireReceiveFlag]bool{
		bpf.LongwireReceiveFlagRECEIVE_ACCEPT_IP:  r.AcceptIP,
		bpf.LongwireReceiveFlagRECEIVE_ACCEPT_UDP: r.AcceptUDP,
		bpf.LongwireReceiveFlagRECEIVE_HAS_REMOTE: r.Remote.IsValid(),
		bpf.LongwireReceiveFlagRECEIVE_IPV6:       r.Local.Is6(),
	} {
		if on {
			v.Flags |= flag
		}
	}
	return v, nil
}

// decodeReceive is the inverse of encodeReceive.
func decodeReceive(id uint32, v bpf.LongwireReceive, pseudowire string) (dataplane.Receive, error) {
	var cookie [8]byte
	binary.NativeEndian.PutUint64(cookie[:], v.Cookie)
	c, err := dataplane.NewCookie(cookie[:min(int(v.CookieLen), 8)])
	if err != nil {
		return dataplane.Receive{}, fmt.Errorf("session %d: %w", id, err)
	}
	r := dataplane.Receive{
		Session: dataplane.SessionID(id), Pseudowire: pseudowire, Circuit: int(v.Circuit),
		AcceptIP:  v.Flags&bpf.LongwireReceiveFlagRECEIVE_ACCEPT_IP != 0,
		AcceptUDP: v.Flags&bpf.LongwireReceiveFlagRECEIVE_ACCEPT_UDP != 0,
		LocalPort: wire16(v.LocalPort), RemotePort: wire16(v.RemotePort),
		Cookie: c, Sublayer: sublayer(v.SublayerLen),
	}
	v6 := v.Flags&bpf.LongwireReceiveFlagRECEIVE_IPV6 != 0
	r.Local = address(v.Local[:], v6)
	if v.Flags&bpf.LongwireReceiveFlagRECEIVE_HAS_REMOTE != 0 {
		r.Remote = address(v.Remote[:], v6)
	}
	return r, nil
}

// encodeTransmit makes the map value of one circuit's encapsulation: the outer
// header with everything that does not depend on the frame.
func encodeTransmit(t dataplane.Transmit, slot, nextHop uint32) (bpf.LongwireTransmit, error) {
	v := bpf.LongwireTransmit{
		Slot: slot, NextHop: nextHop,
		CookieLen: uint8(t.Cookie.Len()), SublayerLen: uint8(t.Sublayer.Len()),
	}
	if t.Session == 0 {
		return v, fmt.Errorf("remote session id 0 of %q is a control message, not a session", t.Pseudowire)
	}
	if !t.Local.IsValid() || !t.Remote.IsValid() || t.Local.Is4() != t.Remote.Is4() {
		return v, fmt.Errorf("addresses %s and %s of %q are not of one family", t.Local, t.Remote, t.Pseudowire)
	}
	udp := t.Encapsulation == dataplane.EncapsulationUDP
	b := v.Template[:]
	if t.Local.Is4() {
		v.Carrier = bpf.LongwireCarrierCARRIER_IPV4IP
		putIPv4(b, t, udp)
		v.IpSum = sum(b[:ipv4Len])
		b = b[ipv4Len:]
		if !t.DontFragment {
			v.Flags |= bpf.LongwireTransmitFlagTRANSMIT_VARY_ID
		}
	} else {
		v.Carrier = bpf.LongwireCarrierCARRIER_IPV6IP
		putIPv6(b, t, udp)
		b = b[ipv6Len:]
	}
	l4 := b
	if udp {
		v.Carrier++
		binary.BigEndian.PutUint16(b, t.LocalPort)
		binary.BigEndian.PutUint16(b[2:], t.RemotePort)
		binary.BigEndian.PutUint16(b[udpLen:], l2tpVersion3)
		b = b[udpLen+l2tpUDPLen-l2tpIPLen:]
	}
	binary.BigEndian.PutUint32(b, uint32(t.Session))
	copy(b[l2tpIPLen:], t.Cookie.Bytes())
	if udp && t.Local.Is6() {
		// The pseudo header's addresses and protocol (RFC 8200 section 8.1); the
		// template is zero behind the sublayer.
		v.UdpSum = sum(v.Template[8:ipv6Len]) + uint32(wire16(protoUDP)) + sum(l4)
	}
	return v, nil
}

func putIPv4(b []byte, t dataplane.Transmit, udp bool) {
	b[0] = 0x45
	if t.DontFragment {
		b[6] = 0x40
	}
	b[8], b[9] = t.TTL, protocol(udp)
	copy(b[12:], t.Local.AsSlice())
	copy(b[16:], t.Remote.AsSlice())
}

func putIPv6(b []byte, t dataplane.Transmit, udp bool) {
	b[0] = 0x60
	b[6], b[7] = protocol(udp), t.TTL
	copy(b[8:], t.Local.AsSlice())
	copy(b[24:], t.Remote.AsSlice())
}

// decodeTransmit is the inverse of encodeTransmit.
func decodeTransmit(circuit uint32, v bpf.LongwireTransmit, pseudowire string) (dataplane.Transmit, error) {
	t := dataplane.Transmit{Circuit: int(circuit), Pseudowire: pseudowire, Sublayer: sublayer(v.SublayerLen)}
	b := v.Template[:]
	if v.Carrier < bpf.LongwireCarrierCARRIER_IPV6IP {
		t.Local, t.Remote = address(b[12:], false), address(b[16:], false)
		t.TTL, t.DontFragment = b[8], b[6]&0x40 != 0
		b = b[ipv4Len:]
	} else {
		t.Local, t.Remote = address(b[8:], true), address(b[24:], true)
		t.TTL = b[7]
		b = b[ipv6Len:]
	}
	if v.Carrier == bpf.LongwireCarrierCARRIER_IPV4UDP || v.Carrier == bpf.LongwireCarrierCARRIER_IPV6UDP {
		t.Encapsulation = dataplane.EncapsulationUDP
		t.LocalPort, t.RemotePort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		b = b[udpLen+l2tpUDPLen-l2tpIPLen:]
	}
	t.Session = dataplane.SessionID(binary.BigEndian.Uint32(b))
	var err error
	t.Cookie, err = dataplane.NewCookie(b[l2tpIPLen : l2tpIPLen+min(int(v.CookieLen), 8)])
	if err != nil {
		return t, fmt.Errorf("circuit %d: %w", circuit, err)
	}
	return t, nil
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

package maps

import (
	"encoding/binary"
	"fmt"

	"longwire/bpf"
	"longwire/dataplane"
)

// encodeTransmit makes the map value of one circuit's encapsulation: the outer
// header with everything that does not depend on the frame.
func encodeTransmit(t dataplane.Transmit, slot, nextHop uint32) (bpf.LongwireTransmit, error) {
	v := bpf.LongwireTransmit{
		Slot: slot, NextHop: nextHop, Circuit: uint32(t.Circuit.IfIndex), ClampMtu: t.ClampMTU,
		CookieLen: uint8(t.Cookie.Len()), SublayerLen: uint8(t.Sublayer.Len()),
		PopTags: t.Tags.Pop, DropL2cp: uint8(t.DropL2CP), Flags: transmitFlags(t),
	}
	if t.Tags.Push.Type != 0 {
		v.PushTag = wireTag(t.Tags.Push)
	}
	if t.Session == 0 {
		v.Flags |= bpf.LongwireTransmitFlagTRANSMIT_CLOSED
		return v, nil
	}
	if !t.Local.IsValid() || !t.Remote.IsValid() || t.Local.Is4() != t.Remote.Is4() {
		return v, fmt.Errorf("addresses %s and %s of %q are not of one family", t.Local, t.Remote, t.Pseudowire)
	}
	if t.Sequencing && t.Sublayer == dataplane.SublayerNone {
		return v, fmt.Errorf("sequencing of %q needs the default sublayer", t.Pseudowire)
	}
	putTemplate(&v, t)
	return v, nil
}

func transmitFlags(t dataplane.Transmit) bpf.LongwireTransmitFlag {
	var flags bpf.LongwireTransmitFlag
	for flag, on := range map[bpf.LongwireTransmitFlag]bool{
		bpf.LongwireTransmitFlagTRANSMIT_VARY_ID:       t.Local.Is4() && !t.DontFragment,
		bpf.LongwireTransmitFlagTRANSMIT_SHARED:        t.Shared,
		bpf.LongwireTransmitFlagTRANSMIT_TO_HOST:       t.ToHost,
		bpf.LongwireTransmitFlagTRANSMIT_TAGS:          t.Tags != dataplane.Imposition{},
		bpf.LongwireTransmitFlagTRANSMIT_SEQUENCED:     t.Sequencing,
		bpf.LongwireTransmitFlagTRANSMIT_COPY_DSCP:     t.CopyDSCP,
		bpf.LongwireTransmitFlagTRANSMIT_COPY_ECN:      t.CopyECN,
		bpf.LongwireTransmitFlagTRANSMIT_ENTROPY:       t.Entropy,
		bpf.LongwireTransmitFlagTRANSMIT_ZERO_CHECKSUM: t.ZeroChecksum,
		bpf.LongwireTransmitFlagTRANSMIT_KEEP_WHOLE:    t.TooBig != dataplane.TooBigFragment,
		bpf.LongwireTransmitFlagTRANSMIT_ANSWER:        t.TooBig == dataplane.TooBigAnswer,
		bpf.LongwireTransmitFlagTRANSMIT_CLAMP:         t.ClampMTU != 0,
	} {
		if on {
			flags |= flag
		}
	}
	return flags
}

// putTemplate writes the outer header and its sums.
func putTemplate(v *bpf.LongwireTransmit, t dataplane.Transmit) {
	udp := t.Encapsulation == dataplane.EncapsulationUDP
	b := v.Template[:]
	if t.Local.Is4() {
		v.Carrier = bpf.LongwireCarrierCARRIER_IPV4IP
		putIPv4(b, t, udp)
		v.IpSum = sum(b[:ipv4Len])
		b = b[ipv4Len:]
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
}

func putIPv4(b []byte, t dataplane.Transmit, udp bool) {
	b[0], b[1] = 0x45, t.DSCP<<2
	if t.DontFragment {
		b[6] = 0x40
	}
	b[8], b[9] = t.TTL, protocol(udp)
	copy(b[12:], t.Local.AsSlice())
	copy(b[16:], t.Remote.AsSlice())
}

func putIPv6(b []byte, t dataplane.Transmit, udp bool) {
	b[0], b[1] = 0x60|t.DSCP>>2, t.DSCP<<6
	b[6], b[7] = protocol(udp), t.TTL
	copy(b[8:], t.Local.AsSlice())
	copy(b[24:], t.Remote.AsSlice())
}

// decodeTransmit is the inverse of encodeTransmit.
func decodeTransmit(circuit dataplane.Circuit, v bpf.LongwireTransmit, pseudowire string) (dataplane.Transmit, error) {
	has := func(flag bpf.LongwireTransmitFlag) bool { return v.Flags&flag != 0 }
	t := dataplane.Transmit{
		Circuit: circuit, Pseudowire: pseudowire, Sublayer: sublayer(v.SublayerLen), ClampMTU: v.ClampMtu,
		Tags: dataplane.Imposition{Pop: v.PopTags, Push: tagOf(v.PushTag)}, DropL2CP: dataplane.L2CP(v.DropL2cp),
		Shared: has(bpf.LongwireTransmitFlagTRANSMIT_SHARED), ToHost: has(bpf.LongwireTransmitFlagTRANSMIT_TO_HOST),
		Sequencing: has(bpf.LongwireTransmitFlagTRANSMIT_SEQUENCED), Entropy: has(bpf.LongwireTransmitFlagTRANSMIT_ENTROPY),
		CopyDSCP: has(bpf.LongwireTransmitFlagTRANSMIT_COPY_DSCP), CopyECN: has(bpf.LongwireTransmitFlagTRANSMIT_COPY_ECN),
		ZeroChecksum: has(bpf.LongwireTransmitFlagTRANSMIT_ZERO_CHECKSUM),
	}
	switch {
	case has(bpf.LongwireTransmitFlagTRANSMIT_ANSWER):
		t.TooBig = dataplane.TooBigAnswer
	case has(bpf.LongwireTransmitFlagTRANSMIT_KEEP_WHOLE):
		t.TooBig = dataplane.TooBigDrop
	}
	var err error
	if t.Cookie, err = dataplane.NewCookie(make([]byte, min(int(v.CookieLen), 8))); err != nil || has(bpf.LongwireTransmitFlagTRANSMIT_CLOSED) {
		return t, err
	}
	b := v.Template[:]
	if v.Carrier < bpf.LongwireCarrierCARRIER_IPV6IP {
		t.Local, t.Remote = address(b[12:], false), address(b[16:], false)
		t.TTL, t.DSCP, t.DontFragment = b[8], b[1]>>2, b[6]&0x40 != 0
		b = b[ipv4Len:]
	} else {
		t.Local, t.Remote = address(b[8:], true), address(b[24:], true)
		t.TTL, t.DSCP = b[7], b[0]&15<<2|b[1]>>6
		b = b[ipv6Len:]
	}
	if v.Carrier == bpf.LongwireCarrierCARRIER_IPV4UDP || v.Carrier == bpf.LongwireCarrierCARRIER_IPV6UDP {
		t.Encapsulation = dataplane.EncapsulationUDP
		t.LocalPort, t.RemotePort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		b = b[udpLen+l2tpUDPLen-l2tpIPLen:]
	}
	t.Session = dataplane.SessionID(binary.BigEndian.Uint32(b))
	t.Cookie, err = dataplane.NewCookie(b[l2tpIPLen : l2tpIPLen+t.Cookie.Len()])
	return t, err
}

package evpn

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The administrator forms that route targets and route distinguishers share:
// the first byte of a route target (RFC 4360 section 4, RFC 5668), the type of
// a route distinguisher (RFC 4364 section 4.2).
const (
	formAS2  = 0 // 2-octet AS, 4-octet number
	formIPv4 = 1 // IPv4 address, 2-octet number
	formAS4  = 2 // 4-octet AS, 2-octet number
)

// subtypeRouteTarget is the second byte of every route target.
const subtypeRouteTarget = 0x02

// ParseRouteTarget reads "65000:1" (2-octet AS), "4200000000:1" (4-octet AS)
// or "192.0.2.1:1" (IPv4 address). An AS number below 65536 with the suffix L,
// as in "65000L:1", is written in four octets.
func ParseRouteTarget(s string) (RouteTarget, error) {
	form, value, err := parseAdministered(s)
	if err != nil {
		return RouteTarget{}, fmt.Errorf("route target %q: %w", s, err)
	}
	return RouteTarget{form, subtypeRouteTarget, value[0], value[1], value[2], value[3], value[4], value[5]}, nil
}

// IsRouteTarget reports whether the eight bytes are a route target of a known
// form, and not another extended community.
func (t RouteTarget) IsRouteTarget() bool {
	return t[0] <= formAS4 && t[1] == subtypeRouteTarget
}

// String returns the form that ParseRouteTarget reads, or the bytes in
// hexadecimal when they are no route target.
func (t RouteTarget) String() string {
	if !t.IsRouteTarget() {
		return fmt.Sprintf("%x", t[:])
	}
	return formatAdministered(t[0], [6]byte(t[2:]))
}

// NewRD1 makes a route distinguisher of type 1, the IPv4 router id and a number
// (RFC 4364 section 4.2). It panics when routerID is no IPv4 address, because a
// router id is four bytes by definition.
func NewRD1(routerID netip.Addr, n uint16) RD {
	a := routerID.As4()
	rd := RD{0, formIPv4, a[0], a[1], a[2], a[3]}
	binary.BigEndian.PutUint16(rd[6:], n)
	return rd
}

// ParseRD reads a route distinguisher in the notation of ParseRouteTarget.
func ParseRD(s string) (RD, error) {
	form, value, err := parseAdministered(s)
	if err != nil {
		return RD{}, fmt.Errorf("route distinguisher %q: %w", s, err)
	}
	return RD{0, form, value[0], value[1], value[2], value[3], value[4], value[5]}, nil
}

// String returns the form that ParseRD reads, or the bytes in hexadecimal when
// the type is unknown.
func (rd RD) String() string {
	if rd[0] != 0 || rd[1] > formAS4 {
		return fmt.Sprintf("%x", rd[:])
	}
	return formatAdministered(rd[1], [6]byte(rd[2:]))
}

// parseAdministered reads "administrator:number" into a form and its six bytes.
func parseAdministered(s string) (byte, [6]byte, error) {
	administrator, number, ok := strings.Cut(s, ":")
	if !ok || strings.Contains(number, ":") {
		return 0, [6]byte{}, fmt.Errorf("want ADMINISTRATOR:NUMBER, as in 65000:1 or 192.0.2.1:1")
	}
	if strings.Contains(administrator, ".") {
		return parseIPv4Form(administrator, number)
	}
	digits, wide := strings.CutSuffix(administrator, "L")
	as, err := parseNumber(digits, 32, "AS number")
	if err != nil {
		return 0, [6]byte{}, err
	}
	if wide || as > 0xffff {
		return parseAS4Form(as, number)
	}
	n, err := parseNumber(number, 32, "number")
	var v [6]byte
	binary.BigEndian.PutUint16(v[:], uint16(as))
	binary.BigEndian.PutUint32(v[2:], n)
	return formAS2, v, err
}

func parseIPv4Form(administrator, number string) (byte, [6]byte, error) {
	var v [6]byte
	a, err := netip.ParseAddr(administrator)
	if err != nil || !a.Is4() {
		return 0, v, fmt.Errorf("%q is no IPv4 address", administrator)
	}
	n, err := parseNumber(number, 16, "number after an IPv4 address")
	b := a.As4()
	copy(v[:], b[:])
	binary.BigEndian.PutUint16(v[4:], uint16(n))
	return formIPv4, v, err
}

func parseAS4Form(as uint32, number string) (byte, [6]byte, error) {
	var v [6]byte
	n, err := parseNumber(number, 16, "number after a 4-octet AS")
	binary.BigEndian.PutUint32(v[:], as)
	binary.BigEndian.PutUint16(v[4:], uint16(n))
	return formAS4, v, err
}

// parseNumber reads decimal digits that fit into bits.
func parseNumber(s string, bits int, what string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not between 0 and %d", what, s, uint64(1)<<bits-1)
	}
	return uint32(n), nil
}

func formatAdministered(form byte, v [6]byte) string {
	switch form {
	case formAS2:
		return fmt.Sprintf("%d:%d", binary.BigEndian.Uint16(v[:]), binary.BigEndian.Uint32(v[2:]))
	case formIPv4:
		return fmt.Sprintf("%s:%d", netip.AddrFrom4([4]byte(v[:4])), binary.BigEndian.Uint16(v[4:]))
	}
	as, suffix := binary.BigEndian.Uint32(v[:]), ""
	if as <= 0xffff {
		suffix = "L"
	}
	return fmt.Sprintf("%d%s:%d", as, suffix, binary.BigEndian.Uint16(v[4:]))
}

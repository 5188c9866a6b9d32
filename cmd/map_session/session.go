package main

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"longwire/dataplane"
)

// options are the flags of a session as they were written.
type options struct {
	local, peer, encapsulation string
	id, peerID                 string
	circuit, underlay          string
	localCookie, peerCookie    string
	sublayer                   string
}

// session is one valid session, in both directions. Its entries have no name
// yet.
type session struct {
	circuit, underlay *net.Interface
	receive           dataplane.Receive
	transmit          dataplane.Transmit
}

const (
	defaultPort = 1701 // RFC 3931 section 4.1.2
	defaultTTL  = 64
)

// session checks the flags and makes a session of them. find finds an interface
// by name or index. The error is a usageError when the flags contradict
// themselves, whatever the state of the host.
func (o options) session(find func(string) (*net.Interface, error)) (session, error) {
	var s session
	if err := o.complete(); err != nil {
		return s, err
	}
	for _, step := range []func(*session) error{o.addresses, o.ids, o.format} {
		if err := step(&s); err != nil {
			return s, err
		}
	}
	var err error
	if s.circuit, err = find(o.circuit); err != nil {
		return s, err
	}
	if s.underlay, err = find(o.underlay); err != nil {
		return s, err
	}
	if s.circuit.Index == s.underlay.Index {
		return s, usagef("-E and -D are both %s: what leaves the tunnel would enter it again", s.circuit.Name)
	}
	s.receive.Circuit, s.transmit.Circuit = s.circuit.Index, dataplane.Port(s.circuit.Index)
	return s, nil
}

// complete names every flag that is missing at once.
func (o options) complete() error {
	var missing []string
	for _, f := range []struct{ flag, value string }{
		{"-l", o.local}, {"-p", o.peer}, {"-i", o.id}, {"-I", o.peerID}, {"-E", o.circuit}, {"-D", o.underlay},
	} {
		if f.value == "" {
			missing = append(missing, f.flag)
		}
	}
	if len(missing) > 0 {
		return usagef("%s missing", strings.Join(missing, ", "))
	}
	return nil
}

// addresses sets the outer addresses, the encapsulation and its ports.
func (o options) addresses(s *session) error {
	local, err := parseEndpoint("-l", o.local)
	if err != nil {
		return err
	}
	peer, err := parseEndpoint("-p", o.peer)
	if err != nil {
		return err
	}
	switch {
	case local.Addr().Is4() != peer.Addr().Is4():
		return usagef("-l %s and -p %s are not of one family", local.Addr(), peer.Addr())
	case local.Addr() == peer.Addr():
		return usagef("-l and -p are both %s", local.Addr())
	}
	s.receive.Local, s.receive.Remote = local.Addr(), peer.Addr()
	s.transmit.Local, s.transmit.Remote = local.Addr(), peer.Addr()
	s.transmit.TTL = defaultTTL
	switch o.encapsulation {
	case "ip":
		if local.Port() != 0 || peer.Port() != 0 {
			return usagef("-x ip has no ports: leave them away or choose -x udp")
		}
		s.receive.AcceptIP = true
	case "udp":
		s.receive.AcceptUDP = true
		s.transmit.Encapsulation = dataplane.EncapsulationUDP
		s.transmit.LocalPort, s.transmit.RemotePort = portOf(local), portOf(peer)
		s.receive.LocalPort = portOf(local)
	default:
		return usagef("-x %q: choose udp or ip", o.encapsulation)
	}
	return nil
}

// ids sets the session ids.
func (o options) ids(s *session) (err error) {
	if s.receive.Session, err = parseID("-i", o.id); err != nil {
		return err
	}
	s.transmit.Session, err = parseID("-I", o.peerID)
	return err
}

// format sets what is between the session id and the frame.
func (o options) format(s *session) (err error) {
	if s.receive.Cookie, err = parseCookie("--local-cookie", o.localCookie); err != nil {
		return err
	}
	if s.transmit.Cookie, err = parseCookie("--peer-cookie", o.peerCookie); err != nil {
		return err
	}
	switch o.sublayer {
	case "none":
	case "default":
		s.receive.Sublayer, s.transmit.Sublayer = dataplane.SublayerDefault, dataplane.SublayerDefault
	default:
		return usagef("--sublayer %q: choose default or none", o.sublayer)
	}
	return nil
}

// parseEndpoint reads ADDRESS, ADDRESS:PORT, [ADDRESS] or [ADDRESS]:PORT. The
// port is 0 where there is none.
func parseEndpoint(flag, text string) (netip.AddrPort, error) {
	bad := func(why string) (netip.AddrPort, error) {
		return netip.AddrPort{}, usagef("%s %q: %s", flag, text, why)
	}
	ep, err := netip.ParseAddrPort(text)
	if err == nil && ep.Port() == 0 {
		return bad("a port is from 1 to 65535")
	}
	if err != nil {
		bare := text
		if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") && strings.Contains(inner, ":") {
			bare = strings.TrimSuffix(inner, "]")
		}
		addr, err := netip.ParseAddr(bare)
		if err != nil {
			return bad("give ADDRESS or ADDRESS:PORT, with an IPv6 address as [ADDRESS]:PORT")
		}
		ep = netip.AddrPortFrom(addr, 0)
	}
	switch a := ep.Addr(); {
	case a.Is4In6():
		return bad("write " + a.Unmap().String())
	case a.Zone() != "":
		return bad("an address without zone is needed")
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return bad("a unicast address that a host of the network has is needed")
	}
	return ep, nil
}

func portOf(ep netip.AddrPort) uint16 {
	if ep.Port() == 0 {
		return defaultPort
	}
	return ep.Port()
}

// parseID reads a session id, decimal or with 0x hexadecimal.
func parseID(flag, text string) (dataplane.SessionID, error) {
	base, digits := 10, text
	if hexadecimal, ok := strings.CutPrefix(text, "0x"); ok {
		base, digits = 16, hexadecimal
	}
	id, err := strconv.ParseUint(digits, base, 32)
	if err != nil || id == 0 {
		return 0, usagef("%s %q: a session id is a number from 1 to 4294967295", flag, text)
	}
	return dataplane.SessionID(id), nil
}

// parseCookie reads a cookie in wire order; "" is none.
func parseCookie(flag, text string) (dataplane.Cookie, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return dataplane.Cookie{}, usagef("%s: a cookie is written in hexadecimal digits, two for each byte", flag)
	}
	cookie, err := dataplane.NewCookie(b)
	if err != nil {
		return cookie, usagef("%s: %w", flag, err)
	}
	return cookie, nil
}

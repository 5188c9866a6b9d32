package config

import (
	"fmt"
	"net/netip"
	"slices"

	"longwire/dataplane"
	"longwire/evpn"
)

// conflicts notes what two parts of the file claim both. Each error stands at
// the later line and names the earlier one.
func (r resolver) conflicts(raw *rawFile, cfg *Config) {
	names := claims[string]{r, "name", map[string]place{}}
	circuits := circuitClaims{r, map[string]*portClaims{}}
	sessions := claims[dataplane.SessionID]{r, "local session id", map[dataplane.SessionID]place{}}
	services := serviceClaims{resolver: r}
	for i, pw := range cfg.Pseudowires {
		rawPW := &raw.Pseudowires[i]
		names.claim(pw.Name, rawPW.Name.place)
		circuits.claim(pw, rawPW)
		if pw.EVPN != nil {
			services.claim(pw.EVPN, rawPW.EVPN)
		}
		if pw.Static != nil {
			sessions.claim(pw.Static.LocalSession, rawPW.Static.LocalSession.place)
			r.ownRemote(pw.Static.Remote, rawPW.Static.Remote, raw.Router, cfg.Router)
		}
	}
	r.vlanRoom(raw, cfg)
	r.underlayCircuits(raw, cfg)
	r.xdpInterfaces(raw, cfg)
}

// claims notes the second owner of something.
type claims[T comparable] struct {
	resolver
	what   string
	owners map[T]place
}

func (c claims[T]) claim(value T, at place) {
	var zero T
	if value == zero {
		return
	}
	if first, taken := c.owners[value]; taken {
		c.add(at, fmt.Sprintf("%s %v is already used on line %d", c.what, value, first.Line), "choose another one")
		return
	}
	c.owners[value] = at
}

// serviceClaims finds two pseudowires that would announce the same route, or
// whose far ends could not tell one from the other.
type serviceClaims struct {
	resolver
	owners []serviceOwner
}

type serviceOwner struct {
	*EVPN
	line int
}

func (c *serviceClaims) claim(e *EVPN, raw *rawEVPN) {
	at := raw.LocalService.place
	if e.LocalService == 0 || len(e.RouteTargets) == 0 {
		return
	}
	for _, o := range c.owners {
		if o.LocalService != e.LocalService {
			continue
		}
		shared := slices.ContainsFunc(e.RouteTargets, func(rt evpn.RouteTarget) bool { return slices.Contains(o.RouteTargets, rt) })
		switch {
		case shared:
			c.add(at, fmt.Sprintf("service %d is already used with this route target on line %d", e.LocalService, o.line), "choose another service id")
			return
		case o.RD == e.RD && e.RD != evpn.RD{}:
			c.add(at, fmt.Sprintf("service %d is already used with the route distinguisher %s on line %d", e.LocalService, e.RD, o.line), "choose another service id or give evpn.rd")
			return
		}
	}
	c.owners = append(c.owners, serviceOwner{e, at.Line})
}

// ownRemote refuses a far end that is ourselves: the packets would loop.
func (r resolver) ownRemote(remote netip.Addr, raw scalar, rawRouter *rawRouter, router Router) {
	if !remote.IsValid() || !slices.Contains(router.Sources, remote) {
		return
	}
	r.add(raw.place, fmt.Sprintf("%s is our own address, given as router.source on line %d", remote, sourceLine(rawRouter, remote)), "give the far end's address")
}

func sourceLine(raw *rawRouter, a netip.Addr) int {
	for _, s := range raw.Source {
		if given, err := netip.ParseAddr(s.text); err == nil && given == a {
			return s.Line
		}
	}
	return raw.Line
}

// underlayCircuits refuses an underlay interface that is a circuit: what leaves
// the tunnel would enter it again.
func (r resolver) underlayCircuits(raw *rawFile, cfg *Config) {
	for i, pw := range cfg.Pseudowires {
		for _, s := range raw.Underlay {
			if pw.Interface != "" && s.text == pw.Interface && slices.Contains(cfg.Underlay.Interfaces, pw.Interface) {
				r.add(raw.Pseudowires[i].Interface.place, fmt.Sprintf("%s is also an underlay interface on line %d", pw.Interface, s.Line), "remove one of them")
			}
		}
	}
}

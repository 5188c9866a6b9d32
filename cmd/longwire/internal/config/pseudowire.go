package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"longwire/evpn"
)

// The defaults of a pseudowire.
const (
	defaultPort  = 1701
	defaultTTL   = 64
	defaultAfter = 5 * time.Second
	maxMTU       = 65535
	minMTU       = 68 // the least that IPv4 forwards (RFC 791)
)

func (r resolver) pseudowire(raw *rawPseudowire, router Router) Pseudowire {
	pw := Pseudowire{
		Name:         r.name(raw.Name),
		Interface:    r.iface(raw.Interface),
		Port:         uint16(r.number(raw.Port, 1, 65535, defaultPort)),
		CookieLength: r.cookieLength(raw.Cookie),
		MTU:          uint16(r.number(raw.MTU, minMTU, maxMTU, 0)),
		IgnoreMTU:    r.choice(raw.MTUCheck, "strict", "ignore") == "ignore",
	}
	if !raw.Name.present() {
		r.missing(raw.place, "name", "give the pseudowire a name")
	}
	if !raw.Interface.present() {
		r.missing(raw.place, "interface", "name the attachment circuit")
	}
	vlans, known := r.vlans(raw)
	pw.VLANs = vlans
	pw.Tags = r.tags(raw, vlans, known)
	pw.DropL2CP = r.l2cp(raw)
	r.policy(raw, &pw)
	if raw.EVPN == nil && raw.Static == nil {
		r.add(raw.place, "has neither evpn nor static", "add one or both: they say how the far end is known")
	}
	pw.EVPN = r.evpn(raw.EVPN, router)
	pw.Static = r.static(raw, &pw)
	pw.Source = r.source(raw, &pw, router)
	return pw
}

func (r resolver) cookieLength(s scalar) int {
	n := r.number(s, 0, 8, 8)
	if n != 0 && n != 4 && n != 8 {
		r.bad(s, "a cookie length", "write 0, 4 or 8 bytes")
	}
	return int(n)
}

// source picks our outer address: the given one, else the first of the family
// of the static remote, else the first.
func (r resolver) source(raw *rawPseudowire, pw *Pseudowire, router Router) netip.Addr {
	var remote netip.Addr
	if pw.Static != nil {
		remote = pw.Static.Remote
	}
	fits := func(a netip.Addr) bool { return !remote.IsValid() || a.Is4() == remote.Is4() }
	if raw.Source.present() {
		source := r.address(raw.Source)
		switch {
		case !source.IsValid():
		case !slices.Contains(router.Sources, source):
			r.add(raw.Source.place, fmt.Sprintf("%s is not in router.source", source), "add it there or choose one of them")
		case !fits(source):
			r.add(raw.Static.Remote.place, fmt.Sprintf("%s is not of the family of source %s on line %d", remote, source, raw.Source.Line), "use addresses of one family")
		}
		return source
	}
	if i := slices.IndexFunc(router.Sources, fits); i >= 0 {
		return router.Sources[i]
	}
	if len(router.Sources) > 0 {
		r.add(raw.Static.Remote.place, fmt.Sprintf("router.source has no address of the family of %s", remote), "add one there")
	}
	return netip.Addr{}
}

func (r resolver) evpn(raw *rawEVPN, router Router) *EVPN {
	if raw == nil {
		return nil
	}
	e := &EVPN{LocalService: r.service(raw, raw.LocalService, "local_service"), RemoteService: r.service(raw, raw.RemoteService, "remote_service")}
	if len(raw.RouteTarget) == 0 {
		r.missing(raw.place, "route_target", `give the route target of the service, such as "65000:1"`)
	}
	for _, s := range raw.RouteTarget {
		rt, ok := r.routeTarget(s)
		if ok && slices.Contains(e.RouteTargets, rt) {
			r.add(s.place, fmt.Sprintf("%s is given twice", rt), "keep one of them")
		} else if ok {
			e.RouteTargets = append(e.RouteTargets, rt)
		}
	}
	switch {
	case raw.RD.present():
		e.RD = r.routeDistinguisher(raw.RD)
	case len(e.RouteTargets) > 0 && router.ID.Is4():
		e.RD = defaultRD(router.ID, e.RouteTargets[0])
	}
	return e
}

// service parses a VPWS service instance id. Zero is the Ethernet Tag of a
// route that names no service, and MAX-ET that of a per-ES route.
func (r resolver) service(raw *rawEVPN, s scalar, key string) evpn.ServiceID {
	if !s.present() {
		r.missing(raw.place, key, "give the VPWS service instance id (RFC 8214)")
	}
	return evpn.ServiceID(r.number(s, 1, uint64(evpn.ReservedTag)-1, 0))
}

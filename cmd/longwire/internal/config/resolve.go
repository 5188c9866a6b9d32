package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"
)

// The defaults of DESIGN and of the RFCs.
const (
	defaultCapacity      = 16384
	maxCapacity          = 1 << 22
	defaultRestartTime   = 120 * time.Second
	defaultSelectionTime = 60 * time.Second
	defaultStaleTime     = 120 * time.Second
	defaultPins          = "/sys/fs/bpf/longwire"
	defaultRuntime       = "/run/longwire"
	socketName           = "longwire.sock"
)

// DefaultSocket is where the agent listens unless state.socket says otherwise.
const DefaultSocket = defaultRuntime + "/" + socketName

// DefaultFile is the configuration that verbs read unless told otherwise.
const DefaultFile = "/etc/longwire/longwire.yaml"

// file turns a raw file into a configuration, valid if nothing was noted.
func (r resolver) file(raw *rawFile, secret func(string) (string, error)) *Config {
	cfg := &Config{}
	cfg.Router = r.router(raw)
	cfg.Underlay = r.underlay(raw.Underlay)
	cfg.BGP = r.bgp(raw.BGP, cfg.Router, secret)
	cfg.Dataplane = r.dataplane(raw.Dataplane)
	cfg.State = r.state(raw.State)
	cfg.Metrics = r.metrics(raw.Metrics)
	for i := range raw.Pseudowires {
		cfg.Pseudowires = append(cfg.Pseudowires, r.pseudowire(&raw.Pseudowires[i], cfg.Router))
	}
	r.bgpNeeded(raw, cfg)
	r.conflicts(raw, cfg)
	return cfg
}

func (r resolver) router(raw *rawFile) Router {
	if raw.Router == nil {
		r.missing(raw.place, "router", "give at least router.source, our tunnel source address")
		return Router{}
	}
	rr := raw.Router
	router := Router{ID: r.address(rr.ID), ASN: r.asn(rr.ASN)}
	if router.ID.IsValid() && !router.ID.Is4() {
		r.bad(rr.ID, "a BGP identifier", "write an IPv4 address")
	}
	if len(rr.Source) == 0 {
		r.missing(rr.place, "source", "give our tunnel source address")
	}
	for _, s := range rr.Source {
		a := r.address(s)
		if a.IsValid() && slices.Contains(router.Sources, a) {
			r.add(s.place, fmt.Sprintf("%s is given twice", a), "keep one of them")
		} else if a.IsValid() && a.IsLoopback() {
			r.bad(s, "an address that other routers can reach", "")
		} else if a.IsValid() {
			router.Sources = append(router.Sources, a)
		}
	}
	return router
}

// asn parses an AS number and refuses the reserved ones (RFC 7607, RFC 6793,
// RFC 7300).
func (r resolver) asn(s scalar) uint32 {
	asn := uint32(r.number(s, 1, 1<<32-2, 0))
	if asn == 23456 || asn == 65535 {
		r.bad(s, "usable as an AS number", "it is reserved")
	}
	return asn
}

// DefaultState is the state of a configuration that says nothing about it.
func DefaultState() State { return resolver{&report{}}.state(nil) }

// maxSocketPath is sun_path without its terminating zero.
const maxSocketPath = 107

func (r resolver) state(raw *rawState) State {
	if raw == nil {
		raw = &rawState{}
	}
	s := State{Runtime: r.path(raw.Runtime, defaultRuntime), Pins: r.path(raw.Pins, defaultPins)}
	s.Socket = r.path(raw.Socket, filepath.Join(s.Runtime, socketName))
	if len(s.Socket) > maxSocketPath {
		at := raw.Socket.place
		if !at.present() {
			at = raw.Runtime.place
		}
		r.add(at, fmt.Sprintf("the socket path %s is longer than %d bytes", quote(s.Socket), maxSocketPath), "choose a shorter one")
	}
	return s
}

func (r resolver) metrics(raw *rawMetrics) Metrics {
	if raw == nil || !raw.Listen.present() {
		return Metrics{}
	}
	at, err := netip.ParseAddrPort(raw.Listen.text)
	if err != nil {
		r.bad(raw.Listen, "an address with a port", "write one such as 127.0.0.1:9550 or [::1]:9550")
	}
	return Metrics{Listen: at}
}

// bgpNeeded checks that a signalled pseudowire has what BGP needs.
func (r resolver) bgpNeeded(raw *rawFile, cfg *Config) {
	signalled := slices.IndexFunc(cfg.Pseudowires, func(pw Pseudowire) bool { return pw.EVPN != nil })
	if signalled >= 0 && !cfg.BGP.Enabled() && (raw.BGP == nil || len(raw.BGP.Neighbors) == 0) {
		r.add(raw.Pseudowires[signalled].EVPN.place, "there is nobody to announce it to", "add bgp.neighbors, or use static alone")
	}
	if raw.Router == nil || signalled < 0 && !cfg.BGP.Enabled() {
		return
	}
	if !raw.Router.ID.present() {
		r.missing(raw.Router.place, "id", "BGP needs a router id, usually the IPv4 address of the loopback")
	}
	if !raw.Router.ASN.present() {
		r.missing(raw.Router.place, "asn", "BGP needs our AS number")
	}
}

package config

import (
	"fmt"

	"longwire/dataplane"
)

// circuitClaims finds two pseudowires that would have the same frames of a port.
// Circuits of which one says more about a frame than the other go together: it
// has the frame.
type circuitClaims struct {
	resolver
	ports map[string]*portClaims // by interface
}

type portClaims struct {
	whole place      // absent while the port as such is free
	outer []vidClaim // by one tag
	inner map[dataplane.VLANs]place
}

func (c circuitClaims) claim(pw Pseudowire, raw *rawPseudowire) {
	if pw.Interface == "" {
		return
	}
	port := c.ports[pw.Interface]
	if port == nil {
		port = &portClaims{inner: map[dataplane.VLANs]place{}}
		c.ports[pw.Interface] = port
	}
	switch {
	case raw.VLANs != nil:
		c.inner(port, pw, raw)
	case len(raw.VLAN) > 0:
		c.outer(port, pw, raw)
	case !c.faulty(join(raw.Key, "vlan")) && !c.faulty(join(raw.Key, "vlans")):
		c.whole(port, pw, raw)
	}
}

func (c circuitClaims) whole(port *portClaims, pw Pseudowire, raw *rawPseudowire) {
	at := raw.Interface.place
	if port.whole.present() {
		c.add(at, fmt.Sprintf("interface %s is already used on line %d", pw.Interface, port.whole.Line), "choose another one, or its VLANs with vlan")
		return
	}
	port.whole = at
}

func (c circuitClaims) outer(port *portClaims, pw Pseudowire, raw *rawPseudowire) {
	for _, s := range raw.VLAN {
		if c.faulty(s.Key) {
			continue
		}
		v, _ := parseVIDs(s.text)
		if other, vid, taken := overlap(port.outer, v); taken {
			c.taken(s.place, pw.Interface, dataplane.VLANs{Outer: single(vid)}, other.place)
			continue
		}
		port.outer = append(port.outer, vidClaim{v, s.place})
	}
}

func (c circuitClaims) inner(port *portClaims, pw Pseudowire, raw *rawPseudowire) {
	if pw.VLANs.Inner == 0 {
		return
	}
	if other, taken := port.inner[pw.VLANs]; taken {
		c.taken(raw.VLANs.place, pw.Interface, pw.VLANs, other)
		return
	}
	port.inner[pw.VLANs] = raw.VLANs.place
}

func (c circuitClaims) taken(at place, iface string, vlans dataplane.VLANs, other place) {
	c.add(at, fmt.Sprintf("interface %s vlan %v is already used on line %d", iface, vlans, other.Line), "choose another one")
}

// vlanRoom checks that the maps hold every VLAN id of every circuit: as many as
// sessions, and at the least those of one port.
func (r resolver) vlanRoom(raw *rawFile, cfg *Config) {
	room, total := max(int(cfg.Dataplane.Capacity), dataplane.MaxVID+1), 0
	for i, pw := range cfg.Pseudowires {
		for range pw.VLANs.Outer.All() {
			total++
		}
		if total <= room {
			continue
		}
		at, given := raw.Pseudowires[i].selection(), ""
		if raw.Dataplane != nil && raw.Dataplane.Capacity.present() {
			given = fmt.Sprintf(" on line %d", raw.Dataplane.Capacity.Line)
		}
		at.Key = join(raw.Pseudowires[i].Key, at.Key)
		r.add(at, fmt.Sprintf("with these more than %d VLAN ids are selected, the room that dataplane.capacity%s gives", room, given),
			"raise it, or select fewer")
		return
	}
}

// xdpInterfaces refuses XDP where it would have nothing to do.
func (r resolver) xdpInterfaces(raw *rawFile, cfg *Config) {
	if len(cfg.Dataplane.XDP.Interfaces) == 0 || len(cfg.Underlay.Interfaces) == 0 {
		return // with underlay: auto any interface may be one
	}
	used := map[string]bool{}
	for _, name := range cfg.Underlay.Interfaces {
		used[name] = true
	}
	for _, pw := range cfg.Pseudowires {
		used[pw.Interface] = true
	}
	for _, s := range raw.Dataplane.XDP {
		if !used[s.text] && !r.faulty(s.Key) {
			r.add(s.place, fmt.Sprintf("%s is neither a circuit nor in underlay on line %d", s.text, raw.Underlay[0].Line), "remove it or add it there")
		}
	}
}

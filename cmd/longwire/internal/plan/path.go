package plan

import (
	"fmt"
	"net/netip"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// Path is what the way to a far end carries, in bytes. The zero value means
// that there is no far end.
type Path struct {
	UnderlayMTU int // of IP; 0 = the way is not known
	MaxPayload  int // largest Ethernet payload of the circuit that crosses whole; 0 = not known
	NeedMTU     int // of IP, that the circuit's largest payload needs; 0 = not known
	Need1500    int // of IP, that a payload of 1500 bytes needs
	TooBig      dataplane.TooBig
}

// way is the way to a far end, with what follows from it.
type way struct {
	Path
	clamp uint16 // bound of TCP segments, as an IP packet; 0 = none
	loop  bool   // it leads into a circuit
}

// way looks at the way to a far end, as far as it is known.
func (r *resolution) way(pw config.Pseudowire, link Link, far farEnd) way {
	if !far.known() {
		return way{}
	}
	header := dataplane.Header{
		Family: dataplane.FamilyOf(far.remote), Encapsulation: far.encapsulation,
		CookieLen: far.cookie.Len(), Sublayer: pw.Sublayer, Tags: Crossing(pw),
	}
	flow := dataplane.Flow{Local: pw.Source, Remote: far.remote}
	w := way{Path: Path{Need1500: header.NeedMTU(1500), TooBig: pw.TooBig}}
	// The bound in use stays while the way is not known, so that a restart
	// changes nothing.
	w.clamp = clamp(pw, int(r.clamped[clampKey{pw.Name, flow}]))
	if mtu := int(mtuOf(pw, link)); mtu != 0 {
		w.NeedMTU = header.NeedMTU(mtu)
	}
	hop, known := r.in.NextHops[flow]
	w.loop = known && r.ports[hop.IfIndex]
	if known && hop.MTU > 0 {
		w.UnderlayMTU, w.MaxPayload = hop.MTU, header.MaxPayload(hop.MTU)
		w.clamp = clamp(pw, min(w.MaxPayload, link.MTU))
	}
	return w
}

// clamped are the bounds that the kernel has, by pseudowire and way.
func clamped(actual dataplane.State) map[clampKey]uint16 {
	bounds := map[clampKey]uint16{}
	note := func(pseudowire string, local, remote netip.Addr, mtu uint16) {
		key := clampKey{pseudowire, dataplane.Flow{Local: local, Remote: remote}}
		bounds[key] = max(bounds[key], mtu)
	}
	for _, t := range actual.Transmit {
		note(t.Pseudowire, t.Local, t.Remote, t.ClampMTU)
	}
	for _, w := range actual.Receive {
		note(w.Pseudowire, w.Local, w.Remote, w.ClampMTU)
	}
	return bounds
}

type clampKey struct {
	pseudowire string
	flow       dataplane.Flow
}

func clamp(pw config.Pseudowire, mtu int) uint16 {
	if !pw.ClampMSS {
		return 0
	}
	return uint16(min(mtu, 0xffff))
}

// remark says what becomes of full frames when the underlay cannot carry them.
func (p Path) remark() (string, bool) {
	if p.UnderlayMTU == 0 || p.NeedMTU <= p.UnderlayMTU {
		return "", false
	}
	fate := map[dataplane.TooBig]string{
		dataplane.TooBigFragment: "fragmented",
		dataplane.TooBigDrop:     "dropped",
		dataplane.TooBigAnswer:   "dropped, and their sender is told",
	}[p.TooBig]
	return fmt.Sprintf("underlay MTU %d is less than the %d that full frames need: payloads above %d bytes are %s",
		p.UnderlayMTU, p.NeedMTU, p.MaxPayload, fate), true
}

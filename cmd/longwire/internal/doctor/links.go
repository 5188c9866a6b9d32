package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"longwire/cmd/longwire/internal/config"
	"longwire/cmd/longwire/internal/plan"
	"longwire/dataplane"
)

// circuits looks for the interfaces of the pseudowires; one that is absent may
// come later.
func (h *host) circuits() finding {
	var wrong []string
	told := map[string]bool{}
	for _, pw := range h.cfg.Pseudowires {
		if told[pw.Interface] {
			continue
		}
		told[pw.Interface] = true
		i, err := net.InterfaceByName(pw.Interface)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s does not exist", pw.Interface))
		case i.Flags&net.FlagUp == 0:
			wrong = append(wrong, fmt.Sprintf("%s is down", pw.Interface))
		case i.Flags&net.FlagRunning == 0:
			wrong = append(wrong, fmt.Sprintf("%s has no carrier", pw.Interface))
		}
	}
	return degraded(wrong)
}

// underlays are the names of the interfaces by which packets of far ends come: those
// that are configured, else those with an address that is known beyond the link.
func (h *host) underlays() []string {
	if !h.cfg.Underlay.Auto {
		return h.cfg.Underlay.Interfaces
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range interfaces {
		circuit := slices.ContainsFunc(h.cfg.Pseudowires, func(pw config.Pseudowire) bool { return pw.Interface == i.Name })
		if !circuit && i.Flags&net.FlagLoopback == 0 && !strings.HasPrefix(i.Name, config.HelperPrefix) && reachable(i) {
			names = append(names, i.Name)
		}
	}
	return names
}

func reachable(i net.Interface) bool {
	addresses, err := i.Addrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, ok := a.(*net.IPNet)
		return ok && prefix.IP.IsGlobalUnicast()
	})
}

// shown is how many pseudowires a check names.
const shown = 3

// underlayMTU compares what each pseudowire needs with what its way carries.
func (h *host) underlayMTU() finding {
	var wrong []string
	for _, pw := range h.cfg.Pseudowires {
		way, carries := h.carries(pw)
		payload, outer := h.payload(pw), header(pw)
		if carries == 0 || outer.NeedMTU(payload) <= carries {
			continue
		}
		fate := "dropped"
		if pw.TooBig == dataplane.TooBigFragment {
			fate = "fragmented"
		}
		wrong = append(wrong, fmt.Sprintf("%s: %s carries %d bytes of IP, and frames of %d bytes of payload need %d; beyond %d they are %s",
			pw.Name, way, carries, payload, outer.NeedMTU(payload), outer.MaxPayload(carries), fate))
	}
	if more := len(wrong) - shown; more > 0 {
		wrong = append(wrong[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return degraded(wrong)
}

// payload is the largest Ethernet payload of a circuit in bytes.
func (h *host) payload(pw config.Pseudowire) int {
	if pw.MTU > 0 {
		return int(pw.MTU)
	}
	if i, err := net.InterfaceByName(pw.Interface); err == nil {
		return i.MTU
	}
	const usual = 1500
	return usual
}

// header is what the outer packet has before the payload. A signalled far end chooses
// the cookie that we send; ours has the length that it will most likely have.
func header(pw config.Pseudowire) dataplane.Header {
	cookie := pw.CookieLength
	if pw.EVPN == nil && pw.Static != nil {
		cookie = pw.Static.RemoteCookie.Len()
	}
	return dataplane.Header{
		Family: dataplane.FamilyOf(pw.Source), Encapsulation: pw.Encapsulation, CookieLen: cookie,
		Sublayer: pw.Sublayer, Tags: plan.Crossing(pw),
	}
}

// carries is the way to the far end and its MTU in bytes of IP: by the route if the far
// end is known, else the underlay interface that carries the least; 0 when there is
// none.
func (h *host) carries(pw config.Pseudowire) (way string, mtu int) {
	if pw.Static != nil {
		if name, mtu, err := routeMTU(pw.Static.Remote); err == nil {
			return fmt.Sprintf("the way to %s by %s", pw.Static.Remote, name), mtu
		}
		return "", 0
	}
	for _, name := range h.underlays() {
		if i, err := net.InterfaceByName(name); err == nil && (mtu == 0 || i.MTU < mtu) {
			way, mtu = name, i.MTU
		}
	}
	return way, mtu
}

// routeMTU asks the kernel for the way to an address.
func routeMTU(to netip.Addr) (device string, mtu int, err error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return "", 0, fmt.Errorf("find a route to %s: %w", to, errors.Join(err, unix.ENETUNREACH))
	}
	i, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", 0, fmt.Errorf("find interface %d: %w", routes[0].LinkIndex, err)
	}
	if routes[0].MTU > 0 {
		return i.Name, min(i.MTU, routes[0].MTU), nil
	}
	return i.Name, i.MTU, nil
}

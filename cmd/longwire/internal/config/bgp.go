package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The limits of the BGP timers. A peer keeps our routes for restart_time at
// most 4095 s (RFC 4724 section 3), and GoBGP holds a lost session idle for 5 s
// before it comes back, so less than 30 s is no use.
const (
	minRestartTime = 30 * time.Second
	maxRestartTime = 4095 * time.Second
	defaultHold    = 90 * time.Second
	defaultBGPPort = 179
)

func (r resolver) bgp(raw *rawBGP, router Router, secret func(string) (string, error)) BGP {
	if raw == nil {
		raw = &rawBGP{}
	}
	b := BGP{
		Gobgpd:        r.gobgpd(raw),
		ListenPort:    r.listen(raw.Listen),
		RestartTime:   r.duration(raw.RestartTime, minRestartTime, maxRestartTime, defaultRestartTime),
		SelectionTime: r.duration(raw.SelectionTime, time.Second, time.Hour, defaultSelectionTime),
		StaleTime:     r.duration(raw.StaleTime, 0, 24*time.Hour, defaultStaleTime),
	}
	for _, s := range raw.ListenAddress {
		if a := r.listenAddress(s); a.IsValid() {
			b.ListenAddresses = append(b.ListenAddresses, a)
		}
	}
	if b.ListenPort == -1 && len(raw.ListenAddress) > 0 {
		r.add(raw.ListenAddress[0].place, fmt.Sprintf("conflicts with listen: none on line %d", raw.Listen.Line), "remove one of them")
	}
	for i := range raw.Neighbors {
		b.Neighbors = append(b.Neighbors, r.neighbor(&raw.Neighbors[i], raw, router, secret))
	}
	r.neighborConflicts(raw, b.Neighbors)
	return b
}

func (r resolver) gobgpd(raw *rawBGP) string {
	s := raw.Gobgpd
	if !s.present() {
		return ""
	}
	path, unix := strings.CutPrefix(s.text, "unix://")
	_, err := netip.ParseAddrPort(s.text)
	if unix && !filepath.IsAbs(path) || !unix && err != nil {
		r.bad(s, "the API of a gobgpd", "write unix:///path/of/socket or address:port")
	}
	if len(raw.Neighbors) > 0 {
		r.add(s.place, fmt.Sprintf("conflicts with neighbors on line %d: an operator's gobgpd has its own", raw.Neighbors[0].Line), "remove one of them")
	}
	return s.text
}

// listen parses the port, or none.
func (r resolver) listen(s scalar) int32 {
	if s.text == "none" {
		return -1
	}
	return int32(r.number(s, 1, 65535, defaultBGPPort))
}

// listenAddress is an address that may be 0.0.0.0 or ::.
func (r resolver) listenAddress(s scalar) netip.Addr {
	if a, err := netip.ParseAddr(s.text); err == nil && a.IsUnspecified() {
		return a
	}
	return r.address(s)
}

func (r resolver) neighbor(raw *rawNeighbor, bgp *rawBGP, router Router, secret func(string) (string, error)) Neighbor {
	n := Neighbor{
		Address:      r.address(raw.Address),
		LocalAddress: r.address(raw.LocalAddress),
		ASN:          r.asn(raw.ASN),
		Port:         uint16(r.number(raw.Port, 1, 65535, defaultBGPPort)),
		Passive:      r.boolean(raw.Passive),
		Multihop:     uint8(r.number(raw.Multihop, 1, 255, 0)),
		TTLSecurity:  uint8(r.number(raw.TTLSecurity, 1, 254, 0)),
		HoldTime:     r.duration(raw.HoldTime, 3*time.Second, 65535*time.Second, defaultHold),
	}
	if !raw.Address.present() {
		r.missing(raw.place, "address", "give the neighbour's address")
	}
	if !raw.ASN.present() {
		r.missing(raw.place, "asn", "give the neighbour's AS number")
	}
	if n.LocalAddress.IsValid() && n.Address.IsValid() && n.LocalAddress.Is4() != n.Address.Is4() {
		r.add(raw.LocalAddress.place, fmt.Sprintf("%s is not of the family of address %s", n.LocalAddress, n.Address), "")
	}
	if n.Multihop > 0 && n.ASN == router.ASN {
		r.add(raw.Multihop.place, "is for eBGP, and this neighbour has our own AS number", "remove it: iBGP always works over several hops")
	}
	if n.Multihop > 0 && n.TTLSecurity > 0 {
		r.add(raw.TTLSecurity.place, fmt.Sprintf("conflicts with multihop on line %d", raw.Multihop.Line), "remove one of them")
	}
	if n.Passive && bgp.Listen.text == "none" {
		r.add(raw.Passive.place, fmt.Sprintf("conflicts with listen: none on line %d: nobody could connect", bgp.Listen.Line), "remove one of them")
	}
	if slices.Contains(router.Sources, n.Address) {
		r.add(raw.Address.place, fmt.Sprintf("%s is our own address, given in router.source", n.Address), "give the neighbour's address")
	}
	n.Password = r.password(raw.PasswordFile, secret)
	return n
}

func (r resolver) password(s scalar, secret func(string) (string, error)) string {
	path := r.path(s, "")
	if path == "" {
		return ""
	}
	password, err := secret(path)
	if err != nil {
		r.add(s.place, fmt.Sprintf("%s: %v", path, err), "")
	}
	return password
}

// neighborConflicts notes an address that two neighbours have.
func (r resolver) neighborConflicts(raw *rawBGP, neighbors []Neighbor) {
	first := map[netip.Addr]int{}
	for i, n := range neighbors {
		at := raw.Neighbors[i].Address.place
		if line, twice := first[n.Address]; twice && n.Address.IsValid() {
			r.add(at, fmt.Sprintf("%s is already the neighbour on line %d", n.Address, line), "keep one of them")
			continue
		}
		first[n.Address] = at.Line
	}
}

package exabgp

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Config is the configuration of an ExaBGP with one neighbour.
type Config struct {
	Local, Neighbor       netip.Addr
	LocalASN, NeighborASN uint32
	Family                string // as ExaBGP words it; "" = "l2vpn evpn"
	Password              string // TCP-MD5 (RFC 2385); "" = none
	Routes                []Route
}

// Route is one Ethernet A-D route (RFC 7432 section 7.1) with its attributes.
type Route struct {
	RD      string // "192.0.2.2:1"
	ESI     [10]byte
	Tag     uint32 // Ethernet Tag
	Label   uint32 // 20 bits; ExaBGP sets the bottom-of-stack bit behind them
	NextHop netip.Addr
	// Communities are extended communities, as ExaBGP words them: 16 hexadecimal
	// digits behind 0x, or "target:65000:1".
	Communities []string
	// Tunnel is the value of the Tunnel Encapsulation attribute (RFC 9012) in
	// hexadecimal, in which blanks are ignored; "" = without that attribute.
	Tunnel     string
	Preference uint32 // LOCAL_PREF; 0 = 100
	// More are further attributes in ExaBGP's words.
	More string
}

// text is the configuration file; what is received goes through the program
// receiver into output, as JSON.
func (c Config) text(receiver, output string) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	add("process decode {\n  run %s %s %s;\n  encoder json;\n}", python, receiver, output)
	add("neighbor %s {", c.Neighbor)
	add("  router-id %s;\n  local-address %s;", c.Local, c.Local)
	add("  local-as %d;\n  peer-as %d;\n  hold-time 30;\n  group-updates false;", c.LocalASN, c.NeighborASN)
	if c.Password != "" {
		add("  md5-password '%s';", c.Password)
	}
	family := c.Family
	if family == "" {
		family = "l2vpn evpn"
	}
	add("  family { %s; }", family)
	add("  api { processes [ decode ]; receive { parsed; update; } }")
	add("  l2vpn {")
	for _, r := range c.Routes {
		add("    %s;", r.text())
	}
	add("  }\n}")
	return b.String()
}

func (r Route) text() string {
	preference := cmp.Or(r.Preference, 100)
	words := []string{fmt.Sprintf("ethernet-ad rd %s esi %x tag %d label %d next-hop %s", r.RD, r.ESI, r.Tag, r.Label, r.NextHop),
		fmt.Sprintf("origin igp local-preference %d", preference)}
	if len(r.Communities) > 0 {
		words = append(words, "extended-community [ "+strings.Join(r.Communities, " ")+" ]")
	}
	if r.Tunnel != "" {
		words = append(words, "attribute [ 0x17 0xc0 0x"+strings.ReplaceAll(r.Tunnel, " ", "")+" ]")
	}
	if r.More != "" {
		words = append(words, r.More)
	}
	return strings.Join(words, " ")
}

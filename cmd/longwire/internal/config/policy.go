package config

import (
	"fmt"
	"strconv"

	"longwire/dataplane"
)

// maxDSCP is the last code point of six bits.
const maxDSCP = 63

// policy resolves how the packets of a pseudowire look and are treated on the
// way, apart from their tags.
func (r resolver) policy(raw *rawPseudowire, pw *Pseudowire) {
	pw.TTL = uint8(r.number(raw.TTL, 1, 255, defaultTTL))
	if raw.DSCP.text == "copy" {
		pw.CopyDSCP = true
	} else {
		pw.DSCP = r.dscp(raw.DSCP)
	}
	pw.CopyECN = r.choice(raw.ECN, "compatibility", "normal") == "normal"
	pw.ClampMSS = r.boolean(raw.MSSClamp)
	r.sublayer(raw, pw)
	r.tooBig(raw, pw)
	r.encapsulation(raw, pw)
}

// dscp parses a code point (RFC 2474 section 3).
func (r resolver) dscp(s scalar) uint8 {
	if !s.present() {
		return 0
	}
	n, err := strconv.ParseUint(s.text, 10, 8)
	if err != nil || n > maxDSCP {
		r.bad(s, fmt.Sprintf("a number from 0 to %d, or copy", maxDSCP), "")
		return 0
	}
	return uint8(n)
}

// sublayer resolves the L2-specific sublayer and the numbers in it.
func (r resolver) sublayer(raw *rawPseudowire, pw *Pseudowire) {
	if r.choice(raw.Sublayer, "none", "default") == "default" {
		pw.Sublayer = dataplane.SublayerDefault
	}
	pw.Sequencing = r.boolean(raw.Sequencing)
	if pw.Sequencing && pw.Sublayer != dataplane.SublayerDefault && !r.faulty(join(raw.Key, "sublayer")) {
		r.add(raw.Sequencing.place, "conflicts with "+stated(raw.Sublayer, "sublayer", "none")+": the numbers are in the sublayer",
			"write sublayer: default at both ends, or remove it")
	}
}

// tooBig resolves what happens to frames that the underlay cannot carry.
func (r resolver) tooBig(raw *rawPseudowire, pw *Pseudowire) {
	switch r.choice(raw.TooBig, "fragment", "drop", "answer") {
	case "drop":
		pw.TooBig = dataplane.TooBigDrop
	case "answer":
		pw.TooBig = dataplane.TooBigAnswer
	}
	pw.DontFragment = r.boolean(raw.DontFragment)
	if pw.DontFragment && pw.TooBig == dataplane.TooBigFragment && !r.faulty(join(raw.Key, "too_big")) {
		r.add(raw.DontFragment.place, "conflicts with "+stated(raw.TooBig, "too_big", "fragment")+": a packet with DF cannot be fragmented",
			"write too_big: drop or answer, or remove it")
	}
}

// encapsulation resolves IP or UDP, and what there is with UDP alone.
func (r resolver) encapsulation(raw *rawPseudowire, pw *Pseudowire) {
	if r.choice(raw.Encapsulation, "ip", "udp") == "udp" {
		pw.Encapsulation = dataplane.EncapsulationUDP
	}
	pw.Entropy = r.choice(raw.SourcePort, "fixed", "entropy") == "entropy"
	pw.ZeroChecksum = r.choice(raw.UDPChecksum, "auto", "zero") == "zero"
	if pw.Encapsulation == dataplane.EncapsulationUDP || r.faulty(join(raw.Key, "encapsulation")) {
		return
	}
	for _, key := range []struct {
		place
		used bool
	}{
		{raw.Port.place, raw.Port.present()},
		{raw.SourcePort.place, pw.Entropy},
		{raw.UDPChecksum.place, pw.ZeroChecksum},
	} {
		if key.used {
			r.add(key.place, "is for encapsulation: udp", "remove it or add encapsulation: udp")
		}
	}
}

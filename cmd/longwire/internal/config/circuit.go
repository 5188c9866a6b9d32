package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"longwire/dataplane"
)

// vidRange is the VLAN ids of one entry of a list, both ends included.
type vidRange struct{ first, last uint16 }

// vidClaim is a range of VLAN ids and where it is written.
type vidClaim struct {
	vidRange
	place
}

// parseVIDs parses one entry of a list of VLANs: an id, a range, or untagged.
func parseVIDs(text string) (v vidRange, ok bool) {
	if text == "untagged" {
		return vidRange{dataplane.Untagged, dataplane.Untagged}, true
	}
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	ok = err1 == nil && err2 == nil && 1 <= first && first <= last && last <= dataplane.MaxVID
	return vidRange{uint16(first), uint16(last)}, ok
}

// overlap returns the claim that a range overlaps, and the first id of both.
func overlap(claims []vidClaim, v vidRange) (c vidClaim, vid uint16, found bool) {
	i := slices.IndexFunc(claims, func(c vidClaim) bool { return c.first <= v.last && v.first <= c.last })
	if i < 0 {
		return vidClaim{}, 0, false
	}
	return claims[i], max(claims[i].first, v.first), true
}

// single is the set of one VLAN id, which is known to be one.
func single(vid uint16) dataplane.VIDs { return dataplane.VIDs(strconv.Itoa(int(vid))) }

// vlans parses what a circuit has of its port. What is not valid is not known,
// so that nothing is said about what follows from it.
func (r resolver) vlans(raw *rawPseudowire) (v dataplane.VLANs, known bool) {
	if r.faulty(join(raw.Key, "vlan")) || r.faulty(join(raw.Key, "vlans")) {
		return v, false
	}
	if raw.VLANs == nil {
		v.Outer, known = r.vids(raw.VLAN)
		return v, known
	}
	if len(raw.VLAN) > 0 {
		r.add(raw.VLANs.place, fmt.Sprintf("conflicts with vlan on line %d", raw.VLAN[0].Line), "remove one of them")
	}
	outer, ok1 := r.vid(raw.VLANs, raw.VLANs.Outer, "outer")
	inner, ok2 := r.vid(raw.VLANs, raw.VLANs.Inner, "inner")
	if !ok1 || !ok2 || len(raw.VLAN) > 0 {
		return v, false
	}
	return dataplane.VLANs{Outer: single(outer), Inner: inner}, true
}

// vids parses a list of VLAN ids, of which none may be in it twice.
func (r resolver) vids(list scalars) (set dataplane.VIDs, known bool) {
	var ids []uint16
	var taken []vidClaim
	known = true
	for _, s := range list {
		v, ok := parseVIDs(s.text)
		if !ok {
			r.bad(s, `a VLAN id from 1 to 4094, a range such as "100-199", or untagged`, "")
			known = false
			continue
		}
		if first, vid, twice := overlap(taken, v); twice {
			r.add(s.place, fmt.Sprintf("vlan %v is given twice, first on line %d", single(vid), first.Line), "keep one of them")
			known = false
			continue
		}
		taken = append(taken, vidClaim{v, s.place})
		for vid := v.first; vid <= v.last; vid++ {
			ids = append(ids, vid)
		}
	}
	if !known {
		return "", false
	}
	set, err := dataplane.NewVIDs(ids...)
	return set, err == nil
}

// vid parses one of the two ids of vlans.
func (r resolver) vid(raw *rawVLANs, s scalar, key string) (vid uint16, ok bool) {
	if !s.present() {
		r.missing(raw.place, key, "give both, or vlan for one tag")
		return 0, false
	}
	vid = uint16(r.number(s, 1, dataplane.MaxVID, 0))
	return vid, vid != 0
}

// selection is the key by which a circuit selects VLANs, absent on a whole port.
func (p *rawPseudowire) selection() place {
	switch {
	case p.VLANs != nil:
		return place{p.VLANs.Line, "vlans"}
	case len(p.VLAN) > 0:
		return place{p.VLAN[0].Line, "vlan"}
	}
	return place{}
}

// tags says what happens to the tags of a circuit's frames. The default is that
// of RFC 8214 section 2.1: the tags that are the service are translated by the
// end that delivers, and those that are the customer's own cross as they are.
func (r resolver) tags(raw *rawPseudowire, vlans dataplane.VLANs, known bool) Tags {
	vid, one := vlans.Outer.Single()
	one = one && vid != dataplane.Untagged
	t := Tags{Mode: TagsKeep}
	if raw.Tags.present() {
		t.Mode = TagMode(r.choice(raw.Tags, string(TagsKeep), string(TagsTranslate), string(TagsPop), string(TagsPush)))
		known = known && !r.faulty(raw.Tags.Key)
	} else if one {
		t.Mode = TagsTranslate
	}
	added := "0x8100"
	if vlans.Inner != 0 {
		added = "0x88a8" // the service tag of IEEE 802.1Q
	}
	if raw.TagType.present() {
		added = r.choice(raw.TagType, "0x8100", "0x88a8", "0x9100")
	}
	push := uint16(r.number(raw.PushVLAN, 1, dataplane.MaxVID, 0))
	if known {
		r.tagMode(raw, t.Mode, one)
		r.tagKeys(raw, t.Mode)
	}
	if t.Mode != TagsKeep {
		number, _ := strconv.ParseUint(added, 0, 16)
		t.Type = uint16(number)
	}
	if t.Mode == TagsPush {
		t.Push = push
	}
	return t
}

// tagMode checks that a circuit has the tags that its mode changes.
func (r resolver) tagMode(raw *rawPseudowire, mode TagMode, one bool) {
	has := "this circuit is a whole port"
	if at := raw.selection(); at.present() {
		has = fmt.Sprintf("%s on line %d selects other frames", at.Key, at.Line)
	}
	switch {
	case (mode == TagsTranslate || mode == TagsPop) && !one:
		r.add(raw.Tags.place, fmt.Sprintf("%s is for one VLAN id, or one outer and one inner, and %s", mode, has), "write keep or push")
	case mode == TagsPush && one:
		r.add(raw.Tags.place, fmt.Sprintf("push is for a whole port, untagged frames or several VLAN ids, and %s", has), "write keep, translate or pop")
	}
}

// tagKeys checks which keys are there for a mode.
func (r resolver) tagKeys(raw *rawPseudowire, mode TagMode) {
	if mode == TagsPush && !raw.PushVLAN.present() {
		r.missing(raw.place, "push_vlan", fmt.Sprintf("give the VLAN id that tags: push on line %d adds", raw.Tags.Line))
	}
	if mode != TagsPush && raw.PushVLAN.present() {
		r.add(raw.PushVLAN.place, "conflicts with "+stated(raw.Tags, "tags", string(mode)), "remove it or write tags: push")
	}
	if mode == TagsKeep && raw.TagType.present() {
		r.add(raw.TagType.place, "conflicts with "+stated(raw.Tags, "tags", string(mode))+": no tag is added", "remove it")
	}
}

// stated says in an error what a key is, and on which line or that nobody said.
func stated(s scalar, key, value string) string {
	if !s.present() {
		return fmt.Sprintf("%s: %s, the default here", key, value)
	}
	return fmt.Sprintf("%s: %s on line %d", key, value, s.Line)
}

// l2cp returns the layer-2 control protocols that are not tunnelled.
func (r resolver) l2cp(raw *rawPseudowire) dataplane.L2CP {
	p := raw.L2Protocols
	if p == nil {
		return 0
	}
	if at := raw.selection(); at.present() {
		r.add(p.place, fmt.Sprintf("is for a whole port, and %s on line %d selects some frames of it", at.Key, at.Line), "remove one of them")
	}
	var drop dataplane.L2CP
	for _, key := range []struct {
		scalar
		protocol dataplane.L2CP
	}{
		{p.STP, dataplane.L2CPSTP},
		{p.LACP, dataplane.L2CPLACP},
		{p.LLDP, dataplane.L2CPLLDP},
		{p.PVST, dataplane.L2CPPVST},
		{p.Dot1X, dataplane.L2CPDot1X},
		{p.CFM, dataplane.L2CPCFM},
	} {
		if r.choice(key.scalar, "tunnel", "drop") == "drop" {
			drop |= key.protocol
		}
	}
	return drop
}

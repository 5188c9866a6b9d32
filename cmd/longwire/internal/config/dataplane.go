package config

import (
	"fmt"
	"slices"
	"strings"
)

// The limits of the slow path, in packets per second. Above the default a flood
// of fragments would take a core from the forwarding.
const (
	defaultSlowPathRate = 10000
	maxSlowPathRate     = 1000000
)

func (r resolver) underlay(list scalars) Underlay {
	if len(list) == 0 || list.word("auto") {
		return Underlay{Auto: true}
	}
	return Underlay{Interfaces: r.interfaces(list, "underlay", "auto")}
}

func (r resolver) dataplane(raw *rawDataplane) Dataplane {
	if raw == nil {
		raw = &rawDataplane{}
	}
	return Dataplane{
		Capacity:         uint32(r.number(raw.Capacity, 1, maxCapacity, defaultCapacity)),
		Attach:           r.choice(raw.Attach, "auto", "tcx", "clsact"),
		XDP:              r.xdp(raw.XDP),
		DropUnknown:      r.choice(raw.UnknownSession, "pass", "drop") == "drop",
		ReservedSessions: r.reserved(raw.ReservedSessions),
		SlowPathRate:     int(r.number(raw.SlowPathRate, 0, maxSlowPathRate, defaultSlowPathRate)),
	}
}

func (r resolver) xdp(list scalars) XDP {
	switch {
	case len(list) == 0 || list.word("off"):
		return XDP{}
	case list.word("auto"):
		return XDP{Auto: true}
	}
	return XDP{Interfaces: r.interfaces(list, "xdp", "auto", "off")}
}

// word says whether a value is this one word and no list of names.
func (l scalars) word(text string) bool { return len(l) == 1 && l[0].text == text }

// interfaces parses a list of interfaces. The words may stand in their place,
// but not among them.
func (r resolver) interfaces(list scalars, key string, words ...string) []string {
	var names []string
	seen := map[string]bool{}
	for _, s := range list {
		name := r.iface(s)
		switch {
		case slices.Contains(words, name):
			r.add(s.place, name+" stands alone", fmt.Sprintf("write %s: %s, or name every interface", key, name))
		case seen[name]:
			r.add(s.place, fmt.Sprintf("%s is given twice", name), "keep one of them")
		case name != "":
			names = append(names, name)
			seen[name] = true
		}
	}
	return names
}

// maxReserved is half of all session ids. Signalled ones are drawn until one is
// free, which must not take for ever.
const maxReserved = 1 << 31

func (r resolver) reserved(list scalars) []SessionRange {
	var ranges []SessionRange
	var total uint64
	for _, s := range list {
		low, high, isRange := strings.Cut(s.text, "-")
		if !isRange {
			high = low
		}
		first := r.session(scalar{s.place, low})
		last := first
		if isRange && first != 0 {
			last = r.session(scalar{s.place, high})
		}
		if first == 0 || last == 0 {
			continue
		}
		if last < first {
			r.bad(s, "a range of session ids", "write the lower one first")
			continue
		}
		if total += uint64(last-first) + 1; total > maxReserved {
			r.add(s.place, "with this one more than half of all session ids are reserved", "leave the others to signalled pseudowires")
			return nil
		}
		ranges = append(ranges, SessionRange{first, last})
	}
	return ranges
}

package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"longwire/dataplane"
)

// entry is one entry of a list of VLANs, and the ids that it stands for.
type entry struct {
	text string
	ids  []uint16
}

// drawEntries draws from few ids, so that overlaps are common, and from both
// ends of the range.
func drawEntries(t *rapid.T) []entry {
	id := rapid.OneOf(rapid.Uint16Range(1, 40), rapid.Uint16Range(4085, 4094))
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
		first := id.Draw(t, "id")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return entry{"untagged", []uint16{0}}
		case 1:
			last := min(first+rapid.Uint16Range(0, 9).Draw(t, "more"), 4094)
			e := entry{text: fmt.Sprintf("%d-%d", first, last)}
			for vid := first; vid <= last; vid++ {
				e.ids = append(e.ids, vid)
			}
			return e
		}
		return entry{strconv.Itoa(int(first)), []uint16{first}}
	}), 1, 5).Draw(t, "entries")
}

func list(entries []entry) string {
	var words []string
	for _, e := range entries {
		words = append(words, e.text)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// A list of VLANs is the union of its entries, or refused because one id is in
// two of them.
func TestVLANListIsTheUnionOfItsEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		var ids []uint16
		twice := false
		for _, e := range entries {
			for _, vid := range e.ids {
				twice = twice || slices.Contains(ids, vid)
				ids = append(ids, vid)
			}
		}
		file := pseudowireFile("vlan: " + list(entries))
		cfg, err := Parse("x", []byte(file), noSecret)
		if twice {
			if err == nil || !strings.Contains(err.Error(), "is given twice, first on line 6") {
				t.Fatalf("%s\nhas an id twice, and Parse gives %v", file, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s\n%v", file, err)
		}
		slices.Sort(ids)
		got := slices.Collect(cfg.Pseudowires[0].VLANs.Outer.All())
		if !slices.Equal(got, ids) {
			t.Fatalf("%s\nhas %v, want %v", file, got, ids)
		}
	})
}

// drawnCircuit is a circuit as it is written, and what it takes of which port.
type drawnCircuit struct {
	row   string
	takes []taken
}

// taken is one key of the lookup by longest match.
type taken struct {
	iface        string
	level        int // 0 = port, 1 = one tag, 2 = two tags
	outer, inner uint16
}

func drawCircuit(t *rapid.T) drawnCircuit {
	iface := rapid.SampledFrom([]string{"e", "f"}).Draw(t, "interface")
	switch rapid.IntRange(0, 3).Draw(t, "level") {
	case 0:
		return drawnCircuit{iface, []taken{{iface: iface}}}
	case 1:
		outer, inner := rapid.Uint16Range(1, 2).Draw(t, "outer"), rapid.Uint16Range(1, 2).Draw(t, "inner")
		row := fmt.Sprintf("%s,vlans: {outer: %d, inner: %d}", iface, outer, inner)
		return drawnCircuit{row, []taken{{iface, 2, outer, inner}}}
	}
	first := rapid.Uint16Range(1, 30).Draw(t, "first")
	last := first + rapid.Uint16Range(0, 4).Draw(t, "more")
	c := drawnCircuit{row: fmt.Sprintf("%s,vlan: %d-%d", iface, first, last)}
	for vid := first; vid <= last; vid++ {
		c.takes = append(c.takes, taken{iface, 1, vid, 0})
	}
	return c
}

var saidLine = regexp.MustCompile(`^x:(\d+): .* is already used on line (\d+); `)

// Several circuits are refused exactly when a frame would have two owners, and
// each error names a line of both.
func TestCircuitsConflictExactlyWhenTheyOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := map[taken]int{}
		var rows []string
		conflicts := map[int]bool{}
		for i, c := range rapid.SliceOfN(rapid.Custom(drawCircuit), 1, 5).Draw(t, "circuits") {
			rows = append(rows, c.row)
			for _, k := range c.takes {
				if _, is := owners[k]; is {
					conflicts[i+3] = true
				}
			}
			if conflicts[i+3] {
				continue // what a refused circuit wants is not held against others
			}
			for _, k := range c.takes {
				owners[k] = i + 3
			}
		}
		file := portFile(rows...)
		_, err := Parse("x", []byte(file), noSecret)
		if (err != nil) != (len(conflicts) > 0) {
			t.Fatalf("%s\nhas conflicts on lines %v, and Parse gives %v", file, conflicts, err)
		}
		if err == nil {
			return
		}
		for line := range strings.Lines(err.Error()) {
			m := saidLine.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("%s\nanother error: %s", file, line)
			}
			at, _ := strconv.Atoi(m[1])
			other, _ := strconv.Atoi(m[2])
			if !conflicts[at] || other >= at || conflicts[other] {
				t.Fatalf("%s\nhas conflicts on lines %v, and Parse says %s", file, conflicts, line)
			}
			delete(conflicts, at)
		}
		if len(conflicts) > 0 {
			t.Fatalf("%s\nis said to be right on lines %v: %v", file, conflicts, err)
		}
	})
}

// Whatever is accepted holds together: the plan relies on it.
func TestAcceptedPseudowiresHoldTogether(t *testing.T) {
	optional := func(key string, values ...string) *rapid.Generator[string] {
		return rapid.Map(rapid.SampledFrom(append([]string{""}, values...)), func(v string) string {
			if v == "" {
				return ""
			}
			return key + ": " + v
		})
	}
	keys := []*rapid.Generator[string]{
		optional("vlan", "untagged", "5", "5-9", "[untagged, 5]", "0"),
		optional("vlans", "{outer: 5, inner: 6}"),
		optional("tags", "keep", "translate", "pop", "push"),
		optional("push_vlan", "7"),
		optional("tag_type", "0x8100", "0x88a8"),
		optional("l2_protocols", "{stp: drop}"),
		optional("sublayer", "none", "default"),
		optional("sequencing", "true", "false"),
		optional("too_big", "fragment", "drop", "answer"),
		optional("dont_fragment", "true", "false"),
		optional("encapsulation", "ip", "udp"),
		optional("source_port", "fixed", "entropy"),
		optional("udp_checksum", "auto", "zero"),
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for _, g := range keys {
			// Most keys are absent, so that a good part of the files is accepted.
			if rapid.IntRange(0, 2).Draw(t, "given") == 0 {
				lines = append(lines, g.Draw(t, "key"))
			}
		}
		file := pseudowireFile(lines...)
		cfg, err := Parse("x", []byte(file), noSecret)
		if err != nil {
			return
		}
		accepted++
		if problem := broken(cfg.Pseudowires[0]); problem != "" {
			t.Fatalf("%s\nis accepted: %s", file, problem)
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}

// broken says what does not hold together in a pseudowire.
func broken(pw Pseudowire) string {
	vid, single := pw.VLANs.Outer.Single()
	one := single && vid != dataplane.Untagged
	udp := pw.Encapsulation == dataplane.EncapsulationUDP
	switch {
	case pw.EVPN == nil && pw.Static == nil || !pw.Source.IsValid() || pw.Name == "" || pw.Interface == "":
		return "something mandatory is absent"
	case pw.VLANs.Inner != 0 && !one:
		return "an inner tag without one outer tag"
	case (pw.Tags.Mode == TagsTranslate || pw.Tags.Mode == TagsPop) && !one:
		return "tags that are not there are changed"
	case pw.Tags.Mode == TagsPush && one:
		return "a tag is added to known ones"
	case (pw.Tags.Mode == TagsPush) != (pw.Tags.Push != 0):
		return "push without a VLAN id, or the other way round"
	case (pw.Tags.Mode == TagsKeep) != (pw.Tags.Type == 0):
		return "a tag without a type, or the other way round"
	case pw.DropL2CP != 0 && pw.VLANs != (dataplane.VLANs{}):
		return "control protocols of some VLANs"
	case pw.Sequencing && pw.Sublayer != dataplane.SublayerDefault:
		return "numbers without a sublayer"
	case pw.DontFragment && pw.TooBig == dataplane.TooBigFragment:
		return "fragments with DF"
	case (pw.Entropy || pw.ZeroChecksum) && !udp:
		return "UDP's keys without UDP"
	case pw.CopyDSCP && pw.DSCP != 0:
		return "two DSCPs"
	case pw.Static != nil && pw.Static.PreviousCookie != nil && pw.Static.PreviousCookie.Len() != pw.Static.LocalCookie.Len():
		return "cookies of two lengths"
	}
	return ""
}

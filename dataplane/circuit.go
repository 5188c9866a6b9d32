package dataplane

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Circuit names an attachment circuit: a whole port, or some VLANs of one.
type Circuit struct {
	IfIndex int
	VLANs   VLANs
}

// Port returns the circuit of a whole port.
func Port(ifindex int) Circuit { return Circuit{IfIndex: ifindex} }

// Compare orders circuits by interface, then VLANs.
func (c Circuit) Compare(d Circuit) int {
	return cmp.Or(cmp.Compare(c.IfIndex, d.IfIndex), cmp.Compare(c.VLANs.Outer, d.VLANs.Outer),
		cmp.Compare(c.VLANs.Inner, d.VLANs.Inner))
}

// String returns the circuit in words, "3" or "3 vlan 200 inner 100".
func (c Circuit) String() string {
	if c.VLANs == (VLANs{}) {
		return strconv.Itoa(c.IfIndex)
	}
	return fmt.Sprintf("%d vlan %v", c.IfIndex, c.VLANs)
}

// VLANs selects frames of a port by their tags, of EtherType 0x8100, 0x88a8 or
// 0x9100. The zero value selects all frames. Of several circuits on a port the
// one that says most about a frame has it: outer and inner tag, outer tag alone,
// the whole port.
type VLANs struct {
	Outer VIDs
	// Inner is the VLAN id of the second tag, 1 to 4094; 0 selects any, also
	// none. It goes with a single outer one.
	Inner uint16
}

// String returns the VLANs as the configuration writes them, "200 inner 100".
func (v VLANs) String() string {
	if v.Inner == 0 {
		return v.Outer.String()
	}
	return fmt.Sprintf("%v inner %d", v.Outer, v.Inner)
}

// MaxVID is the last VLAN id that can be used (IEEE 802.1Q, table 9-2).
const MaxVID = 4094

// Untagged stands in VIDs for frames without a VLAN id: untagged ones, and
// those that carry a priority only.
const Untagged = 0

// VIDs is a set of VLAN ids, sorted, as ranges: "100,200-299". It may hold
// Untagged. VIDs compare with ==; "" selects nothing by VLAN id.
type VIDs string

// NewVIDs makes the set of ids. It fails on an id above MaxVID.
func NewVIDs(ids ...uint16) (VIDs, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	var b strings.Builder
	for i := 0; i < len(ids); {
		if ids[i] > MaxVID {
			return "", fmt.Errorf("%d is not a VLAN id from 0 to %d", ids[i], MaxVID)
		}
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(ids[i])))
		if j > i {
			fmt.Fprintf(&b, "-%d", ids[j])
		}
		i = j + 1
	}
	return VIDs(b.String()), nil
}

// All yields the ids in ascending order.
func (v VIDs) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for part := range strings.SplitSeq(string(v), ",") {
			low, high, isRange := strings.Cut(part, "-")
			if !isRange {
				high = low
			}
			first, err1 := strconv.ParseUint(low, 10, 16)
			last, err2 := strconv.ParseUint(high, 10, 16)
			if err1 != nil || err2 != nil {
				return // the empty set
			}
			for id := first; id <= last; id++ {
				if !yield(uint16(id)) {
					return
				}
			}
		}
	}
}

// Single returns the id of a set of one.
func (v VIDs) Single() (uint16, bool) {
	id, err := strconv.ParseUint(string(v), 10, 16)
	return uint16(id), err == nil
}

// String returns the set, with "untagged" for Untagged.
func (v VIDs) String() string {
	var words []string
	for part := range strings.SplitSeq(string(v), ",") {
		_, high, isRange := strings.Cut(part, "-")
		switch {
		case part == "0":
			words = append(words, "untagged")
		case isRange && strings.HasPrefix(part, "0-"):
			words = append(words, "untagged", "1-"+high)
		default:
			words = append(words, part)
		}
	}
	return strings.Join(words, ",")
}

// Tag is a VLAN tag that is added to a frame.
type Tag struct {
	Type uint16 // EtherType, 0x8100, 0x88a8 or 0x9100; 0 = no tag
	VID  uint16
}

// MaxTags is how many VLAN tags a frame may have.
const MaxTags = 3

// Imposition is what happens to the tags of a frame before it is encapsulated.
type Imposition struct {
	Pop  uint8 // outermost tags taken off, at most two
	Push Tag   // added outside, after Pop
}

// Delivery is what happens to the tags of a frame after it is decapsulated: the
// disposition PE is the one that translates (RFC 8214 section 2.1).
type Delivery struct {
	Pop uint8 // outermost tags taken off if they are there, at most one
	// Set gives the outermost tags of the frame the VLAN ids of these, the first
	// one outermost, and adds outside those that the frame lacks. The second one
	// may be absent.
	Set [2]Tag
	// Push adds tags outside, the first one outermost; the second one may be
	// absent.
	Push [2]Tag
}

// L2CP is a set of layer-2 control protocols.
type L2CP uint8

// The protocols, by destination address and EtherType (IEEE 802.1Q table 8-1,
// IEEE 802.1AX, 802.1AB, 802.1X, ITU-T Y.1731).
const (
	L2CPSTP   L2CP = 1 << iota // 01:80:c2:00:00:00 and :08 with LLC, all spanning trees of IEEE
	L2CPLACP                   // EtherType 0x8809, slow protocols
	L2CPLLDP                   // EtherType 0x88cc
	L2CPPVST                   // 01:00:0c:cc:cc:cd, SNAP
	L2CPDot1X                  // EtherType 0x888e
	L2CPCFM                    // EtherType 0x8902
	L2CPAll   L2CP = 1<<iota - 1
)

// l2cpNames are the words of configuration and display, by bit.
var l2cpNames = []string{"stp", "lacp", "lldp", "pvst", "dot1x", "cfm"}

// L2CPByName returns a protocol by its name, and the names that there are.
func L2CPByName(name string) (protocol L2CP, names []string) {
	if i := slices.Index(l2cpNames, name); i >= 0 {
		protocol = 1 << i
	}
	return protocol, slices.Clone(l2cpNames)
}

// String returns the names, comma-separated.
func (l L2CP) String() string {
	var words []string
	for i, name := range l2cpNames {
		if l&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, ",")
}

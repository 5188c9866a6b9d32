package scenario

import (
	"errors"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"longwire/test/peer/updates"
)

// check is one thing that a reflector does to every route.
type check struct {
	name  string
	holds func(r reflected) error
}

// announced makes a check of routes that are not withdrawn.
func announced(name string, holds func(r reflected) error) check {
	return check{name, func(r reflected) error {
		if r.in.Withdrawn {
			return nil
		}
		return holds(r)
	}}
}

// checks lists what a reflector leaves as it is, adds, and changes.
func (r *routeReflector) checks() []check {
	return []check{
		{"route key and withdrawal unchanged", func(r reflected) error {
			if r.in.Key != r.out.Key || r.in.Withdrawn != r.out.Withdrawn {
				return fmt.Errorf("%+v became %+v", r.in, r.out)
			}
			return nil
		}},
		announced("attribute 23 byte-identical", unchanged(updates.TunnelEncapsulation)),
		announced("communities (route target, Layer 2 Attributes) byte-identical", unchanged(updates.ExtendedCommunities)),
		announced("next hop, local preference, origin, AS path unchanged", func(r reflected) error {
			if !r.in.NextHop.IsValid() || r.in.NextHop != r.out.NextHop {
				return fmt.Errorf("next hop %v became %v", r.in.NextHop, r.out.NextHop)
			}
			if path := r.out.Attributes[updates.ASPath].Value; len(path) != 0 {
				return fmt.Errorf("AS path %x", path)
			}
			return errors.Join(unchanged(updates.LocalPref)(r), unchanged(updates.Origin)(r))
		}),
		announced("ORIGINATOR_ID and CLUSTER_LIST added", r.added),
		announced(r.label()),
	}
}

// added checks the attributes that were not there before: those of a reflector
// (RFC 4456), from bgpd also a MULTI_EXIT_DISC of 0, and no others.
func (r *routeReflector) added(one reflected) error {
	want := map[byte][]byte{updates.OriginatorID: one.from.AsSlice(), updates.ClusterList: r.address.AsSlice()}
	if r.kind == "frr" {
		want[updates.MED] = make([]byte, 4)
	}
	for kind := range one.in.Attributes {
		want[kind] = one.out.Attributes[kind].Value // other checks look at it
	}
	got := map[byte][]byte{}
	for kind, attribute := range one.out.Attributes {
		got[kind] = attribute.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("attributes (-want +got):\n%s", diff)
	}
	return nil
}

// unchanged says that an attribute is there and every byte of it is as it was.
func unchanged(attribute byte) func(r reflected) error {
	return func(r reflected) error {
		if len(r.in.Attributes[attribute].Bytes) == 0 {
			return fmt.Errorf("attribute %d is not there", attribute)
		}
		return same(r.in, r.out, attribute)
	}
}

// implicitNull is the label field of our routes: label 3, and no more bits.
const implicitNull = 3 << 4

// labelLost is what bgpd makes of a label field where the next hop has a metric:
// its word for no label, cut to size.
const labelLost = 0xfffffd

// label says what becomes of the label.
func (r *routeReflector) label() (name string, holds func(r reflected) error) {
	sent := uint32(implicitNull)
	if *bgpMode == "frr" {
		sent = 0 // bgpd on the PE has made it that
	}
	if r.kind != "frr" {
		return "label unchanged", func(one reflected) error { return labels(one, sent, sent) }
	}
	return "label lost: 0, or 0xfffff where the next hop has a metric", func(one reflected) error {
		// The reflector's kernel gives IPv6 routes a metric, and IPv4 routes none.
		if one.in.NextHop.Is6() {
			return labels(one, sent, labelLost)
		}
		return labels(one, sent, 0)
	}
}

func labels(one reflected, in, out uint32) error {
	if one.in.Label != in || one.out.Label != out {
		return fmt.Errorf("label field %#06x became %#06x, want %#06x to become %#06x", one.in.Label, one.out.Label, in, out)
	}
	return nil
}

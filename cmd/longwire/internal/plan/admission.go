package plan

import (
	"cmp"
	"maps"
	"slices"

	"longwire/dataplane"
)

// admission lists where packets of the far ends arrive. Protocol 115 counts at
// every source address, since a signalled far end may always use it.
func (r *resolution) admission() {
	endpoints := map[dataplane.Endpoint]bool{}
	for _, pw := range r.in.Config.Pseudowires {
		endpoints[dataplane.Endpoint{Address: pw.Source}] = true
		if pw.Encapsulation == dataplane.EncapsulationUDP {
			endpoints[dataplane.Endpoint{Address: pw.Source, Port: pw.Port}] = true
		}
	}
	r.plan.Admission = dataplane.Admission{
		Endpoints: slices.SortedFunc(maps.Keys(endpoints), func(a, b dataplane.Endpoint) int {
			return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port))
		}),
		DropUnknown: r.in.Config.Dataplane.DropUnknown,
	}
}

package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"longwire/cmd/longwire/internal/config"
)

// attachments decides which interfaces carry our programs. Circuits carry them
// also while they are down, so that the first frame is not lost.
func (r *resolution) attachments() {
	for _, pw := range r.in.Config.Pseudowires {
		if link := r.in.Links[pw.Interface]; link.Ethernet {
			r.plan.Attach.Circuits = append(r.plan.Attach.Circuits, link.Index)
		}
	}
	for _, name := range r.underlays() {
		r.plan.Attach.Underlays = append(r.plan.Attach.Underlays, r.in.Links[name].Index)
	}
	slices.Sort(r.plan.Attach.Circuits)
	r.plan.Attach.Circuits = slices.Compact(r.plan.Attach.Circuits)
	slices.Sort(r.plan.Attach.Underlays)
	r.express()
	if len(r.plan.Attach.Underlays) == 0 && len(r.in.Config.Pseudowires) > 0 {
		r.plan.Problems = append(r.plan.Problems, "there is no underlay interface: tunnel packets cannot arrive")
	}
	r.sources()
	slices.Sort(r.plan.Problems)
}

// sources notes tunnel source addresses that no interface has: the far end's
// packets have nowhere to arrive.
func (r *resolution) sources() {
	present := map[netip.Addr]bool{}
	for _, link := range r.in.Links {
		for _, a := range link.Addresses {
			present[a] = true
		}
	}
	for _, a := range r.in.Config.Router.Sources {
		if !present[a] {
			r.plan.Problems = append(r.plan.Problems, fmt.Sprintf("router.source %s is on no interface", a))
		}
	}
}

// underlays are the names of the interfaces where decapsulation listens. A
// circuit is never one: what leaves a tunnel would enter it again.
func (r *resolution) underlays() []string {
	if u := r.in.Config.Underlay; !u.Auto {
		var names []string
		for _, name := range u.Interfaces {
			switch link, exists := r.in.Links[name]; {
			case !exists:
				r.plan.Problems = append(r.plan.Problems, fmt.Sprintf("underlay interface %s does not exist", name))
			case !link.Ethernet:
				r.plan.Problems = append(r.plan.Problems, fmt.Sprintf("underlay interface %s carries no Ethernet frames", name))
			default:
				names = append(names, name)
			}
		}
		return names
	}
	circuits := map[string]bool{"lo": true}
	for _, pw := range r.in.Config.Pseudowires {
		circuits[pw.Interface] = true
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(r.in.Links)), func(name string) bool {
		link := r.in.Links[name]
		return circuits[name] || strings.HasPrefix(name, config.HelperPrefix) || !link.Ethernet || len(link.Addresses) == 0
	})
}

// express decides which of the interfaces with programs carry that of XDP too.
func (r *resolution) express() {
	programs := map[int]bool{}
	for _, ifindex := range slices.Concat(r.plan.Attach.Circuits, r.plan.Attach.Underlays) {
		programs[ifindex] = true
	}
	wanted := r.in.Config.Dataplane.XDP
	if wanted.Auto {
		for _, link := range r.in.Links {
			if link.XDP && programs[link.Index] {
				r.plan.Attach.XDP = append(r.plan.Attach.XDP, link.Index)
			}
		}
	}
	for _, name := range wanted.Interfaces {
		if link, exists := r.in.Links[name]; exists && programs[link.Index] {
			r.plan.Attach.XDP = append(r.plan.Attach.XDP, link.Index)
			continue
		}
		r.plan.Problems = append(r.plan.Problems, fmt.Sprintf("dataplane.xdp: %s is neither a circuit nor an underlay interface", name))
	}
	slices.Sort(r.plan.Attach.XDP)
}

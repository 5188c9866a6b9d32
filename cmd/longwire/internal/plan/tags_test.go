package plan

import (
	"testing"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

func TestTags(t *testing.T) {
	one, two := dataplane.VLANs{Outer: "100"}, dataplane.VLANs{Outer: "200", Inner: 100}
	some, untagged, port := dataplane.VLANs{Outer: "100-199"}, dataplane.VLANs{Outer: "0"}, dataplane.VLANs{}
	customer, service := dataplane.Tag{Type: 0x8100, VID: 100}, dataplane.Tag{Type: 0x88a8, VID: 200}
	tests := []struct {
		name     string
		vlans    dataplane.VLANs
		tags     config.Tags
		send     dataplane.Imposition
		deliver  dataplane.Delivery
		crossing int
	}{
		{"no mode", one, config.Tags{}, dataplane.Imposition{}, dataplane.Delivery{}, 1},
		{"keep one", one, config.Tags{Mode: config.TagsKeep, Type: 0x8100}, dataplane.Imposition{}, dataplane.Delivery{}, 1},
		{"keep two", two, config.Tags{Mode: config.TagsKeep, Type: 0x88a8}, dataplane.Imposition{}, dataplane.Delivery{}, 2},
		{"keep a range", some, config.Tags{Mode: config.TagsKeep, Type: 0x8100}, dataplane.Imposition{}, dataplane.Delivery{}, 1},
		{"keep untagged", untagged, config.Tags{Mode: config.TagsKeep, Type: 0x8100}, dataplane.Imposition{}, dataplane.Delivery{}, 0},
		{"keep a port", port, config.Tags{Mode: config.TagsKeep, Type: 0x8100}, dataplane.Imposition{}, dataplane.Delivery{}, 0},
		{
			"translate one", one, config.Tags{Mode: config.TagsTranslate, Type: 0x8100},
			dataplane.Imposition{}, dataplane.Delivery{Set: [2]dataplane.Tag{customer}}, 1,
		},
		{
			"translate two", two, config.Tags{Mode: config.TagsTranslate, Type: 0x88a8},
			dataplane.Imposition{}, dataplane.Delivery{Set: [2]dataplane.Tag{service, customer}}, 2,
		},
		{
			"pop one", one, config.Tags{Mode: config.TagsPop, Type: 0x8100},
			dataplane.Imposition{Pop: 1}, dataplane.Delivery{Push: [2]dataplane.Tag{customer}}, 0,
		},
		{
			"pop two", two, config.Tags{Mode: config.TagsPop, Type: 0x88a8},
			dataplane.Imposition{Pop: 2}, dataplane.Delivery{Push: [2]dataplane.Tag{service, customer}}, 0,
		},
		{
			"push on a port", port, config.Tags{Mode: config.TagsPush, Type: 0x88a8, Push: 200},
			dataplane.Imposition{Push: service}, dataplane.Delivery{Pop: 1}, 1,
		},
		{
			"push on a VLAN", one, config.Tags{Mode: config.TagsPush, Type: 0x88a8, Push: 200},
			dataplane.Imposition{Push: service}, dataplane.Delivery{Pop: 1}, 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pw := staticPW()
			pw.VLANs, pw.Tags = tt.vlans, tt.tags
			got := resolveAll([]config.Pseudowire{pw})
			diff(t, "sending", tt.send, got.State.Transmit[dataplane.Circuit{IfIndex: 3, VLANs: tt.vlans}].Tags)
			diff(t, "delivering", tt.deliver, got.State.Receive[1012].Tags)
			if n := Crossing(pw); n != tt.crossing {
				t.Errorf("%d tags cross, want %d", n, tt.crossing)
			}
			if need := got.Statuses[0].Path.Need1500; need != 1500+42+4*tt.crossing {
				t.Errorf("1500 bytes need %d", need)
			}
		})
	}
}

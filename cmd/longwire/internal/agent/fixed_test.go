package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// A reload takes everything but what the maps, the programs' hooks and the
// sockets were made by.
func TestFixed(t *testing.T) {
	tests := []struct {
		name   string
		change func(*config.Config)
		want   []string
	}{
		{"nothing", func(*config.Config) {}, nil},
		{"capacity", func(c *config.Config) { c.Dataplane.Capacity++ }, []string{"dataplane.capacity"}},
		{"attach", func(c *config.Config) { c.Dataplane.Attach = "clsact" }, []string{"dataplane.attach"}},
		{"xdp", func(c *config.Config) { c.Dataplane.XDP = config.XDP{Interfaces: []string{"eth9"}} }, nil},
		{"unknown sessions", func(c *config.Config) { c.Dataplane.DropUnknown = true }, nil},
		{"reserved sessions", func(c *config.Config) {
			c.Dataplane.ReservedSessions = []config.SessionRange{{First: 1, Last: 9}}
		}, nil},
		{"slow path", func(c *config.Config) { c.Dataplane.SlowPathRate = 9 }, nil},
		{"circuit", func(c *config.Config) { c.Pseudowires[0].VLANs = dataplane.VLANs{Outer: "5"} }, nil},
		{"several", func(c *config.Config) { c.Dataplane.Attach, c.State.Pins = "tcx", "/x" }, []string{"state", "dataplane.attach"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := staticConfig()
			if diff := cmp.Diff(tt.want, fixed(old, edit(old, tt.change))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Package faults sends what a data plane must survive through real devices:
// packets that lie, frames of every kind, super-frames, and an underlay that
// changes, with each way of splitting the work between devices and kernel, and
// over circuits that are veths, taps and bridge ports. No agent runs: programs
// and maps stand alone, and what they count is compared exactly.
package faults

import (
	"fmt"
	"testing"

	"longwire/test/lab"
)

// device is what the frames of a test pass through.
type device struct {
	circuit lab.CircuitKind
	// circuitOff and underlayOff say which of them lack offloads.
	circuitOff, underlayOff bool
}

// String names the device in test names: "tap-underlay-off".
func (d device) String() string {
	switch {
	case d.circuitOff:
		return fmt.Sprintf("%v-circuit-off", d.circuit)
	case d.underlayOff:
		return fmt.Sprintf("%v-underlay-off", d.circuit)
	}
	return d.circuit.String()
}

// final says whether packets have their last lengths and checksums when they
// leave a PE: nothing later puts them right.
func (d device) final() bool { return d.circuitOff || d.underlayOff }

func (d device) options() lab.Options {
	return lab.Options{CircuitKind: d.circuit, NoCircuitOffloads: d.circuitOff, NoUnderlayOffloads: d.underlayOff}
}

// devices lists the whole matrix.
func devices() []device {
	var all []device
	for _, kind := range lab.CircuitKinds {
		all = append(all, device{circuit: kind}, device{circuit: kind, circuitOff: true}, device{circuit: kind, underlayOff: true})
	}
	return all
}

// rows are tests that share a world of 1500-byte links. Each leaves it as it
// was.
var rows = []struct {
	name string
	run  func(*testing.T, *world)
}{
	{"refused", refused},
	{"accepted", accepted},
	{"truncated", truncated},
	{"frames", frames},
	{"too many tags", tooManyTags},
	{"unknown sessions dropped", unknownDropped},
	{"slow path", slowPath},
	{"sequence numbers", sequences},
	{"loops", loops},
	{"own host", ownHost},
	{"TCP", transfers},
	{"tagged TCP", taggedTransfers},
	{"jumbo frames", jumbo},
	{"too big", tooBig},
	{"TCP too big", bigTransfers},
}

func TestDevices(t *testing.T) {
	for _, d := range devices() {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, d, d.options())
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) { row.run(t, w) })
			}
		})
	}
}

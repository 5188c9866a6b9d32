package maps

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"

	"longwire/bpf"
)

// OpenReadOnly opens the maps pinned in a directory to look at them, beside
// whoever manages them: Read and Counters work, and nothing can be changed. The
// error wraps os.ErrNotExist when no maps are pinned there, and ErrLayout when
// another version made them.
func OpenReadOnly(dir string) (*Maps, error) {
	m := &Maps{}
	for name, into := range map[string]**ebpf.Map{
		bpf.LongwireMapReceives: &m.objects.Receives, bpf.LongwireMapTransmits: &m.objects.Transmits,
		bpf.LongwireMapCounters: &m.objects.Counters, bpf.LongwireMapDrops: &m.objects.Drops,
		bpf.LongwireMapIdentities: &m.objects.Identities, bpf.LongwireMapSettings: &m.objects.Settings,
		bpf.LongwireMapVlans: &m.objects.Vlans, bpf.LongwireMapEvents: &m.objects.Events,
		bpf.LongwireMapReceiveCopies: &m.objects.ReceiveCopies,
	} {
		opened, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the pinned map %s: %w", name, explain(err)), m.Close())
		}
		*into = opened
	}
	var s bpf.LongwireSettings
	if err := m.objects.Settings.Lookup(uint32(0), &s); err != nil {
		return nil, errors.Join(fmt.Errorf("read the settings map: %w", err), m.Close())
	}
	if s.Layout != layout {
		return nil, errors.Join(fmt.Errorf("%w: version %d, this is version %d", ErrLayout, s.Layout, layout), m.Close())
	}
	m.receives = newReceiveCopies(&m.objects)
	if err := m.adoptSlots(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Capacity returns the number of sessions that the maps hold.
func (m *Maps) Capacity() uint32 { return m.objects.Receives.MaxEntries() }

package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"longwire/bpf"
	"longwire/dataplane"
)

// SetAdmission implements dataplane.Admitter. New endpoints come before the
// policy and old ones go after it, so that nothing of somebody else's is dropped
// in between.
func (m *Maps) SetAdmission(a dataplane.Admission) error {
	wanted := make(map[bpf.LongwireEndpointKey]bool, len(a.Endpoints))
	for _, e := range a.Endpoints {
		key := endpointKey(e)
		wanted[key] = true
		if err := put(m.objects.Endpoints, key, uint32(1), fmt.Sprintf("endpoint %v", e)); err != nil {
			return err
		}
	}
	if err := m.setPolicy(a.DropUnknown); err != nil {
		return err
	}
	var old []bpf.LongwireEndpointKey
	err := each(m.objects.Endpoints, func(k bpf.LongwireEndpointKey, _ uint32) error {
		if !wanted[k] {
			old = append(old, k)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the endpoints map: %w", err)
	}
	for _, k := range old {
		if err := m.objects.Endpoints.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete an endpoint: %w", err)
		}
	}
	return nil
}

func (m *Maps) setPolicy(dropUnknown bool) error {
	return m.changeSettings(func(s *bpf.LongwireSettings) {
		s.Flags &^= bpf.LongwireSettingsFlagSETTINGS_DROP_UNKNOWN
		if dropUnknown {
			s.Flags |= bpf.LongwireSettingsFlagSETTINGS_DROP_UNKNOWN
		}
	})
}

// changeSettings writes the settings anew if f changes them.
func (m *Maps) changeSettings(f func(*bpf.LongwireSettings)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s bpf.LongwireSettings
	if err := m.objects.Settings.Lookup(uint32(0), &s); err != nil {
		return fmt.Errorf("read the settings map: %w", err)
	}
	before := s
	f(&s)
	if s == before {
		return nil
	}
	if err := m.objects.Settings.Put(uint32(0), s); err != nil {
		return fmt.Errorf("write the settings map: %w", err)
	}
	return nil
}

func endpointKey(e dataplane.Endpoint) bpf.LongwireEndpointKey {
	k := bpf.LongwireEndpointKey{Port: wire16(e.Port)}
	copy(k.Address[:], e.Address.AsSlice())
	if e.Address.Is6() {
		k.V6 = 1
	}
	return k
}

package maps

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"longwire/bpf"
	"longwire/dataplane"
)

// ErrRotating is returned when the previous cookie of a pseudowire is not
// retired yet.
var ErrRotating = errors.New("the cookie is being changed already")

func decodeIdentity(v bpf.LongwireIdentity) (dataplane.Identity, error) {
	cookie, err := dataplane.NewCookie(v.Cookie[:])
	if err != nil {
		return dataplane.Identity{}, err
	}
	id := dataplane.Identity{Session: dataplane.SessionID(v.Session), Cookie: cookie}
	if v.Rotated != 0 {
		id.Rotated = time.Unix(0, int64(v.Rotated))
		id.Previous, err = dataplane.NewCookie(v.Previous[:])
	}
	return id, err
}

// change rewrites an identity that is there.
func (m *Maps) change(pseudowire string, f func(*bpf.LongwireIdentity) error) (dataplane.Identity, error) {
	key, err := nameKey(pseudowire)
	if err != nil {
		return dataplane.Identity{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var v bpf.LongwireIdentity
	if err := m.objects.Identities.Lookup(key, &v); err != nil {
		return dataplane.Identity{}, fmt.Errorf("read the identity of %s: %w", pseudowire, err)
	}
	before := v
	if err := f(&v); err != nil {
		return dataplane.Identity{}, err
	}
	if v != before {
		if err := m.putIdentity(pseudowire, v); err != nil {
			return dataplane.Identity{}, err
		}
	}
	return decodeIdentity(v)
}

// Rotate implements dataplane.IdentityStore.
func (m *Maps) Rotate(pseudowire string, now time.Time) (dataplane.Identity, error) {
	return m.change(pseudowire, func(v *bpf.LongwireIdentity) error {
		if v.Rotated != 0 {
			return fmt.Errorf("rotate the cookie of %s: %w", pseudowire, ErrRotating)
		}
		v.Previous, v.Rotated = v.Cookie, uint64(now.UnixNano())
		_, _ = rand.Read(v.Cookie[:])
		return nil
	})
}

// Retire implements dataplane.IdentityStore.
func (m *Maps) Retire(pseudowire string) error {
	_, err := m.change(pseudowire, func(v *bpf.LongwireIdentity) error {
		v.Previous, v.Rotated = [8]byte{}, 0
		return nil
	})
	return err
}

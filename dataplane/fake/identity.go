package fake

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"time"

	"longwire/dataplane"
)

// Identity implements dataplane.IdentityStore.
func (p *Plane) Identity(pseudowire string, reserved func(dataplane.SessionID) bool) (dataplane.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.do(Call{Op: OpIdentity, Pseudowire: pseudowire}, func() error {
		if known, ok := p.identities[pseudowire]; ok && !reserved(known.Session) {
			return nil
		}
		if _, ok := p.identities[pseudowire]; !ok {
			if err := p.room(len(p.identities)); err != nil {
				return err
			}
		}
		var err error
		p.identities[pseudowire], err = p.newIdentity(reserved)
		return err
	})
	if err != nil {
		return dataplane.Identity{}, fmt.Errorf("identity of %s: %w", pseudowire, err)
	}
	return p.identities[pseudowire], nil
}

func (p *Plane) newIdentity(reserved func(dataplane.SessionID) bool) (dataplane.Identity, error) {
	taken := map[dataplane.SessionID]bool{0: true}
	for _, identity := range p.identities {
		taken[identity.Session] = true
	}
	var b [12]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return dataplane.Identity{}, err
		}
		id := dataplane.SessionID(binary.BigEndian.Uint32(b[:4]))
		if taken[id] || reserved(id) {
			continue
		}
		cookie, err := dataplane.NewCookie(b[4:])
		return dataplane.Identity{Session: id, Cookie: cookie}, err
	}
}

// SetIdentity stores an identity, so that a test knows its values.
func (p *Plane) SetIdentity(pseudowire string, identity dataplane.Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.identities[pseudowire] = identity
}

// Identities returns the identities that are kept, by pseudowire.
func (p *Plane) Identities() map[string]dataplane.Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.identities)
}

// Forget implements dataplane.IdentityStore.
func (p *Plane) Forget(pseudowire string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.do(Call{Op: OpForget, Pseudowire: pseudowire}, func() error {
		delete(p.identities, pseudowire)
		return nil
	})
}

// Rotate implements dataplane.IdentityStore.
func (p *Plane) Rotate(pseudowire string, now time.Time) (dataplane.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.do(Call{Op: OpRotate, Pseudowire: pseudowire}, func() error {
		old, ok := p.identities[pseudowire]
		if !ok || !old.Rotated.IsZero() {
			return fmt.Errorf("rotate the cookie of %s: there is none, or a previous one", pseudowire)
		}
		fresh, err := p.newIdentity(func(dataplane.SessionID) bool { return false })
		p.identities[pseudowire] = dataplane.Identity{Session: old.Session, Cookie: fresh.Cookie, Previous: old.Cookie, Rotated: now}
		return err
	})
	return p.identities[pseudowire], err
}

// Retire implements dataplane.IdentityStore.
func (p *Plane) Retire(pseudowire string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.do(Call{Op: OpRetire, Pseudowire: pseudowire}, func() error {
		id := p.identities[pseudowire]
		p.identities[pseudowire] = dataplane.Identity{Session: id.Session, Cookie: id.Cookie}
		return nil
	})
}

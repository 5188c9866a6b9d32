package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/cmd/longwire/internal/plan"
	"longwire/dataplane"
)

// cookieHold is how long nothing must have come with a previous cookie before it
// is retired. It outlasts a packet on its way, and a route on its way to a far
// end behind slow reflectors.
const cookieHold = 60 * time.Second

// rotation watches the previous cookie of a pseudowire while it is accepted.
type rotation struct {
	frames uint64    // that came with it
	quiet  time.Time // since when no more came
}

// RotateCookies implements api.Backend. It gives pseudowires new cookies, all of
// the given ones or none (RFC 8159 section 5): both cookies are accepted, the new
// one is announced, and the previous one is retired when nobody uses it.
func (a *Agent) RotateCookies(ctx context.Context, names []string, all bool) ([]string, error) {
	var rotated []string
	err := a.ask(ctx, func() error {
		pseudowires, err := a.rotatable(names, all)
		if err != nil {
			return err
		}
		for _, name := range pseudowires {
			if _, failed := a.deps.Plane.Rotate(name, time.Now()); failed != nil {
				err = errors.Join(err, failed)
				continue
			}
			a.deps.Log.Info("new cookie", "pseudowire", name)
			rotated = append(rotated, name)
		}
		a.pass(time.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return rotated, nil
}

// rotatable returns the pseudowires of a request, or why one of them cannot have
// a new cookie. All means those that are signalled and have one.
func (a *Agent) rotatable(names []string, all bool) ([]string, error) {
	var found []string
	for _, pw := range a.cfg.Pseudowires {
		if all && pw.EVPN != nil && pw.CookieLength > 0 || slices.Contains(names, pw.Name) {
			if err := a.mayRotate(pw); err != nil {
				return nil, err
			}
			found = append(found, pw.Name)
		}
	}
	for _, name := range names {
		if !slices.Contains(found, name) {
			return nil, refuse("there is no pseudowire %s", name)
		}
	}
	if len(found) == 0 {
		return nil, refuse("no pseudowire has a cookie of its own: none is signalled")
	}
	return found, nil
}

func (a *Agent) mayRotate(pw config.Pseudowire) error {
	switch {
	case pw.EVPN == nil:
		return refuse("%s is not signalled: its cookies are static.local_cookie and previous_local_cookie in the configuration", pw.Name)
	case pw.CookieLength == 0:
		return refuse("%s has no cookie: cookie is 0 in the configuration", pw.Name)
	}
	id, err := a.deps.Plane.Identity(pw.Name, a.cfg.ReservedSession)
	if err == nil && !id.Rotated.IsZero() {
		return refuse("%s has had a new cookie since %s, and the previous one is still accepted: wait until it is retired",
			pw.Name, id.Rotated.UTC().Format(time.DateTime))
	}
	return err
}

func refuse(format string, args ...any) error {
	return &api.Refused{Message: fmt.Sprintf(format, args...)}
}

// retire takes back the previous cookies with which nothing has come for the
// hold. A restart begins the hold anew.
func (a *Agent) retire(identities map[string]plan.Identity, now time.Time) {
	var counters map[string]dataplane.Counters // read when they are needed
	watched := map[string]rotation{}
	for name, id := range identities {
		if id.Err != nil || id.Rotated.IsZero() {
			continue
		}
		if counters == nil {
			var err error
			if counters, err = a.deps.Plane.Counters(); err != nil {
				a.deps.Log.Error("cannot tell whether previous cookies are in use", "error", err)
				a.next = earlier(a.next, now.Add(retry))
				return
			}
		}
		w, frames := a.rotations[name], counters[name].PreviousCookie
		if w.quiet.IsZero() || w.frames != frames || !a.announces(id) {
			w = rotation{frames: frames, quiet: now}
		}
		end := w.quiet.Add(a.cookieHold)
		if now.Before(end) || !a.retireOne(name) {
			a.next = earlier(a.next, now.Add(a.cookieHold/4))
			if now.Before(end) {
				a.next = earlier(a.next, end)
			}
			watched[name] = w
			continue
		}
		id.Previous, id.Rotated = dataplane.Cookie{}, time.Time{}
		identities[name] = id
	}
	a.rotations = watched
}

func (a *Agent) retireOne(name string) bool {
	if err := a.deps.Plane.Retire(name); err != nil {
		a.deps.Log.Error("retire a previous cookie", "pseudowire", name, "error", err)
		return false
	}
	a.deps.Log.Info("previous cookie retired", "pseudowire", name)
	return true
}

// announces says whether the far ends can have learnt an identity's new cookie:
// while nobody hears us, or the change could not be applied here, they go on
// with the previous one.
func (a *Agent) announces(id plan.Identity) bool {
	for _, ad := range a.announced {
		if dataplane.SessionID(ad.Session) == id.Session && !bytes.HasPrefix(id.Cookie.Bytes(), []byte(ad.Cookie)) {
			return false
		}
	}
	r := a.speaker.Load()
	if r == nil {
		return false
	}
	for _, n := range r.Neighbors() {
		if n.State == "established" {
			return true
		}
	}
	return false
}

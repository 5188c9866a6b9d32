package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/evpn"
)

// Reload applies the configuration file, wholly or not at all, and returns when
// the kernel has it. The error is an *api.InvalidConfig when the file is
// refused; the running configuration then stays.
func (a *Agent) Reload(ctx context.Context) error {
	return a.ask(ctx, func() error {
		start, err := a.reload()
		if err != nil {
			a.deps.Log.Error("reload refused, the running configuration stays", "error", err)
			return err
		}
		a.pass(time.Now())
		start(context.WithoutCancel(ctx))
		a.deps.Log.Info("configuration reloaded", "pseudowires", len(a.cfg.Pseudowires))
		return nil
	})
}

func (a *Agent) reload() (start func(context.Context), err error) {
	next, err := a.deps.Load()
	if err != nil {
		return nil, &api.InvalidConfig{Message: err.Error()}
	}
	if keys := fixed(a.cfg, next); len(keys) > 0 {
		return nil, &api.InvalidConfig{Message: fmt.Sprintf("%s: %s cannot change while the agent runs; restart it", a.deps.File, strings.Join(keys, ", "))}
	}
	start = func(context.Context) {}
	switch r := a.speaker.Load(); {
	case r == nil:
		start = a.prepareSpeaker(next)
	case !next.BGP.Enabled():
		a.tell(nil)
		a.stopSpeaker()
		a.table, a.awaited, a.holdUntil, a.noEngine = evpn.NewTable(), nil, time.Time{}, ""
	default:
		if err := r.Reconfigure(speakerConfig(next)); err != nil {
			return nil, &api.InvalidConfig{Message: fmt.Sprintf("%s: bgp: %v", a.deps.File, err)}
		}
	}
	a.cfg = next
	a.release()
	return start, nil
}

// release stops waiting for peers that are no longer configured. Those of an
// operator's gobgpd never were.
func (a *Agent) release() {
	if a.cfg.BGP.Gobgpd != "" {
		return
	}
	for peer := range a.awaited {
		configured := false
		for _, n := range a.cfg.BGP.Neighbors {
			configured = configured || n.Address == peer
		}
		if !configured {
			a.complete(peer)
		}
	}
}

// fixed returns the keys that differ and are only read at the start.
func fixed(old, next *config.Config) []string {
	var keys []string
	for _, key := range []struct {
		name    string
		changed bool
	}{
		{"state", old.State != next.State},
		{"dataplane.capacity", old.Dataplane.Capacity != next.Dataplane.Capacity},
		{"dataplane.attach", old.Dataplane.Attach != next.Dataplane.Attach},
		{"metrics", old.Metrics != next.Metrics},
	} {
		if key.changed {
			keys = append(keys, key.name)
		}
	}
	return keys
}

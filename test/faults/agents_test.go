package faults

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestEqualRoutesWithAgents balances over both uplinks while agents live, which
// lease what they believe to be the next hop: the loss of the uplink in use is
// followed without waiting for a lease to end.
func TestEqualRoutesWithAgents(t *testing.T) {
	t.Parallel()
	binary, err := lab.Build(t.TempDir(), "longwire/cmd/longwire")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Topology: lab.NewTopology(t, lab.Options{Circuits: len(pseudowires), SecondUplink: true})}
	for side := 1; side <= 2; side++ {
		ce, pe := w.Side(side)
		config := lab.Config{Router: lab.Router{ID: pe.Source4, Source: []netip.Addr{pe.Source4, pe.Source6}}}
		for _, p := range pseudowires {
			silence(ce, lab.HostPort(p.number))
			config.Pseudowires = append(config.Pseudowires, p.config(side))
			w.ports[side-1] = append(w.ports[side-1], ce.Port(lab.HostPort(p.number)))
		}
		w.Agent(binary, pe, config).Launch()
	}
	w.keepAddresses()
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) { agentsFollow(t, w, p) })
	}
}

// config is the pseudowire in the configuration of a side.
func (p pseudowire) config(side int) lab.Pseudowire {
	far, encapsulation := 3-side, "ip"
	if p.udp {
		encapsulation = "udp"
	}
	return lab.Pseudowire{
		Name: p.String(), Interface: lab.Circuit(p.number), Source: p.source(side).String(),
		Encapsulation: encapsulation, Sublayer: "default",
		Static: &lab.Static{Remote: p.source(far), LocalSession: p.session(side), RemoteSession: p.session(far),
			LocalCookie: p.cookie(side), RemoteCookie: p.cookie(far)},
	}
}

// agentsFollowTime is how long following a loss may take: less than a lease lasts.
const agentsFollowTime = 2 * time.Second

func agentsFollow(t *testing.T, w *world, p pseudowire) {
	paths := w.watchPaths(t, p)
	w.balance(p)
	for _, lose := range losses {
		first := w.untilCrossed(t, p, followTime)
		used := paths.of(t, first)
		restore := lose(w, used)
		begin := time.Now()
		// A frame that was on its way when the uplink went may be the one seen.
		next := w.untilCrossed(t, p, followTime)
		if took := time.Since(begin); took > agentsFollowTime {
			t.Errorf("followed the loss of uplink %d after %v, want less than %v", used, took, agentsFollowTime)
		}
		if now := paths.of(t, next); now == used {
			t.Errorf("still by uplink %d, which was lost", now)
		}
		restore()
		w.balance(p)
		w.gatewayAnswers(t, p, used)
	}
	w.restoreRoutes()
}

// untilCrossed sends frames until one crosses, and returns it.
func (w *world) untilCrossed(t *testing.T, p pseudowire, within time.Duration) []byte {
	t.Helper()
	far := w.CE2.Sniff(lab.HostPort(p.number))
	defer far.Close()
	var frame []byte
	err := lab.Await(within, func() error {
		w.tries++
		frame = innerFrame(w.tries<<8+p.number, 200)
		if err := w.ports[0][p.number].Send(frame); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		_, err := far.Await(50*time.Millisecond, func(f []byte) bool { return bytes.Equal(f, frame) })
		return err
	})
	if err != nil {
		t.Fatalf("no frame crossed within %v: %v", within, err)
	}
	return frame
}

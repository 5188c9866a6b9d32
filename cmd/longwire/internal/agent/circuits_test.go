package agent

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane/fake"
)

func TestPromiscuousMode(t *testing.T) {
	scene(t, staticConfig(), func(b *bench) {
		file := filepath.Join(b.dir, circuitsFile)
		on, calls := b.promisc.state()
		if !slices.Equal(on, []int{circuit}) {
			t.Errorf("promiscuous: %v", on)
		}
		if got := readCircuits(file); !slices.Equal(got, []string{"eth2"}) {
			t.Errorf("remembered %v", got)
		}
		b.links.carrier(false)
		b.wait(time.Second)
		if _, n := b.promisc.state(); n != calls {
			t.Error("set again without need")
		}
		b.wait(10 * fullPass)
		if _, n := b.promisc.state(); n-calls < 9 || n-calls > 11 {
			t.Errorf("set %d times in ten minutes", n-calls)
		}

		// Another configuration after a restart: the old circuit is put back.
		b.cfg = edit(b.cfg, func(cfg *config.Config) { cfg.Pseudowires = nil })
		b.restart()
		if on, _ := b.promisc.state(); len(on) != 0 {
			t.Errorf("still promiscuous: %v", on)
		}
		if got := readCircuits(file); len(got) != 0 {
			t.Errorf("remembered %v", got)
		}
	})
}

func TestPromiscuousModeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, staticConfig())
		b.promisc.fail(syscall.EPERM)
		b.start()
		defer b.stop()
		b.expect("refused", "blocked", "permission", "static")
		b.promisc.fail(syscall.ENODEV)
		b.wait(retry)
		b.expect("interface just gone", "up", "", "static")
	})
}

// A pseudowire that is gone leaves nothing: session, identity, counters.
func TestForget(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.cfg = edit(b.cfg, func(cfg *config.Config) { cfg.Pseudowires = nil })
		b.restart()
		b.announces("removed", 0)
		b.wait(2 * fullPass)
		if s := b.plane.State(); len(s.Receive)+len(s.Transmit)+len(b.plane.Identities()) != 0 {
			t.Errorf("left behind: %+v, %v", s, b.plane.Identities())
		}
	})
}

func TestFullPassEveryMinute(t *testing.T) {
	scene(t, staticConfig(), func(b *bench) {
		b.wait(10 * time.Second)
		reads := func() (n int) {
			for _, c := range b.plane.Calls() {
				if c.Op == fake.OpRead {
					n++
				}
			}
			return n
		}
		before := reads()
		b.wait(10 * fullPass)
		if n := reads() - before; n < 10 || n > 30 {
			t.Errorf("%d reads in 10 minutes of rest", n)
		}
	})
}

package agent

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/fake"
	"longwire/dataplane/link"
)

// A way into the circuit closes it at once, and the right one opens it at once;
// the way is asked for all the time.
func TestLoopAndReturn(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		wanted := b.resolver.wanted()
		b.resolver.lead(circuit, 1500)
		b.wait(2 * minPause)
		b.expect("led into the circuit", "blocked", "loop", "signalled")
		b.sends("led into the circuit", 0)
		if closed := b.plane.State().Transmit[dataplane.Port(circuit)]; closed.Pseudowire != "a" {
			t.Errorf("the circuit is open to the host: %+v", closed)
		}
		b.announces("led into the circuit", 1)
		b.wait(10 * time.Minute)
		if got := b.resolver.wanted(); !slices.Equal(got, wanted) || len(got) != 1 {
			t.Errorf("flows %v, want %v", got, wanted)
		}
		b.expect("after a while", "blocked", "loop", "signalled")
		b.resolver.lead(underlay, 1500)
		b.wait(2 * minPause)
		b.expect("led right", "up", "", "signalled")
		b.sends("led right", learnedSession)
	})
}

func TestPathMTUIsShownAtOnce(t *testing.T) {
	cfg := edit(signalledConfig(), func(c *config.Config) { c.Pseudowires[0].ClampMSS = true })
	scene(t, cfg, func(b *bench) {
		b.send(route(peer1))
		b.resolver.lead(underlay, 1600)
		b.wait(2 * minPause)
		if s := b.status(); s.UnderlayMTU != 1600 || s.MaxPayload != 1558 || s.NeedMTU != 1542 || s.NeedMTU1500 != 1542 || s.TooBig != "fragment" || s.Detail != "" {
			t.Errorf("%+v", s)
		}
		b.resolver.lead(underlay, 1400)
		b.wait(2 * minPause)
		if s := b.status(); s.UnderlayMTU != 1400 || s.MaxPayload != 1358 || !strings.Contains(s.Detail, "payloads above 1358 bytes are fragmented") {
			t.Errorf("%+v", s)
		}
		clamped := b.plane.State()
		if tx, rx := clamped.Transmit[dataplane.Port(circuit)].ClampMTU, clamped.Receive[555555].ClampMTU; tx != 1358 || rx != 1358 {
			t.Errorf("clamps to %d and %d", tx, rx)
		}

		// The next agent does not know the way at first, and touches nothing.
		b.resolver = newFakeResolver()
		b.restart()
		if diff := cmp.Diff(clamped, b.plane.State(), compareAddr, compareCookie); diff != "" {
			t.Errorf("the restart changed what is forwarded:\n%s", diff)
		}
	})
}

func TestAdmissionIsSetOnce(t *testing.T) {
	scene(t, staticConfig(), func(b *bench) {
		want := dataplane.Admission{Endpoints: []dataplane.Endpoint{{Address: own}}}
		if diff := cmp.Diff(want, b.plane.Admission(), compareAddr); diff != "" {
			t.Errorf("at the start (-want +got):\n%s", diff)
		}
		sets := func() (n int) {
			for _, c := range b.plane.Calls() {
				if c.Op == fake.OpAdmission {
					n++
				}
			}
			return n
		}
		b.wait(10 * fullPass)
		if sets() != 1 {
			t.Errorf("set %d times", sets())
		}
		b.plane.Fail(fake.On(fake.OpAdmission, syscall.EIO))
		if err := b.reload(edit(b.cfg, func(c *config.Config) { c.Dataplane.DropUnknown = true }), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"set what becomes of unknown sessions: input/output error"}, b.agent.Agent().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		b.plane.Heal()
		b.wait(retry)
		if !b.plane.Admission().DropUnknown || len(b.agent.Agent().Problems) != 0 {
			t.Errorf("healed: %+v, problems %v", b.plane.Admission(), b.agent.Agent().Problems)
		}
		b.restart()
		if sets() != 1 {
			t.Errorf("a restart sets it %d times", sets())
		}
	})
}

// Two pseudowires on one port, and what neither takes is the host's; nothing of
// it is left when they are gone.
func TestCircuitsOfOnePort(t *testing.T) {
	cfg := staticConfig()
	cfg.Pseudowires[0].VLANs = dataplane.VLANs{Outer: "100"}
	second := cfg.Pseudowires[0]
	second.Name, second.VLANs = "b", dataplane.VLANs{Outer: "200", Inner: 7}
	second.Static = staticFarEnd(config.WhenAlways)
	second.Static.LocalSession = 1013
	cfg.Pseudowires = append(cfg.Pseudowires, second)
	scene(t, cfg, func(b *bench) {
		whole := dataplane.Port(circuit)
		host := dataplane.Transmit{Circuit: whole, Shared: true, ToHost: true}
		if s := b.plane.State(); s.Transmit[whole] != host || len(s.Transmit) != 3 {
			t.Errorf("%+v", s.Transmit)
		}
		shown := map[string]string{}
		for _, p := range b.agent.Pseudowires() {
			shown[p.Name] = p.State + " " + p.Interface + " " + p.VLANs
		}
		if diff := cmp.Diff(map[string]string{"a": "up eth2 100", "b": "up eth2 200 inner 7"}, shown); diff != "" {
			t.Errorf("shown (-want +got):\n%s", diff)
		}
		sessions, err := b.agent.Sessions(false)
		if err != nil || len(sessions) != 5 || sessions[0].Pseudowire != "" || !slices.Equal(sessions[0].Options, []string{"shared", "to-host"}) {
			t.Errorf("sessions %+v, %v", sessions, err)
		}
		b.plane.Reset()
		if err := b.reload(edit(b.cfg, func(c *config.Config) { c.Pseudowires = nil }), nil); err != nil {
			t.Fatal(err)
		}
		b.wait(2 * fullPass)
		if s := b.plane.State(); len(s.Receive)+len(s.Transmit) != 0 {
			t.Errorf("left behind: %+v", s)
		}
		for _, c := range b.plane.Calls() {
			if c.Op == fake.OpForget && c.Pseudowire == "" {
				t.Error("forgets the host")
			}
		}
	})
}

// What cannot be given to the host is told, although it is no pseudowire's.
func TestHostShareFails(t *testing.T) {
	cfg := staticConfig()
	cfg.Pseudowires[0].VLANs = dataplane.VLANs{Outer: "100"}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg)
		b.plane.Fail(fake.When(func(c fake.Call) bool { return c.Op == fake.OpPutTransmit && c.Pseudowire == "" }, syscall.EIO))
		b.start()
		defer b.stop()
		want := []string{"put transmit on circuit 3 of the host: input/output error"}
		if diff := cmp.Diff(want, b.agent.Agent().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		b.plane.Heal()
		b.wait(retry)
		if got := b.agent.Agent().Problems; len(got) != 0 {
			t.Errorf("healed: %v", got)
		}
	})
}

// The drivers are asked once for each interface, and not without need.
func TestNativeXDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signalledConfig())
		b.xdp.native = []int{circuit}
		b.start()
		defer func() { b.stop() }()
		if b.xdp.asked != 0 {
			t.Errorf("asked %d times although XDP is off", b.xdp.asked)
		}
		if err := b.reload(edit(b.cfg, func(c *config.Config) { c.Dataplane.XDP.Auto = true }), nil); err != nil {
			t.Fatal(err)
		}
		b.wait(10 * fullPass)
		if want := len(b.links.Snapshot().Links); b.xdp.asked != want {
			t.Errorf("asked %d times for %d interfaces", b.xdp.asked, want)
		}
		if got := b.agent.xdp; !got[circuit] || got[underlay] {
			t.Errorf("known: %v", got)
		}
		b.links.change(func(links map[string]link.Link) { delete(links, "eth2") })
		b.wait(time.Second)
		if _, known := b.agent.xdp[circuit]; known {
			t.Error("an interface that is gone is still known")
		}
	})
}

// An interface that does without XDP is a problem that is shown, and no more.
func TestWithoutXDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signalledConfig())
		b.xdp.setWithout(map[int]error{circuit: errors.New("it has another program")})
		b.start()
		defer func() { b.stop() }()
		if diff := cmp.Diff([]string{"dataplane.xdp: eth2: it has another program"}, b.agent.Agent().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		b.xdp.setWithout(nil)
		b.wait(fullPass)
		got := b.agent.Agent().Problems
		if slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, "xdp") }) {
			t.Errorf("with XDP: %v", got)
		}
	})
}

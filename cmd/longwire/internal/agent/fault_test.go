package agent

import (
	"errors"
	"net/netip"
	"os"
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
	"longwire/evpn"
)

func TestCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := signalledConfig()
		second := cfg.Pseudowires[0]
		second.Name, second.Interface = "b", "eth3"
		second.EVPN = &config.EVPN{RouteTargets: []evpn.RouteTarget{target}, LocalService: 201, RemoteService: 202}
		cfg.Pseudowires = append(cfg.Pseudowires, second)
		b := newBench(t, cfg)
		b.plane.SetIdentity("b", dataplane.Identity{Session: 666666})
		b.links.links["eth3"] = link.Link{Index: 4, Name: "eth3", MTU: 1500, AdminUp: true, Carrier: true, Ethernet: true}
		b.plane.SetCapacity(1)
		b.start()
		defer b.stop()
		all := b.agent.Pseudowires()
		if all[0].Reason != "no_remote" || all[1].State != "blocked" || all[1].Reason != "capacity" {
			t.Errorf("with room for one: %+v", all)
		}
		if ads := b.speaker().last(); len(ads) != 1 || ads[0].Session != 555555 {
			t.Errorf("announced %+v, want only what can be received", ads)
		}
		b.plane.SetCapacity(2)
		b.wait(retry)
		if all := b.agent.Pseudowires(); all[1].Reason != "no_remote" {
			t.Errorf("with room again: %+v", all[1])
		}
		b.announces("with room again", 2)
	})
}

func TestTargetErrors(t *testing.T) {
	tests := []struct {
		name          string
		fault         fake.Fault
		state, reason string
		announced     int
	}{
		{"receive refused", fake.On(fake.OpPutReceive, syscall.EPERM), "blocked", "permission", 0},
		{"receive fails", fake.On(fake.OpPutReceive, syscall.EIO), "blocked", "program_failed", 0},
		{"transmit fails", fake.On(fake.OpPutTransmit, syscall.EIO), "blocked", "program_failed", 1},
		{"attach refused", fake.On(fake.OpAttachCircuit, syscall.EPERM), "blocked", "permission", 1},
		{"no identity", fake.On(fake.OpIdentity, dataplane.ErrCapacity), "blocked", "capacity", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, signalledConfig())
				b.plane.Fail(tt.fault)
				b.start()
				defer b.stop()
				b.send(route(peer1))
				if s := b.status(); s.State != tt.state || s.Reason != tt.reason {
					t.Errorf("%+v, want %s %s", s, tt.state, tt.reason)
				}
				b.announces("with the fault", tt.announced)
				b.plane.Heal()
				b.wait(retry)
				b.expect("healed", "up", "", "signalled")
				b.announces("healed", 1)
			})
		})
	}
}

func TestUnreadablePlane(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.plane.Fail(fake.On(fake.OpRead, syscall.EIO))
		b.send(route(peer1))
		if got := b.agent.Agent().Problems; len(got) != 1 || !strings.Contains(got[0], "input/output error") {
			t.Errorf("problems %v", got)
		}
		b.sends("unreadable", 0)
		b.plane.Heal()
		b.wait(retry)
		b.expect("readable", "up", "", "signalled")
	})
}

func TestUnderlayProblem(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.plane.Fail(fake.On(fake.OpAttachUnderlay, syscall.EPERM))
		b.links.change(func(links map[string]link.Link) {
			links["eth9"] = link.Link{Index: 9, Name: "eth9", MTU: 1500, AdminUp: true, Carrier: true, Ethernet: true, Addresses: []netip.Addr{far2}}
		})
		b.wait(time.Second)
		if diff := cmp.Diff([]string{"underlay eth9: operation not permitted"}, b.agent.Agent().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	})
}

// What another program takes away is back within a minute, and told.
func TestRepair(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.wait(5 * time.Second)
		b.plane.SetState(dataplane.State{})
		b.plane.Detach(circuit)
		b.wait(fullPass)
		b.sends("after a full pass", learnedSession)
		if got := b.plane.Attached().Circuits; !slices.Equal(got, []int{circuit}) {
			t.Errorf("attached %v", got)
		}
		if got := b.agent.Agent().Repairs; got != 3 {
			t.Errorf("%d repairs, want receive, transmit and program", got)
		}
	})
}

// A flood of changes costs few writes and ends in the right state.
func TestFlood(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.plane.Reset()
		for i := range 6000 {
			b.speaker().events <- route(peer1)
			if i%2 == 0 {
				b.speaker().events <- withdrawal(peer1)
			}
			time.Sleep(time.Millisecond)
		}
		b.wait(time.Second)
		b.expect("after the flood", "up", "", "signalled")
		if n := len(b.plane.Writes()); n > 6000/20*8 {
			t.Errorf("%d writes in 6 s", n)
		}
	})
}

func TestSpeakerFailureEndsTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signalledConfig())
		b.start()
		b.speaker().fail <- errors.New("port 179 is in use")
		if err := <-b.done; err == nil || !strings.Contains(err.Error(), "port 179 is in use") {
			t.Errorf("Run: %v", err)
		}
		b.cancel()
	})
}

func TestStateDirectoryIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, staticConfig())
		if err := os.Remove(b.dir); err != nil {
			t.Fatal(err)
		}
		b.start()
		defer b.stop()
		if got := b.agent.Agent().Problems; len(got) != 1 || !strings.Contains(got[0], "remember the circuits") {
			t.Errorf("problems %v", got)
		}
		b.expect("all the same", "up", "", "static")
	})
}

package tc_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// pair joins the two PEs of a new topology.
func pair(t *testing.T, o lab.Options, mode tc.Mode, c carrier) (*lab.Topology, [2]*end) {
	t.Helper()
	top := lab.NewTopology(t, o)
	ends := [2]*end{openEnd(t, top, top.PE1, mode), openEnd(t, top, top.PE2, mode)}
	for i, e := range ends {
		e.join(t, c, i+1)
		e.serve(t)
	}
	return top, ends
}

func reachable(t *testing.T, top *lab.Topology, when string) {
	t.Helper()
	if err := top.CE1.Ping(lab.Host4(2, 0), 56, 5*time.Second); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// modes returns the ways to attach that the kernel has. It refuses to do without
// TCX where that is asked for.
func modes(t *testing.T) []tc.Mode {
	t.Helper()
	if tc.HaveTCX() == nil {
		return []tc.Mode{tc.ModeTCX, tc.ModeClsact}
	}
	lab.Absent(t, "attach")
	top := lab.NewTopology(t, lab.Options{})
	err := top.PE1.Do(func() error {
		_, err := tc.Open(tc.Options{PinDir: top.BPFFS() + "/tcx", Capacity: 64, Mode: tc.ModeTCX})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "needs Linux 6.6") {
		t.Errorf("TCX is asked for: %v", err)
	}
	return []tc.Mode{tc.ModeClsact}
}

// TestDeadAgent forwards with nobody at home, and follows the next hop's MAC
// and the route without losing the session.
func TestDeadAgent(t *testing.T) {
	for _, mode := range modes(t) {
		for _, c := range []carrier{{false, false}, {true, true}} {
			t.Run(fmt.Sprintf("%s-%s", mode, c), func(t *testing.T) {
				top, ends := pair(t, lab.Options{SecondUplink: true}, mode, c)
				ends[0].lease(t, top, c, 1)
				reachable(t, top, "with a lease")
				for _, e := range ends {
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
				}
				reachable(t, top, "agent dead, lease running")
				// Nobody tells the PE about the new address, which the kernel's own
				// neighbour code finds out in its own time: made shorter here, from
				// the minute that it may take by default.
				for _, family := range []string{"ipv4", "ipv6"} {
					neigh := "net/" + family + "/neigh/" + lab.Uplink + "/"
					top.PE1.Sysctl(neigh+"base_reachable_time_ms", "1000")
					top.PE1.Sysctl(neigh+"delay_first_probe_time", "1")
				}
				top.PE1.FlushNeighbours(lab.Uplink)
				reachable(t, top, "with the neighbour found again")
				top.P.SetMAC("pe1", net.HardwareAddr{2, 0, 0, 0, 0, 0x77})
				if err := top.CE1.Ping(lab.Host4(2, 0), 56, 20*time.Second); err != nil {
					t.Errorf("after the next hop's MAC changed: %v", err)
				}
				via := "10.0.4.254"
				if c.v6 {
					top.PE1.Run("ip", "-6", "route", "replace", "default", "via", "fd00:0:0:4::fe")
				} else {
					top.PE1.Run("ip", "route", "replace", "default", "via", via)
				}
				top.PE1.Down(lab.Uplink)
				if c.v6 {
					top.P.Run("ip", "-6", "route", "replace", lab.PE1Source6.String()+"/128", "via", "fd00:0:0:4::1")
				} else {
					top.P.Run("ip", "route", "replace", lab.PE1Source4.String()+"/32", "via", "10.0.4.1")
				}
				// The way back needs a program on the new uplink.
				ends[0].reopen(t, tc.Options{Mode: mode})
				err := ends[0].pe.Do(func() error {
					want := dataplane.Attachments{Circuits: []int{top.PE1.Index(lab.Circuit(0))}, Underlays: []int{top.PE1.Index(lab.Uplink2)}}
					_, failed := ends[0].Attach(want)
					if len(failed) > 0 {
						return fmt.Errorf("attach: %v", failed)
					}
					return ends[0].Close()
				})
				if err != nil {
					t.Fatal(err)
				}
				reachable(t, top, "after the route changed")
			})
		}
	}
}

// TestReopen is an upgrade under traffic: the programs are replaced in place
// and no frame is lost.
func TestReopen(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			top, ends := pair(t, lab.Options{}, mode, carrier{false, true})
			reachable(t, top, "before")
			stream := top.Stream(top.CE1, lab.HostPort(0), top.CE2, lab.HostPort(0), time.Millisecond)
			for range 4 {
				for _, e := range ends {
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
					e.reopen(t, tc.Options{Mode: mode})
					e.serve(t)
				}
			}
			if sent, lost := stream.Stop(); lost > 0 || sent < 100 {
				t.Errorf("%d of %d frames lost", lost, sent)
			}
		})
	}
}

// TestModeChange takes over what the other mode attached. A frame may be lost on
// the way: the kernel stops a device while it adds or removes a clsact qdisc.
func TestModeChange(t *testing.T) {
	have := modes(t)
	automatic := have[0]
	top, ends := pair(t, lab.Options{}, tc.ModeClsact, carrier{})
	for _, mode := range append(have, tc.ModeAuto) {
		for _, e := range ends {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e.reopen(t, tc.Options{Mode: mode})
			e.serve(t)
		}
		reachable(t, top, "in mode "+string(mode))
		clsact := strings.Contains(top.PE1.Run("tc", "qdisc", "show"), "clsact")
		if programs := top.PE1.TCX(lab.Uplink); clsact != (mode == tc.ModeClsact || mode == tc.ModeAuto && automatic == tc.ModeClsact) || (programs == 1) == clsact {
			t.Errorf("mode %s: clsact %v, %d TCX programs", mode, clsact, programs)
		}
	}
}

// TestRepair puts back what somebody took away, and says so.
func TestRepair(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			top, ends := pair(t, lab.Options{}, mode, carrier{})
			want := dataplane.Attachments{Circuits: []int{top.PE1.Index(lab.Circuit(0))}, Underlays: []int{top.PE1.Index(lab.Uplink)}}
			attach := func() int {
				repaired := 0
				err := top.PE1.Do(func() error {
					n, failed := ends[0].Attach(want)
					repaired = n
					if len(failed) > 0 {
						return fmt.Errorf("attach: %v", failed)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				return repaired
			}
			if n := attach(); n != 0 {
				t.Errorf("%d repaired when nothing was wrong", n)
			}
			broken := 0
			if mode == tc.ModeClsact {
				top.PE1.Run("tc", "qdisc", "del", "dev", lab.Uplink, "clsact")
				broken = 1
			}
			top.PE1.DeleteLink("longwire0")
			if n := attach(); n != broken {
				t.Errorf("%d repaired, want %d", n, broken)
			}
			reachable(t, top, "after the repair")
		})
	}
}

// TestAttachFailure names the interface that is not there and serves the rest.
func TestAttachFailure(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			top, ends := pair(t, lab.Options{}, mode, carrier{})
			const absent = 4242
			want := dataplane.Attachments{Circuits: []int{top.PE1.Index(lab.Circuit(0)), absent}, Underlays: []int{top.PE1.Index(lab.Uplink)}}
			err := top.PE1.Do(func() error {
				if _, failed := ends[0].Attach(want); len(failed) != 1 || failed[absent] == nil {
					return fmt.Errorf("failed: %v, want interface %d alone", failed, absent)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			reachable(t, top, "with an absent interface")
		})
	}
}

// TestUninstall leaves nothing, twice.
func TestUninstall(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			top, ends := pair(t, lab.Options{}, mode, carrier{})
			reachable(t, top, "before")
			e := ends[0]
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := top.PE1.Do(func() error { return tc.Uninstall(e.dir) }); err != nil {
					t.Fatal(err)
				}
			}
			if out := top.PE1.Run("tc", "qdisc", "show"); strings.Contains(out, "clsact") {
				t.Errorf("a qdisc is left:\n%s", out)
			}
			for _, dev := range []string{lab.Circuit(0), lab.Uplink} {
				if n := top.PE1.TCX(dev); n != 0 {
					t.Errorf("%d programs left on %s", n, dev)
				}
			}
			for _, dev := range top.PE1.Links() {
				if strings.HasPrefix(dev, "longwire") {
					t.Errorf("%s is left", dev)
				}
			}
			if err := top.CE1.Ping(lab.Host4(2, 0), 56, time.Second); err == nil {
				t.Error("still forwarding")
			}
		})
	}
}

// TestBusy keeps a second process away from the pins of the first, whatever
// else the two do not share.
func TestBusy(t *testing.T) {
	top, ends := pair(t, lab.Options{}, tc.ModeAuto, carrier{})
	err := top.PE1.Do(func() error {
		if _, err := tc.Open(tc.Options{PinDir: ends[0].dir, Capacity: 64}); !errors.Is(err, tc.ErrBusy) {
			return fmt.Errorf("opened twice: %w", err)
		}
		if err := tc.Uninstall(ends[0].dir); !errors.Is(err, tc.ErrBusy) {
			return fmt.Errorf("uninstalled while open: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	reachable(t, top, "after both were refused")
}

package tc_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// forXDP makes what is at the other end of a PE's veth devices as good as a
// wire: it computes its checksums and writes its tags itself, and takes frames
// from XDP programs.
func forXDP(top *lab.Topology) {
	for _, ce := range []*lab.Namespace{top.CE1, top.CE2} {
		ce.Run("ethtool", "-K", lab.HostPort(0), "tx", "off", "txvlan", "off", "tx-vlan-stag-hw-insert", "off", "gro", "on")
	}
	for _, port := range []string{"pe1", "pe2"} {
		top.P.Run("ethtool", "-K", port, "gro", "on")
	}
}

// attachXDP attaches the programs of both kinds to a PE's circuit and uplink.
func (e *end) attachXDP(t *testing.T) (repaired int) {
	t.Helper()
	circuit, uplink := e.pe.Index(lab.Circuit(0)), e.pe.Index(lab.Uplink)
	err := e.pe.Do(func() error {
		n, failed := e.Attach(dataplane.Attachments{Circuits: []int{circuit}, Underlays: []int{uplink}, XDP: []int{circuit, uplink}})
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

// wantXDP compares the interfaces that do without XDP with those expected.
func (e *end) wantXDP(t *testing.T, without ...string) {
	t.Helper()
	var got, want []int
	for i := range e.WithoutXDP() {
		got = append(got, i)
	}
	for _, dev := range without {
		want = append(want, e.pe.Index(dev))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: without XDP are %v, want %v", e.pe.Role, e.WithoutXDP(), want)
	}
}

// xdpPair is pair with XDP on every interface of the PEs, and next hops leased
// until the test ends: without a lease tc does the work.
func xdpPair(t *testing.T, o lab.Options, c carrier) (*lab.Topology, [2]*end) {
	t.Helper()
	top, ends := pair(t, o, tc.ModeAuto, c)
	forXDP(top)
	for i, e := range ends {
		e.attachXDP(t)
		e.wantXDP(t)
		e.keepLease(t, top, c, i+1, lab.UnderlayMTU)
	}
	return top, ends
}

// keepLease renews the end's lease until the test ends, as the agent does.
func (e *end) keepLease(t *testing.T, top *lab.Topology, c carrier, side, mtu int) {
	t.Helper()
	e.leaseMTU(t, top, c, side, mtu)
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done })
	flow, nh := e.leased(top, c, side, mtu)
	go func() {
		defer close(done)
		tick := time.NewTicker(dataplane.LeaseDuration / 3)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				e.renew(flow, nh)
			}
		}
	}()
}

// renew renews a lease; between two openings of the plane there is nothing to
// write to.
func (e *end) renew(flow dataplane.Flow, nh dataplane.NextHop) {
	e.leasing.Lock()
	defer e.leasing.Unlock()
	if !e.shut {
		_ = e.Lease(flow, nh)
	}
}

// byXDP runs f and returns how often each tc program ran meanwhile: what XDP
// does they never see.
func (e *end) byXDP(t *testing.T, f func()) (encap, decap uint64) {
	t.Helper()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		t.Fatalf("enable statistics: %v", err)
	}
	defer func() { _ = stats.Close() }()
	runs := func(p *ebpf.Program) uint64 {
		s, err := p.Stats()
		if err != nil {
			t.Fatalf("read statistics: %v", err)
		}
		return s.RunCount
	}
	p := e.Programs()
	encap, decap = runs(p.Encap), runs(p.Decap)
	f()
	return runs(p.Encap) - encap, runs(p.Decap) - decap
}

// TestXDPForward joins two hosts by XDP alone over all carriers, with small and
// with large frames, and moves bytes by TCP.
func TestXDPForward(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			top, ends := xdpPair(t, lab.Options{}, c)
			reachable(t, top, "small frames")
			encap, decap := ends[0].byXDP(t, func() {
				if err := top.CE1.Ping(lab.Host4(2, 0), 1472, 5*time.Second); err != nil {
					t.Errorf("large frames: %v", err)
				}
				if _, err := top.Transfer(top.CE1, top.CE2, lab.Host4(2, 0), 16<<20, 20*time.Second); err != nil {
					t.Error(err)
				}
				if _, err := top.Transfer(top.CE2, top.CE1, lab.Host6(1, 0), 16<<20, 20*time.Second); err != nil {
					t.Error(err)
				}
			})
			// Twice 16 MiB are 23,000 frames in one direction and some
			// acknowledgements in the other. Neighbour discovery goes by tc.
			if encap > 100 || decap > 100 {
				t.Errorf("%d frames encapsulated and %d packets decapsulated by tc", encap, decap)
			}
			all, err := ends[0].Counters()
			if err != nil {
				t.Fatal(err)
			}
			if n := all["p"]; n.EncapPackets < 11000 || n.DecapPackets < 11000 {
				t.Errorf("counted %+v", n)
			}
		})
	}
}

// TestXDPUnmatched leaves what is not ours to the host on both kinds of ports.
func TestXDPUnmatched(t *testing.T) {
	top, _ := xdpPair(t, lab.Options{}, carrier{})
	if err := top.PE1.Ping(lab.RRSource4, 56, 5*time.Second); err != nil {
		t.Errorf("the PE itself: %v", err)
	}
}

// TestXDPReopen is an upgrade under traffic: the programs are replaced in place
// and no frame is lost.
func TestXDPReopen(t *testing.T) {
	c := carrier{false, true}
	top, ends := xdpPair(t, lab.Options{}, c)
	reachable(t, top, "before")
	stream := top.Stream(top.CE1, lab.HostPort(0), top.CE2, lab.HostPort(0), time.Millisecond)
	for range 4 {
		for i, e := range ends {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e.reopen(t, tc.Options{})
			e.lease(t, top, c, i+1)
			if n := e.attachXDP(t); n != 0 {
				t.Errorf("%d repaired when nothing was wrong", n)
			}
			e.wantXDP(t)
		}
	}
	if sent, lost := stream.Stop(); lost > 0 || sent < 100 {
		t.Errorf("%d of %d frames lost", lost, sent)
	}
	if encap, decap := ends[0].byXDP(t, func() { reachable(t, top, "after") }); encap > 10 || decap > 10 {
		t.Errorf("%d frames encapsulated and %d packets decapsulated by tc", encap, decap)
	}
}

// xdpOf returns what the kernel says of a device's XDP program.
func xdpOf(t *testing.T, pe *lab.PE, dev string) (x netlink.LinkXdp) {
	t.Helper()
	err := pe.Do(func() error {
		l, err := netlink.LinkByName(dev)
		if err == nil && l.Attrs().Xdp != nil {
			x = *l.Attrs().Xdp
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// stripsTags says whether a device takes VLAN tags out of frames.
func stripsTags(pe *lab.PE, dev string) bool {
	return strings.Contains(pe.Run("ethtool", "-k", dev), "rx-vlan-offload: on")
}

// TestXDPDetach puts everything back: by configuration, by uninstalling, and
// after a crash between the two.
func TestXDPDetach(t *testing.T) {
	devices := []string{lab.Circuit(0), lab.Uplink}
	for name, away := range map[string]func(*testing.T, *end){
		"configured": func(t *testing.T, e *end) { e.serve(t) },
		"crashed": func(t *testing.T, e *end) {
			for _, role := range []string{"encap", "decap"} {
				pin := fmt.Sprintf("%s/xdp-%s-%d", e.dir, role, e.pe.Index(map[string]string{"encap": lab.Circuit(0), "decap": lab.Uplink}[role]))
				if err := os.Remove(pin); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e.reopen(t, tc.Options{})
			e.serve(t)
		},
		"uninstalled": func(t *testing.T, e *end) {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := e.pe.Do(func() error { return tc.Uninstall(e.dir) }); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(e.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the pin directory is left: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			top, ends := xdpPair(t, lab.Options{}, carrier{})
			for _, dev := range devices {
				if x := xdpOf(t, top.PE1, dev); !x.Attached || x.AttachMode != attachedNative {
					t.Errorf("%s before: %+v, want a native program", dev, x)
				}
				if stripsTags(top.PE1, dev) {
					t.Errorf("%s takes tags out of the frames that XDP sees", dev)
				}
			}
			away(t, ends[0])
			for _, dev := range devices {
				if x := xdpOf(t, top.PE1, dev); x.Attached {
					t.Errorf("%s afterwards: %+v", dev, x)
				}
				if !stripsTags(top.PE1, dev) {
					t.Errorf("%s does not take tags out any more", dev)
				}
			}
			if name != "uninstalled" {
				reachable(t, top, "by tc")
			}
		})
	}
}

// attachedNative is XDP_ATTACHED_DRV of include/uapi/linux/if_link.h.
const attachedNative = 1

// TestXDPRepair puts back what somebody took away, and says so.
func TestXDPRepair(t *testing.T) {
	top, ends := xdpPair(t, lab.Options{}, carrier{})
	e := ends[0]
	if n := e.attachXDP(t); n != 0 {
		t.Errorf("%d repaired when nothing was wrong", n)
	}
	l, err := link.LoadPinnedLink(fmt.Sprintf("%s/xdp-decap-%d", e.dir, e.pe.Index(lab.Uplink)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Detach(), l.Close()); err != nil {
		t.Fatal(err)
	}
	reachable(t, top, "with the program gone")
	top.PE1.Run("ethtool", "-K", lab.Circuit(0), "rxvlan", "on")
	if n := e.attachXDP(t); n != 1 {
		t.Errorf("%d repaired, want 1", n)
	}
	e.wantXDP(t)
	if stripsTags(top.PE1, lab.Circuit(0)) {
		t.Error("the circuit takes tags out again")
	}
	if encap, decap := e.byXDP(t, func() { reachable(t, top, "afterwards") }); encap > 10 || decap > 10 {
		t.Errorf("%d frames encapsulated and %d packets decapsulated by tc", encap, decap)
	}
}

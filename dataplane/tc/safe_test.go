package tc_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"longwire/dataplane/maps"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// safeModes are the ways to do without a feature, each with a carrier that is
// carried differently by it.
var safeModes = map[string]struct {
	safe maps.Safe
	c    carrier
}{
	"no-kernel-context": {maps.Safe{NoKernelContext: true}, carrier{true, true}},
	"no-decap-flags":    {maps.Safe{NoDecapFlags: true}, carrier{true, false}},
	"cut-first":         {maps.Safe{CutFirst: true}, carrier{false, true}},
	"all":               {maps.Safe{NoKernelContext: true, NoDecapFlags: true, CutFirst: true}, carrier{true, true}},
}

// TestSafeModes moves bytes by TCP in each safe mode, from the start and by a
// change of mode over what an earlier agent left: its helper pair, for one, still
// has its checksum offload then.
func TestSafeModes(t *testing.T) {
	for name, mode := range safeModes {
		for _, off := range []bool{false, true} {
			for _, changed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s-underlay-off=%v-changed=%v", name, off, changed), func(t *testing.T) {
					top := lab.NewTopology(t, lab.Options{NoUnderlayOffloads: off})
					for i, pe := range []*lab.PE{top.PE1, top.PE2} {
						e := &end{pe: pe, dir: top.BPFFS() + "/" + pe.Role}
						if changed {
							e.reopen(t, tc.Options{})
							if err := e.Close(); err != nil {
								t.Fatal(err)
							}
						}
						e.reopen(t, tc.Options{Safe: mode.safe})
						if e.Safe() != mode.safe {
							t.Errorf("opened with %+v, want %+v", e.Safe(), mode.safe)
						}
						e.join(t, mode.c, i+1)
						e.serve(t)
					}
					if _, err := top.Transfer(top.CE1, top.CE2, lab.Host4(2, 0), 16<<20, 20*time.Second); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// TestCutFirst sees no packet on the underlay that anybody would have to cut, as
// long as the lease of the next hop lasts.
func TestCutFirst(t *testing.T) {
	for _, cut := range []bool{false, true} {
		top := lab.NewTopology(t, lab.Options{})
		for i, pe := range []*lab.PE{top.PE1, top.PE2} {
			e := &end{pe: pe, dir: top.BPFFS() + "/" + pe.Role}
			e.reopen(t, tc.Options{Safe: maps.Safe{CutFirst: cut}})
			e.join(t, carrier{false, true}, i+1)
			e.serve(t)
			e.lease(t, top, carrier{false, true}, i+1)
		}
		capture := top.P.Capture("pe2", "", "-s", "70000", "-B", "100000")
		if _, err := top.Transfer(top.CE1, top.CE2, lab.Host4(2, 0), 4<<20, 20*time.Second); err != nil {
			t.Error(err)
		}
		capture.Stop()
		tunnel := lab.Tunnel{Source: lab.PE1Source4, Destination: lab.PE2Source4, UDP: true, Session: 1001, Cookie: "0202030405060708", Super: true}
		wire, err := lab.CheckWire(capture, tunnel)
		if whole := wire.Largest > lab.UnderlayMTU+14; err != nil || whole == cut {
			t.Errorf("cut first %v: the longest of %d packets has %d bytes, %v", cut, wire.Packets, wire.Largest, err)
		}
	}
}

// TestSuperFramesWithoutDecapFlags crosses IPv6 in IPv4 to a circuit whose device
// cuts no super-frames itself. The kernel would have to, by a protocol that is
// still the outer packet's without the flags.
func TestSuperFramesWithoutDecapFlags(t *testing.T) {
	c := carrier{false, true}
	top := lab.NewTopology(t, lab.Options{})
	top.PE2.Offloads(lab.Circuit(0), false)
	for i, pe := range []*lab.PE{top.PE1, top.PE2} {
		e := &end{pe: pe, dir: top.BPFFS() + "/" + pe.Role}
		e.reopen(t, tc.Options{Safe: maps.Safe{NoDecapFlags: true}})
		e.join(t, c, i+1)
		e.serve(t)
		e.keepLease(t, top, c, i+1, lab.UnderlayMTU)
	}
	for _, to := range []netip.Addr{lab.Host4(2, 0), lab.Host6(2, 0)} {
		if _, err := top.Transfer(top.CE1, top.CE2, to, 4<<20, 20*time.Second); err != nil {
			t.Errorf("to %s: %v", to, err)
		}
	}
}

package tc_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// tag is a VLAN tag: EtherType, and priority with VLAN id.
type tag struct{ protocol, tci uint16 }

// tagger loads a program that puts tags on a frame, or takes as many off, as a
// VLAN device would: this works where the kernel has none.
func tagger(t *testing.T, tags []tag, push bool) *ebpf.Program {
	t.Helper()
	var code asm.Instructions
	code = append(code, asm.Mov.Reg(asm.R6, asm.R1))
	for _, v := range tags {
		code = append(code, asm.Mov.Reg(asm.R1, asm.R6))
		if push {
			wire := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v.protocol))
			code = append(code, asm.Mov.Imm(asm.R2, int32(wire)), asm.Mov.Imm(asm.R3, int32(v.tci)), asm.FnSkbVlanPush.Call())
		} else {
			code = append(code, asm.FnSkbVlanPop.Call())
		}
	}
	code = append(code, asm.Mov.Imm(asm.R0, -1), asm.Return())
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	if err != nil {
		t.Fatalf("load a tagger: %v", err)
	}
	t.Cleanup(func() { _ = prog.Close() })
	return prog
}

// tagged makes a host send and expect all its frames with tags.
func tagged(t *testing.T, ce *lab.Namespace, tags []tag) {
	t.Helper()
	for attach, prog := range map[ebpf.AttachType]*ebpf.Program{
		ebpf.AttachTCXEgress:  tagger(t, tags, true),
		ebpf.AttachTCXIngress: tagger(t, tags, false),
	} {
		err := ce.Do(func() error {
			l, err := link.AttachTCX(link.TCXOptions{Interface: ce.Index(lab.HostPort(0)), Program: prog, Attach: attach})
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			return err
		})
		if err != nil {
			t.Fatalf("attach a tagger: %v", err)
		}
	}
}

// TestTaggedTransfer moves bytes by TCP in super-frames that carry up to three
// VLAN tags beside and in them.
func TestTaggedTransfer(t *testing.T) {
	stacks := map[string][]tag{
		"802.1Q": {{0x8100, 100}},
		"QinQ":   {{0x8100, 100}, {0x88a8, 0x6000 | 200}},
		"three":  {{0x8100, 100}, {0x8100, 300}, {0x88a8, 200}},
	}
	for name, tags := range stacks {
		for _, c := range carriers {
			for _, off := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s-%s-underlay-off=%v", name, c, off), func(t *testing.T) {
					top := lab.NewTopology(t, lab.Options{NoUnderlayOffloads: off})
					for i, pe := range []*lab.PE{top.PE1, top.PE2} {
						e := openEnd(t, top, pe, tc.ModeAuto)
						e.join(t, c, i+1)
						e.serve(t)
						e.lease(t, top, c, i+1)
					}
					for _, ce := range []*lab.Namespace{top.CE1, top.CE2} {
						// Room for the tags: the ports themselves take no more.
						ce.Run("ip", "route", "change", "198.18.0.0/24", "dev", lab.HostPort(0), "mtu", "1400")
						ce.Run("ip", "-6", "route", "replace", "2001:db8:ce::/64", "dev", lab.HostPort(0), "metric", "1", "mtu", "1400")
						tagged(t, ce, tags)
					}
					if err := top.CE1.Ping(lab.Host4(2, 0), 56, 2*time.Second); err != nil {
						t.Error(err)
					}
					capture := top.P.Capture("pe2", "", "-s", "2048", "-B", "100000")
					for _, to := range []netip.Addr{lab.Host4(2, 0), lab.Host6(2, 0)} {
						if _, err := top.Transfer(top.CE1, top.CE2, to, 16<<20, 3*time.Second); err != nil {
							t.Error(err)
						}
					}
					if missed := capture.Stop(); missed > 0 {
						t.Errorf("the capture missed %d packets", missed)
					}
					if off {
						checkWire(t, capture, c)
					}
				})
			}
		}
	}
}

// checkWire reads what the router sent to PE 2: every length and checksum must
// be right, since nothing on the way will put it right any more.
func checkWire(t *testing.T, capture *lab.Capture, c carrier) {
	t.Helper()
	tunnel := lab.Tunnel{Source: lab.PE1Source4, Destination: lab.PE2Source4, UDP: c.udp, Session: 1001, Cookie: "0202030405060708"}
	if c.v6 {
		tunnel.Source, tunnel.Destination = lab.PE1Source6, lab.PE2Source6
	}
	wire, err := lab.CheckWire(capture, tunnel)
	if err != nil {
		t.Error(err)
	}
	// Twice 16 MiB in segments of less than 1400 bytes.
	if wire.Packets < 2*(16<<20)/1400 || wire.Largest > lab.UnderlayMTU+14 {
		t.Errorf("on the wire: %+v", wire)
	}
}

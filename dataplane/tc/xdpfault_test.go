package tc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// TestXDPForeign leaves the program of somebody else where it is; the tc
// program serves the interface.
func TestXDPForeign(t *testing.T) {
	const xdpPass = 2
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, xdpPass), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = prog.Close() })
	for name, flags := range map[string]int{"native": unix.XDP_FLAGS_DRV_MODE, "generic": unix.XDP_FLAGS_SKB_MODE} {
		t.Run(name, func(t *testing.T) {
			top, ends := pair(t, lab.Options{}, tc.ModeAuto, carrier{})
			forXDP(top)
			err := top.PE1.Do(func() error {
				l, err := netlink.LinkByName(lab.Uplink)
				if err != nil {
					return err
				}
				return netlink.LinkSetXdpFdWithFlags(l, prog.FD(), flags)
			})
			if err != nil {
				t.Fatal(err)
			}
			before := xdpOf(t, top.PE1, lab.Uplink)
			for range 2 {
				ends[0].attachXDP(t)
				ends[0].wantXDP(t, lab.Uplink)
			}
			if after := xdpOf(t, top.PE1, lab.Uplink); after.ProgId != before.ProgId || !after.Attached {
				t.Errorf("the program was %+v and is %+v", before, after)
			}
			if !stripsTags(top.PE1, lab.Uplink) {
				t.Error("an offload was changed for nothing")
			}
			reachable(t, top, "by tc")
			top.PE1.Run("ip", "link", "set", lab.Uplink, map[string]string{"native": "xdpdrv", "generic": "xdpgeneric"}[name], "off")
			ends[0].attachXDP(t)
			ends[0].wantXDP(t)
		})
	}
}

// TestXDPVirtual serves by tc what has no native XDP, and says why.
func TestXDPVirtual(t *testing.T) {
	top, ends := pair(t, lab.Options{}, tc.ModeAuto, carrier{})
	forXDP(top)
	// The circuit becomes a bridge with the customer's device as its port.
	top.PE1.Run("ip", "link", "add", "br0", "type", "bridge")
	top.PE1.Run("ip", "link", "set", lab.Circuit(0), "master", "br0")
	top.PE1.Up("br0")
	bridge, uplink := top.PE1.Index("br0"), top.PE1.Index(lab.Uplink)
	e := ends[0]
	err := e.pe.Do(func() error {
		_, failed := e.Attach(dataplane.Attachments{Circuits: []int{bridge}, Underlays: []int{uplink}, XDP: []int{bridge, uplink, 4242}})
		if len(failed) > 0 {
			return fmt.Errorf("attach: %v", failed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.wantXDP(t, "br0")
	if reason := e.WithoutXDP()[bridge]; reason == nil || !strings.Contains(reason.Error(), "no native XDP") {
		t.Errorf("reason: %v", reason)
	}
	if n := top.PE1.TCX("br0"); n != 1 {
		t.Errorf("%d tc programs on the bridge", n)
	}
}

// TestXDPAbsent reports an interface that is not there under both kinds.
func TestXDPAbsent(t *testing.T) {
	top, ends := pair(t, lab.Options{}, tc.ModeAuto, carrier{})
	const absent = 4242
	err := top.PE1.Do(func() error {
		_, failed := ends[0].Attach(dataplane.Attachments{Circuits: []int{absent}, XDP: []int{absent}})
		if len(failed) != 1 || failed[absent] == nil || ends[0].WithoutXDP()[absent] == nil {
			return fmt.Errorf("failed: %v, without XDP: %v", failed, ends[0].WithoutXDP())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestXDPWithoutTransmit sends nothing by XDP to a device that would lose it: a
// veth takes frames only while its other end looks for them.
func TestXDPWithoutTransmit(t *testing.T) {
	c := carrier{true, false}
	top, ends := xdpPair(t, lab.Options{}, c)
	top.CE1.Run("ethtool", "-K", lab.HostPort(0), "gro", "off")
	ends[0].attachXDP(t)
	ends[0].wantXDP(t, lab.Circuit(0))
	reachable(t, top, "towards a circuit that takes no frames")
	top.P.Run("ethtool", "-K", "pe1", "gro", "off")
	ends[0].attachXDP(t)
	ends[0].wantXDP(t, lab.Circuit(0), lab.Uplink)
	reachable(t, top, "by an uplink that takes no frames")
	top.CE1.Run("ethtool", "-K", lab.HostPort(0), "gro", "on")
	top.P.Run("ethtool", "-K", "pe1", "gro", "on")
	ends[0].attachXDP(t)
	ends[0].wantXDP(t)
	if encap, decap := ends[0].byXDP(t, func() { reachable(t, top, "by XDP again") }); encap > 10 || decap > 10 {
		t.Errorf("%d frames encapsulated and %d packets decapsulated by tc", encap, decap)
	}
}

// TestXDPMAC follows a new address of an underlay: until it is known, tc takes
// what is addressed to it.
func TestXDPMAC(t *testing.T) {
	top, ends := xdpPair(t, lab.Options{}, carrier{})
	mac := slices.Clone(top.PE1.MAC(lab.Uplink))
	mac[5]++
	top.PE1.SetMAC(lab.Uplink, mac)
	top.P.FlushNeighbours("pe1")
	reachable(t, top, "with a new address")
	ends[0].attachXDP(t)
	if _, decap := ends[0].byXDP(t, func() { reachable(t, top, "with the address known") }); decap > 10 {
		t.Errorf("%d packets decapsulated by tc", decap)
	}
}

// TestNativeXDP wants XDP on none of the kernel's virtual devices unasked.
func TestNativeXDP(t *testing.T) {
	top, ends := pair(t, lab.Options{}, tc.ModeAuto, carrier{})
	top.PE1.Run("ip", "link", "add", "br0", "type", "bridge")
	top.PE1.Run("ip", "tuntap", "add", "tap0", "mode", "tap")
	err := top.PE1.Do(func() error {
		for _, dev := range top.PE1.Links() {
			if ends[0].NativeXDP(top.PE1.Index(dev)) {
				t.Errorf("%s is to have XDP", dev)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if ends[0].NativeXDP(4242) {
		t.Error("an absent interface is to have XDP")
	}
}

// Package vm runs Debian's stock kernels in virtual machines, for what the
// host's kernel lacks: its own L2TP, or the want of TCX.
//
// Fetch downloads a kernel package with apt-get into a cache; it is never
// installed. Boot starts it in QEMU under software emulation, which needs no
// help of the host's kernel, with an initial file system made of the host's own
// tools. Guest.Run runs scripts in it:
//
//	kernel, err := vm.Fetch(t.Context(), vm.Linux61)
//	...
//	guest := vm.Boot(t, lab.New(t), kernel, vm.Options{Share: dir})
//	out, err := guest.Run(time.Minute, "/share/packet.test -test.v")
//
// Debian packages needed: qemu-system-x86, busybox-static, iputils-ping,
// iproute2, ethtool, util-linux, xz-utils, zstd.
package vm

import (
	"fmt"
	"time"

	"longwire/test/lab"
)

// Options shapes a virtual machine. Its zero value has no network card and no
// files of its own.
type Options struct {
	// Namespace is where the other ends of its network cards are; nil for one of
	// its own.
	Namespace *lab.Namespace
	// Cards are its network cards: eth0 and so on in the guest, down and without
	// an address.
	Cards []Card
	// Share is a directory of the host that the guest has as /share, to read and
	// to write; empty for none.
	Share string
	// Files are more files of its initial file system, all of them executable: the
	// absolute path in the guest, and the file of the host.
	Files map[string]string
	// Tools are more programs of the host, by name; their libraries come along.
	Tools []string
	// Modules are more kernel modules to load, after those that every guest has,
	// together with what they depend on.
	Modules []string
	// Memory is in MiB, 0 for 768. CPUs is their number, 0 for 1.
	Memory, CPUs int
	// Append is more of the kernel's command line.
	Append string
	// BootTime is how long it may take until it answers, 0 for two minutes: far
	// more than it needs, for a machine that has much else to do.
	BootTime time.Duration
}

// Card is a network card of a guest, behind a tap device of the host that has
// no offloads: every frame on it is cut and has its checksums.
type Card struct {
	Tap string // the device in the namespace, made up by Boot
	MTU int    // of both ends, in bytes of Ethernet payload; 0 for 1500
}

// L2TPModules are the kernel's own L2TPv3. The l2tp_ip modules are not loaded by
// "ip l2tp" of its own accord.
var L2TPModules = []string{"l2tp_core", "l2tp_netlink", "l2tp_eth", "l2tp_ip", "l2tp_ip6"}

// baseModules are those of every guest. The first two carry its answers.
var baseModules = []string{
	"virtio_pci", "virtio_console", "virtio_net", "9pnet_virtio", "9p",
	"veth", "bridge", "tun", "dummy", "8021q", "vxlan", "sch_ingress", "cls_bpf", "act_gact", "sch_netem",
}

// baseTools are the programs of every guest, beside those of busybox.
var baseTools = []string{"bash", "ip", "tc", "bridge", "ping", "ethtool", "nsenter"}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.Memory == 0 {
		o.Memory = 768
	}
	if o.CPUs == 0 {
		o.CPUs = 1
	}
	if o.BootTime == 0 {
		o.BootTime = 2 * time.Minute
	}
	o.Cards = append([]Card(nil), o.Cards...)
	for i := range o.Cards {
		if o.Cards[i].MTU == 0 {
			o.Cards[i].MTU = lab.DefaultMTU
		}
	}
	return o
}

// Boot starts a virtual machine in a lab and waits until it answers. It ends
// with the test, which fails with the last lines of the console when the
// machine cannot be started.
func Boot(tb lab.TB, l *lab.Lab, kernel Kernel, o Options) *Guest {
	tb.Helper()
	o = o.withDefaults()
	if o.Namespace == nil {
		o.Namespace = l.Namespace("vm")
	}
	// Several guests of a lab have files of their own.
	name := fmt.Sprintf("guest%d", guests.Add(1))
	g := &Guest{tb: tb, Kernel: kernel, Namespace: o.Namespace, waiting: map[uint64]chan<- outcome{}, closed: make(chan struct{})}
	image := l.Path(name + ".cpio")
	if err := buildInitramfs(tb.Context(), image, kernel, o); err != nil {
		tb.Fatalf("initial file system: %v", err)
	}
	for _, card := range o.Cards {
		o.Namespace.Run("ip", "tuntap", "add", "dev", card.Tap, "mode", "tap")
		o.Namespace.MTU(card.Tap, card.MTU)
		o.Namespace.Up(card.Tap)
	}
	socket := l.Path(name + ".sock")
	g.daemon = o.Namespace.Start(name, qemu(kernel, o, image, socket)...)
	if err := g.connect(socket, o.BootTime); err != nil {
		tb.Fatalf("%s: boot: %v", kernel, g.harness(err))
	}
	return g
}

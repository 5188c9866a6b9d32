package vm

import (
	"fmt"
	"strconv"
	"strings"

	"longwire/test/vm/port"
)

// qemu returns the command that runs a virtual machine. Its standard output is
// the console, socket is the host's end of its port.
//
// Software emulation is forced, because a /dev/kvm that is there need not work.
// The machine is q35, since microvm does not always start.
func qemu(kernel Kernel, o Options, image, socket string) []string {
	line := "console=ttyS0 quiet panic=-1 rdinit=/init " + o.Append
	argv := []string{
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off",
		"-smp", strconv.Itoa(o.CPUs), "-m", strconv.Itoa(o.Memory),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=port,path=" + socket + ",server=on,wait=off",
		"-device", "virtserialport,chardev=port,name=" + port.Name,
		"-kernel", kernel.Image, "-initrd", image,
	}
	for i, card := range o.Cards {
		argv = append(argv,
			"-netdev", fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no,vhost=off,vnet_hdr=off", i, card.Tap),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=02:76:6d:00:00:%02x,host_mtu=%d,romfile=,%s",
				i, i+1, card.MTU, withoutOffloads))
	}
	if o.Share != "" {
		argv = append(argv,
			"-fsdev", "local,id=share,security_model=none,path="+o.Share,
			"-device", "virtio-9p-pci,fsdev=share,mount_tag="+port.ShareTag)
		line += " " + port.ShareTag
	}
	return append(argv, "-append", strings.TrimSpace(line))
}

// withoutOffloads are the properties of a network card that leaves all sums and
// sizes to the guest's kernel.
const withoutOffloads = "csum=off,guest_csum=off,gso=off," +
	"guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off," +
	"host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off"

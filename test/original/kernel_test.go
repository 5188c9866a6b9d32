package original

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelLacks names the part of the kernel that its own L2TP would need for an
// outer header and that is not there; "" when all is there.
func kernelLacks(t *testing.T, family, encapsulation string) string {
	t.Helper()
	// Where modules can be loaded, asking for the family loads it.
	if _, err := netlink.GenlFamilyGet("l2tp"); err != nil {
		return "l2tp_eth"
	}
	if encapsulation == "udp" {
		return ""
	}
	const protocolL2TP = 115
	domain, module := unix.AF_INET, "l2tp_ip"
	if family == "ipv6" {
		domain, module = unix.AF_INET6, "l2tp_ip6"
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM, protocolL2TP)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return module
	}
	if err != nil {
		t.Fatalf("socket of protocol 115: %v", err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	return ""
}

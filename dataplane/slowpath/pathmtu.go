package slowpath

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// openErrorSocket opens a socket because of which the stack heeds ICMPv6 "packet
// too big" about packets of protocol 115 from an address. For raw IPv6 sockets,
// and only for them, Linux does so only if one wants to be told of errors. This
// one does, takes no packets, and is never read: the stack has learned the MTU
// before it queues the error, and drops errors when a few wait.
func openErrorSocket(address netip.Addr) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocolL2TP)
	if err != nil {
		return -1, fmt.Errorf("open a socket for errors: %w", err)
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	steps := []func() error{
		func() error {
			return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
		},
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0) }, // the least
		func() error { return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1) },
		func() error { return unix.Bind(fd, &unix.SockaddrInet6{Addr: address.As16()}) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return -1, errors.Join(fmt.Errorf("prepare a socket for errors: %w", err), unix.Close(fd))
		}
	}
	return fd, nil
}

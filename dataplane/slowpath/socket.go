package slowpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"longwire/dataplane"
)

const (
	// backlog is how many bytes of packets, with the kernel's own overhead for
	// each, wait for us at a socket.
	backlog = 2 << 20
	// controlSize has room for the interface and the class of a packet.
	controlSize = 128
)

// received is a packet with its new headers.
type received struct {
	frame       []byte // valid until the next receive
	destination netip.Addr
	ifindex     int // where the stack had it from
}

// socket takes the packets of one endpoint from the stack: a raw socket of
// protocol 115, or a UDP socket. receive belongs to one goroutine, countLost to
// another.
type socket struct {
	endpoint dataplane.Endpoint
	file     *os.File
	conn     syscall.RawConn
	filter   Filter // nil = none
	errors   int    // file descriptor of openErrorSocket; -1 = none
	buf, oob []byte
	stop     chan struct{} // closed by close
	done     chan struct{} // closed by the owner of receive

	lost     uint64
	lastLost uint32 // as the kernel counts
}

// openSocket opens the socket of an endpoint and takes the filter over.
func openSocket(e dataplane.Endpoint, filter Filter) (*socket, error) {
	k := &socket{
		endpoint: e, filter: filter, errors: -1, oob: make([]byte, controlSize),
		buf: make([]byte, ethernetLen+ipv6Len+udpLen+maxPacket), stop: make(chan struct{}), done: make(chan struct{}),
	}
	fd, err := unix.Socket(k.family(), k.kind()|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, k.protocol())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a socket: %w", err), k.release())
	}
	k.file = os.NewFile(uintptr(fd), "slow path")
	err = k.prepare(fd)
	if err == nil {
		k.conn, err = k.file.SyscallConn()
	}
	if err == nil && k.v6() && !k.udp() {
		k.errors, err = openErrorSocket(e.Address)
	}
	if err != nil {
		return nil, errors.Join(err, k.file.Close(), k.release())
	}
	return k, nil
}

func (k *socket) v6() bool { return k.endpoint.Address.Is6() }

func (k *socket) udp() bool { return k.endpoint.Port != 0 }

func (k *socket) family() int {
	if k.v6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (k *socket) kind() int {
	if k.udp() {
		return unix.SOCK_DGRAM
	}
	return unix.SOCK_RAW
}

func (k *socket) protocol() int {
	if k.udp() {
		return protocolUDP
	}
	return protocolL2TP
}

// prepare filters first, since a raw socket receives from its first moment, and
// then binds. An address that the host does not have yet is no reason to fail.
func (k *socket) prepare(fd int) error {
	if k.filter != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, k.filter.FD()); err != nil {
			return fmt.Errorf("attach its filter: %w", err)
		}
	}
	for _, o := range k.options() {
		if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			return fmt.Errorf("set its option %d of level %d: %w", o.name, o.level, err)
		}
	}
	// Forcing needs CAP_NET_ADMIN. Without it the backlog is only shorter.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, backlog/2) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, backlog/2)
	}
	if err := unix.Bind(fd, k.address()); err != nil {
		return fmt.Errorf("bind it: %w", err)
	}
	return nil
}

func (k *socket) address() unix.Sockaddr {
	if k.v6() {
		return &unix.SockaddrInet6{Addr: k.endpoint.Address.As16(), Port: int(k.endpoint.Port)}
	}
	return &unix.SockaddrInet4{Addr: k.endpoint.Address.As4(), Port: int(k.endpoint.Port)}
}

type option struct{ level, name int }

func (k *socket) options() []option {
	if !k.v6() {
		return []option{{unix.SOL_IP, unix.IP_FREEBIND}, {unix.SOL_IP, unix.IP_PKTINFO}, {unix.SOL_IP, unix.IP_RECVTOS}}
	}
	options := []option{
		{unix.SOL_IPV6, unix.IPV6_FREEBIND}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO}, {unix.SOL_IPV6, unix.IPV6_RECVTCLASS},
	}
	if k.udp() {
		// The filter knows which sessions may come without a checksum (RFC 6935).
		options = append(options, option{unix.SOL_IPV6, unix.IPV6_V6ONLY}, option{unix.SOL_UDP, unix.UDP_NO_CHECK6_RX})
	}
	return options
}

// receive waits for a packet and puts new headers in front of it. It fails with
// errMalformed, and with os.ErrClosed after close.
func (k *socket) receive() (received, error) {
	begin := ethernetLen
	if k.udp() || k.v6() {
		begin = outer{udp: k.udp(), destination: netip.AddrPortFrom(k.endpoint.Address, 0)}.size()
	}
	var (
		n, oobn, flags int
		from           unix.Sockaddr
		failed         error
	)
	err := k.conn.Read(func(fd uintptr) bool {
		n, oobn, flags, from, failed = unix.Recvmsg(int(fd), k.buf[begin:], k.oob, 0)
		return failed != unix.EAGAIN
	})
	switch {
	case k.closed():
		return received{}, os.ErrClosed
	case err != nil:
		return received{}, err
	case failed != nil:
		return received{}, failed
	case flags&unix.MSG_TRUNC != 0:
		return received{}, errMalformed
	}
	if k.udp() || k.v6() {
		return k.rebuild(begin, n, from, k.oob[:oobn])
	}
	return k.rebuildIPv4(begin, n, k.oob[:oobn])
}

// rebuild replaces the headers that a UDP socket or an IPv6 socket leaves out.
func (k *socket) rebuild(begin, n int, from unix.Sockaddr, oob []byte) (received, error) {
	c := parseControl(oob)
	o := outer{udp: k.udp(), class: c.class, destination: netip.AddrPortFrom(k.endpoint.Address, k.endpoint.Port)}
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		o.source = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		o.source = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	case *unix.SockaddrL2TPIP6: // what x/sys makes of the same structure when the protocol is 115
		o.source = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), 0)
	}
	if o.source.Addr().Is4() == k.v6() || !o.source.IsValid() {
		return received{}, errMalformed
	}
	frame := k.buf[:begin+n]
	o.put(frame)
	return received{frame: frame, destination: c.destination, ifindex: c.ifindex}, nil
}

// rebuildIPv4 replaces the header that a raw IPv4 socket delivers.
func (k *socket) rebuildIPv4(begin, n int, oob []byte) (received, error) {
	o, payload, end, err := parseIPv4(k.buf[begin : begin+n])
	if err != nil {
		return received{}, err
	}
	frame := k.buf[begin+payload-o.size() : begin+end]
	o.put(frame)
	return received{frame: frame, destination: o.destination.Addr(), ifindex: parseControl(oob).ifindex}, nil
}

// control is what the stack says beside a packet.
type control struct {
	destination netip.Addr
	ifindex     int
	class       uint8
}

// parseControl reads struct in_pktinfo of ip(7) or struct in6_pktinfo of
// ipv6(7), and the class.
func parseControl(oob []byte) (c control) {
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return c
		}
		oob = rest
		kind := option{int(header.Level), int(header.Type)}
		switch {
		case kind == option{unix.SOL_IP, unix.IP_PKTINFO} && len(data) >= 12:
			c.ifindex = int(binary.NativeEndian.Uint32(data))
			c.destination = netip.AddrFrom4([4]byte(data[8:]))
		case kind == option{unix.SOL_IPV6, unix.IPV6_PKTINFO} && len(data) >= 20:
			c.destination = netip.AddrFrom16([16]byte(data))
			c.ifindex = int(binary.NativeEndian.Uint32(data[16:]))
		case kind == option{unix.SOL_IP, unix.IP_TOS} && len(data) >= 1:
			c.class = data[0]
		case kind == option{unix.SOL_IPV6, unix.IPV6_TCLASS} && len(data) >= 4:
			c.class = uint8(binary.NativeEndian.Uint32(data))
		}
	}
	return c
}

// countLost returns how many packets the kernel has dropped because the socket
// had no room. Among the drops of a UDP socket it also counts what the filter
// refused.
func (k *socket) countLost() uint64 {
	lost := k.lastLost
	_ = k.conn.Control(func(fd uintptr) { lost = drops(fd, lost) })
	if k.filter != nil && k.udp() {
		refused, err := k.filter.Refused()
		if err != nil {
			return k.lost
		}
		lost -= uint32(refused)
	}
	// The counter has 32 bits, and the two numbers are not of the same moment.
	if grown := int32(lost - k.lastLost); grown > 0 {
		k.lost += uint64(grown)
		k.lastLost = lost
	}
	return k.lost
}

// drops reads the number of packets that a socket has dropped; without an answer
// it is the one before.
func drops(fd uintptr, before uint32) uint32 {
	var info [unix.SK_MEMINFO_DROPS + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(info)) {
		return before
	}
	return info[unix.SK_MEMINFO_DROPS]
}

func (k *socket) closed() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// close ends a receive that waits, waits for its goroutine, and returns the
// last count of what was lost.
func (k *socket) close() uint64 {
	lost := k.countLost()
	close(k.stop)
	_ = k.file.Close()
	<-k.done
	_ = k.release()
	return lost
}

// release closes what a socket has besides its file.
func (k *socket) release() error {
	var errs []error
	if k.filter != nil {
		errs = append(errs, k.filter.Close())
	}
	if k.errors >= 0 {
		errs = append(errs, unix.Close(k.errors))
	}
	return errors.Join(errs...)
}

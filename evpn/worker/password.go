package worker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

const (
	// drainTimeout bounds the wait for connections from before the password.
	// GoBGP closes them at once.
	drainTimeout  = 5 * time.Second
	drainInterval = 2 * time.Millisecond
	// gracePeriod is the wait for packets on their way through the kernel where
	// it cannot be asked.
	gracePeriod = 100 * time.Millisecond
)

// keyring keeps the TCP-MD5 passwords (RFC 2385) of the sockets that listen for
// BGP: a password is there before GoBGP knows its neighbor, and gone with it.
// GoBGP by itself listens first and learns of the neighbor later, so that it
// would keep a connection from in between that is not signed; it goes on when the
// kernel refuses a password; and it never takes one away.
type keyring struct{ sockets []listener }

// listener is a socket that listens for BGP. It lives as long as this process.
type listener struct {
	descriptor int
	family     uint16 // AF_INET or AF_INET6
	port       uint16
}

// intercept is a grpc.UnaryServerInterceptor.
func (k *keyring) intercept(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	switch r := request.(type) {
	case *api.StartBgpRequest:
		response, err := handler(ctx, request)
		if err == nil {
			k.sockets, err = listeners()
		}
		return response, err
	case *api.AddPeerRequest:
		neighbor, err := netip.ParseAddr(r.GetPeer().GetConf().GetNeighborAddress())
		if err != nil {
			return nil, fmt.Errorf("the address of the neighbor: %w", err)
		}
		// After an error the password stays: better a neighbor that is locked
		// out than one that is let in.
		if err := k.protect(ctx, neighbor, r.GetPeer().GetConf().GetAuthPassword()); err != nil {
			return nil, err
		}
	case *api.DeletePeerRequest:
		response, err := handler(ctx, request)
		if neighbor, parseErr := netip.ParseAddr(r.GetAddress()); err == nil && parseErr == nil {
			err = k.set(neighbor, "")
		}
		return response, err
	}
	return handler(ctx, request)
}

// protect returns when every connection of a neighbor that there is or will be
// has the password, if one is given.
func (k *keyring) protect(ctx context.Context, neighbor netip.Addr, password string) error {
	if err := k.set(neighbor, password); err != nil || password == "" {
		return err
	}
	if err := awaitPackets(); err != nil {
		time.Sleep(gracePeriod)
	}
	return k.drain(ctx, neighbor)
}

// set puts a password on the sockets of the neighbor's family, or takes it away
// when it is empty.
func (k *keyring) set(neighbor netip.Addr, password string) error {
	key := &unix.TCPMD5Sig{Keylen: uint16(len(password))}
	if copy(key.Key[:], password) < len(password) {
		return fmt.Errorf("the password has %d bytes, at most %d are possible", len(password), len(key.Key))
	}
	// After the port (sockaddr_in), and the flow label (sockaddr_in6).
	key.Addr.Family = unix.AF_INET
	address := key.Addr.Data[2:]
	if neighbor.Is6() {
		key.Addr.Family, address = unix.AF_INET6, key.Addr.Data[6:]
	}
	copy(address, neighbor.AsSlice())
	for _, l := range k.sockets {
		if l.family != key.Addr.Family {
			continue
		}
		err := unix.SetsockoptTCPMD5Sig(l.descriptor, unix.IPPROTO_TCP, unix.TCP_MD5SIG, key)
		switch {
		case password == "" && errors.Is(err, unix.ENOENT): // there is none
		case errors.Is(err, unix.ENOMEM):
			return fmt.Errorf("put the TCP-MD5 password of %v on port %d: %w: raise the sysctl net.core.optmem_max", neighbor, l.port, err)
		case err != nil:
			return fmt.Errorf("put the TCP-MD5 password of %v on port %d: %w", neighbor, l.port, err)
		}
	}
	return nil
}

// drain waits until every connection that the neighbor has made so far is
// closed. Some may be from before the password; GoBGP closes what comes from
// nobody it knows, but only when its turn comes.
func (k *keyring) drain(ctx context.Context, neighbor netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	waiting, err := k.connections(neighbor)
	for err == nil && len(waiting) > 0 {
		select {
		case <-time.After(drainInterval):
		case <-ctx.Done():
			return fmt.Errorf("connections of %v from before its password do not close: %v", neighbor, waiting)
		}
		var now []netip.AddrPort
		now, err = k.connections(neighbor)
		waiting = slices.DeleteFunc(waiting, func(a netip.AddrPort) bool { return !slices.Contains(now, a) })
	}
	return err
}

// The states of a connection that we have not closed, of
// include/net/tcp_states.h.
const (
	established = 1
	closeWait   = 8
)

// connections returns the far ends of the neighbor's connections to our port
// that are open at our end. Those on which the handshake has not ended are none:
// its end needs the key that the listening socket then has.
func (k *keyring) connections(neighbor netip.Addr) ([]netip.AddrPort, error) {
	if len(k.sockets) == 0 {
		return nil, nil
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("look for connections: %w", err)
	}
	read := fs.NetTCP //nolint:staticcheck // what it wants instead, sock_diag(7), is a module that may be missing
	if neighbor.Is6() {
		read = fs.NetTCP6 //nolint:staticcheck // the same
	}
	table, err := read()
	if err != nil {
		return nil, fmt.Errorf("look for connections of %v: %w", neighbor, err)
	}
	var found []netip.AddrPort
	for _, c := range table {
		far, _ := netip.AddrFromSlice(c.RemAddr)
		open := c.St == established || c.St == closeWait
		if open && far.Unmap() == neighbor && c.LocalPort == uint64(k.sockets[0].port) {
			found = append(found, netip.AddrPortFrom(neighbor, uint16(c.RemPort)))
		}
	}
	return found, nil
}

// awaitPackets returns when every packet has passed that the kernel was working
// on: TCP receives inside a read-side section, and this waits for the end of all
// of them (membarrier(2), MEMBARRIER_CMD_GLOBAL).
func awaitPackets() error {
	const membarrierGlobal = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// listeners finds the TCP sockets of this process that listen.
func listeners() ([]listener, error) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("look for the listening sockets: %w", err)
	}
	var found []listener
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil || listens == 0 {
			continue // no socket, or gone again
		}
		switch address, err := unix.Getsockname(fd); a := address.(type) {
		case *unix.SockaddrInet4:
			found = append(found, listener{fd, unix.AF_INET, uint16(a.Port)})
		case *unix.SockaddrInet6:
			found = append(found, listener{fd, unix.AF_INET6, uint16(a.Port)})
		default: // of gRPC
			if err != nil {
				return nil, fmt.Errorf("ask for the address of a listening socket: %w", err)
			}
		}
	}
	return found, nil
}

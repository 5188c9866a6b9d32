package link

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errOverrun says that the kernel had notifications for which the socket had no
// room: what they said must be read anew.
var errOverrun = errors.New("notifications were lost")

// errInterrupted says that a table changed while the kernel listed it.
var errInterrupted = errors.New("the list changed while it was read")

const (
	// bufferSize is the most that the kernel puts into one datagram of a list.
	bufferSize = 64 << 10
	// backlogSize is how many bytes of notifications wait for us, enough for
	// some ten thousand routes.
	backlogSize = 8 << 20
	// replyTimeout is how long an answer of the kernel may take; it answers
	// within microseconds unless the routing lock is held.
	replyTimeout = 2 * time.Second
)

// socket is a routing netlink socket. It belongs for ever to the network
// namespace that the thread was in which opened it. It is not safe for
// concurrent use, except that close may come at any time.
type socket struct {
	file   *os.File
	conn   syscall.RawConn
	seq    uint32
	buf    []byte
	closed atomic.Bool
}

// openSocket opens a socket that hears the given groups (RTNLGRP_…).
func openSocket(groups ...int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a routing netlink socket: %w", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, bufferSize)}
	if err := s.join(fd, groups); err != nil {
		s.close()
		return nil, err
	}
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.close()
		return nil, fmt.Errorf("use a routing netlink socket: %w", err)
	}
	return s, nil
}

func (s *socket) join(fd int, groups []int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind a routing netlink socket: %w", err)
	}
	for _, group := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			return fmt.Errorf("join routing netlink group %d: %w", group, err)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	// Forcing needs CAP_NET_ADMIN. Without it the backlog is only shorter, and
	// losing notifications is provided for.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, backlogSize) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, backlogSize)
	}
	return nil
}

// close ends a receive that waits, too.
func (s *socket) close() {
	s.closed.Store(true)
	s.file.Close()
}

// receive waits for a datagram of the kernel's and returns its messages, which
// are valid until the next call. It fails with errOverrun when messages were
// lost, and with os.ErrClosed after close.
func (s *socket) receive() ([]message, error) {
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := s.conn.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), s.buf, unix.MSG_TRUNC)
			return failed != unix.EAGAIN
		})
		switch {
		case s.closed.Load():
			return nil, os.ErrClosed
		case err != nil:
			return nil, fmt.Errorf("wait for netlink: %w", err)
		case errors.Is(failed, unix.EINTR):
			continue
		case errors.Is(failed, unix.ENOBUFS), failed == nil && n > len(s.buf):
			return nil, errOverrun
		case failed != nil:
			return nil, fmt.Errorf("receive from netlink: %w", failed)
		}
		// Any process with the right to may write to our socket.
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
			return splitMessages(s.buf[:n])
		}
	}
}

// request sends a message and calls visit with each message of the answer.
func (s *socket) request(kind, flags uint16, body []byte, visit func(message) error) error {
	s.seq++
	_, err := s.file.Write(buildMessage(kind, unix.NLM_F_REQUEST|flags, s.seq, body))
	if err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	if err := s.file.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	interrupted := false
	for {
		messages, err := s.receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.seq != s.seq {
				continue // an answer that came after we had given up
			}
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			last, err := m.take(visit)
			if err != nil {
				return err
			}
			if last && interrupted {
				return errInterrupted
			}
			if last {
				return nil
			}
		}
	}
}

// list requests a whole table and calls visit with each entry. A table that
// keeps changing is read a few times at most: its changes are also notified.
func (s *socket) list(kind uint16, body []byte, reset func(), visit func(message) error) error {
	const attempts = 3
	for range attempts {
		reset()
		err := s.request(kind, unix.NLM_F_DUMP, body, visit)
		if !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return nil
}

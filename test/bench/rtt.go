package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"longwire/test/lab"
)

// roundTrip sends echo requests one after the other, as ping -f does, and
// returns the median time to the reply in microseconds. Unlike ping it tells
// times below a microsecond apart. Sending, crossing and answering all happen in
// one system call of this thread, so nobody has to be woken up.
func roundTrip(ctx context.Context, s *site, n int) (float64, error) {
	const warmUp, payload = 100, 56
	var times []float64
	err := s.ce[0].Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return fmt.Errorf("open an ICMP socket: %w", err)
		}
		defer func() { _ = unix.Close(fd) }()
		patience := unix.NsecToTimeval(time.Second.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
			return fmt.Errorf("set the patience of a socket: %w", err)
		}
		for i := range warmUp + n {
			if err := ctx.Err(); err != nil {
				return err
			}
			took, err := echo(fd, uint16(os.Getpid()), uint16(i), payload)
			if err != nil {
				return err
			}
			if i >= warmUp {
				times = append(times, float64(took.Nanoseconds())/1e3)
			}
		}
		return nil
	})
	return median(times), err
}

// echo sends one request and waits for its reply.
func echo(fd int, id, sequence uint16, payload int) (time.Duration, error) {
	request := echoRequest(id, sequence, payload)
	buf := make([]byte, 256)
	to := &unix.SockaddrInet4{Addr: lab.Host4(2, 0).As4()}
	begin := time.Now()
	if err := unix.Sendto(fd, request, 0, to); err != nil {
		return 0, fmt.Errorf("send an echo request: %w", err)
	}
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for an echo reply: %w", err)
		}
		if isEchoReply(buf[:n], id, sequence) {
			return time.Since(begin), nil
		}
	}
}

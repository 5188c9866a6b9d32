package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// chunk is how much a transfer writes and reads at once, in bytes.
const chunk = 256 << 10

// Transfer sends size random bytes by TCP from one namespace to an address of
// another and compares the SHA-256 of what was sent with that of what arrived.
// It returns how long that took; the error says what differed.
func (l *Lab) Transfer(from, to *Namespace, addr netip.Addr, size int64, within time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(l.tb.Context(), within)
	defer cancel()
	var listener net.Listener
	err := to.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: listen: %w", to.Role, err)
	}
	defer listener.Close()
	// Both ends give up when the time is over.
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()

	type arrival struct {
		size int64
		sum  []byte
		err  error
	}
	arrived := make(chan arrival, 1)
	go func() {
		n, sum, err := receive(ctx, listener)
		arrived <- arrival{n, sum, err}
	}()
	begin := time.Now()
	sum, err := send(ctx, from, listener.Addr().String(), size)
	if err != nil {
		listener.Close()
		far := <-arrived
		return 0, fmt.Errorf("%s to %s, %d bytes arrived: %w", from.Role, to.Role, far.size, errors.Join(err, far.err))
	}
	far := <-arrived
	switch {
	case far.err != nil:
		return 0, fmt.Errorf("%s: receive: %w", to.Role, far.err)
	case far.size != size:
		return 0, fmt.Errorf("%d of %d bytes arrived", far.size, size)
	case !bytes.Equal(far.sum, sum):
		return 0, fmt.Errorf("the bytes differ: sha256 %x sent, %x received", sum, far.sum)
	}
	return time.Since(begin), nil
}

// receive takes one connection and reads it to its end.
func receive(ctx context.Context, listener net.Listener) (int64, []byte, error) {
	conn, err := listener.Accept()
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	setDeadline(ctx, conn)
	hash := sha256.New()
	n, err := io.CopyBuffer(hash, struct{ io.Reader }{conn}, make([]byte, chunk))
	return n, hash.Sum(nil), err
}

// send connects from the namespace and writes size random bytes.
func send(ctx context.Context, from *Namespace, addr string, size int64) ([]byte, error) {
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	setDeadline(ctx, conn)
	hash := sha256.New()
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(size))
	source := io.LimitReader(rand.NewChaCha8(seed), size)
	if _, err := io.CopyBuffer(struct{ io.Writer }{conn}, io.TeeReader(source, hash), make([]byte, chunk)); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return hash.Sum(nil), nil
}

func setDeadline(ctx context.Context, conn net.Conn) {
	if deadline, ok := ctx.Deadline(); ok {
		// A socket that was just opened takes any deadline.
		_ = conn.SetDeadline(deadline)
	}
}

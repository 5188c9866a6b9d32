package speaker

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"longwire/evpn/wire"
)

var errNoLoopback = errors.New("the loopback interface is down in this network namespace, and GoBGP's BMP stream needs it: ip link set lo up")

// stationAddress is where our BMP listener is.
const stationAddress = "127.0.0.1"

// introductionTimeout is for a BMP client to say who it is.
const introductionTimeout = time.Second

// openBMP listens on loopback for one BMP connection, has GoBGP make it, and
// closes the listener. The connection is GoBGP's when it names the token that
// we gave over gRPC; whoever else connects first is sent away.
func (e *engine) openBMP(ctx context.Context, c Config) error {
	if !loopbackIsUp() {
		return errNoLoopback
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fmt.Errorf("listen for the BMP stream: %w", err)
	}
	defer listener.Close()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // ends Accept
	defer stop()
	port := uint32(listener.Addr().(*net.TCPAddr).Port)
	if c.Gobgpd != "" {
		if err := e.replaceStation(ctx, c.RuntimeDir, port); err != nil {
			return err
		}
	}
	token := newToken()
	_, err = e.api.AddBmp(ctx, &api.AddBmpRequest{
		Address: stationAddress, Port: port, Policy: api.AddBmpRequest_POST, SysName: token, SysDescr: "longwire",
	})
	if err != nil {
		return fmt.Errorf("ask GoBGP for a BMP stream: %w", err)
	}
	e.station = &api.DeleteBmpRequest{Address: stationAddress, Port: port}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("wait for the BMP stream: %w", errors.Join(err, ctx.Err()))
		}
		if introduces(conn, token) {
			e.bmp = conn
			return nil
		}
		_ = conn.Close() // a stranger
	}
}

// loopbackIsUp looks at the interfaces of this thread's network namespace. A new
// namespace has a loopback interface that is down, where connections to
// ourselves get no answer.
func loopbackIsUp() bool {
	interfaces, err := net.Interfaces()
	return err != nil || slices.ContainsFunc(interfaces, func(i net.Interface) bool {
		return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0
	})
}

// introduces reads the initiation message of a BMP client and compares its name.
func introduces(conn net.Conn, token string) bool {
	if conn.SetReadDeadline(time.Now().Add(introductionTimeout)) != nil {
		return false
	}
	b, err := wire.ReadBMP(conn)
	if err != nil {
		return false
	}
	m, err := wire.DecodeBMP(b)
	return err == nil && m.Kind == wire.BMPInitiation &&
		subtle.ConstantTimeCompare([]byte(m.SysName), []byte(token)) == 1 &&
		conn.SetReadDeadline(time.Time{}) == nil
}

// readBMP passes every message on until the stream ends. A message that cannot
// be read, or whose decoding fails in any way, is logged and costs nothing but
// itself.
func (s *Speaker) readBMP(ctx context.Context, e *engine, messages chan<- wire.BMPMessage) error {
	for {
		b, err := wire.ReadBMP(e.bmp)
		if err != nil {
			return fmt.Errorf("read the BMP stream: %w", err)
		}
		m, err := wire.DecodeBMP(b)
		if err != nil {
			s.log.Warn("a BGP message cannot be read in full", "neighbor", m.Peer, "error", err)
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

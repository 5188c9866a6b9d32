package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Ping sends echo requests of size payload bytes until one is answered or the
// time is over.
func (n *Namespace) Ping(addr netip.Addr, size int, within time.Duration) error {
	return Await(within, func() error {
		_, err := n.Try("ping", "-n", "-c", "1", "-W", "1", "-s", strconv.Itoa(size), addr.String())
		return err
	})
}

// PingAll sends count echo requests, 20 a second, and returns an error unless
// every one is answered.
func (n *Namespace) PingAll(addr netip.Addr, count int) error {
	out, err := n.Try("ping", "-n", "-c", strconv.Itoa(count), "-i", "0.05", "-W", "1", addr.String())
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail(out, 3))
	}
	return nil
}

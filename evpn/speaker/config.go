package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Bounds of a configuration. The restart time has 12 bits (RFC 4724 section 3),
// and not less than 30 s because GoBGP leaves a dropped session idle for 5 s
// before it tries again; a TCP-MD5 key has at most 80 bytes.
const (
	defaultRestartTime = 120 * time.Second
	minRestartTime     = 30 * time.Second
	maxRestartTime     = 4095 * time.Second
	minHoldTime        = 3 * time.Second // RFC 4271 section 4.2
	maxHoldTime        = 65535 * time.Second
	maxPasswordLength  = 80
)

// Neighbor is one BGP peer. Sessions carry the EVPN address family only.
type Neighbor struct {
	Address      netip.Addr
	LocalAddress netip.Addr // zero: the kernel chooses
	ASN          uint32
	Port         uint16        // TCP; 0 = 179
	Passive      bool          // wait for the peer to connect
	Multihop     uint8         // TTL of an eBGP session; 0 = 1, directly connected
	Password     string        // TCP-MD5 (RFC 2385); "" = none
	TTLSecurity  uint8         // GTSM (RFC 5082): most hops to the peer; 0 = off
	HoldTime     time.Duration // 0 = 90 s
}

// Config is what a Speaker runs with.
type Config struct {
	RouterID        netip.Addr // IPv4
	ASN             uint32
	ListenPort      int32        // TCP; 0 = 179, -1 = do not listen
	ListenAddresses []netip.Addr // empty = all
	Neighbors       []Neighbor
	// RestartTime is how long peers are asked to keep our routes while we
	// restart (RFC 4724); 0 = 120 s, at least 30 s.
	RestartTime time.Duration
	// Gobgpd drives an operator's own gobgpd instead of a worker:
	// unix:///path or host:port of its gRPC interface, on this host. Its
	// global configuration is the operator's.
	Gobgpd string
	// WorkerCommand is the command line of the worker without its flags, for
	// example /proc/self/exe bgp-worker.
	WorkerCommand []string
	// RuntimeDir is an existing directory for the worker's socket, which
	// nobody else should be able to enter.
	RuntimeDir string
}

// Validate returns the first error of c, in the words of a configuration.
func (c Config) Validate() error {
	switch {
	case !c.RouterID.Is4() || c.RouterID.IsUnspecified():
		return fmt.Errorf("router id %v is no IPv4 address", c.RouterID)
	case c.ASN == 0:
		return errors.New("the AS number is missing")
	case c.ListenPort < -1 || c.ListenPort > 65535:
		return fmt.Errorf("listen port %d is not between -1 and 65535", c.ListenPort)
	case c.RestartTime != 0 && (c.RestartTime < minRestartTime || c.RestartTime > maxRestartTime):
		return fmt.Errorf("restart time %v is not between %v and %v", c.RestartTime, minRestartTime, maxRestartTime)
	case c.Gobgpd == "" && len(c.WorkerCommand) == 0:
		return errors.New("neither a worker command nor a gobgpd is given")
	case c.Gobgpd == "" && c.RuntimeDir == "":
		return errors.New("the runtime directory is missing")
	}
	seen := map[netip.Addr]bool{}
	for _, n := range c.Neighbors {
		if err := c.validateNeighbor(n); err != nil {
			return fmt.Errorf("neighbor %v: %w", n.Address, err)
		}
		if seen[n.Address] {
			return fmt.Errorf("neighbor %v occurs twice", n.Address)
		}
		seen[n.Address] = true
	}
	return nil
}

func (c Config) validateNeighbor(n Neighbor) error {
	switch {
	case !n.Address.IsValid() || n.Address.IsUnspecified() || n.Address.IsMulticast() || n.Address.Zone() != "" || n.Address.Is4In6():
		return errors.New("no usable address")
	case n.LocalAddress.IsValid() && n.LocalAddress.Is4() != n.Address.Is4():
		return fmt.Errorf("the local address %v is of another family", n.LocalAddress)
	case n.ASN == 0:
		return errors.New("the AS number is missing")
	case n.Multihop != 0 && n.ASN == c.ASN:
		return errors.New("multihop is for eBGP, and this neighbor has our AS number")
	case n.Multihop != 0 && n.TTLSecurity != 0:
		return errors.New("multihop and TTL security exclude each other")
	case len(n.Password) > maxPasswordLength:
		return fmt.Errorf("the password has %d bytes, at most %d are possible", len(n.Password), maxPasswordLength)
	case n.HoldTime != 0 && (n.HoldTime < minHoldTime || n.HoldTime > maxHoldTime):
		return fmt.Errorf("hold time %v is not between %v and %v", n.HoldTime, minHoldTime, maxHoldTime)
	case n.Passive && c.ListenPort == -1:
		return errors.New("passive, but nothing listens")
	}
	return nil
}

// sameEngine reports whether a running engine of c can become d.
func (c Config) sameEngine(d Config) bool {
	return c.RouterID == d.RouterID && c.ASN == d.ASN && c.ListenPort == d.ListenPort &&
		slices.Equal(c.ListenAddresses, d.ListenAddresses) && c.Gobgpd == d.Gobgpd &&
		slices.Equal(c.WorkerCommand, d.WorkerCommand) && c.RuntimeDir == d.RuntimeDir
}

// restartTime returns the restart time in effect.
func (c Config) restartTime() time.Duration {
	if c.RestartTime == 0 {
		return defaultRestartTime
	}
	return c.RestartTime
}

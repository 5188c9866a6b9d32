package speaker

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"longwire/evpn"
)

const (
	startTimeout   = 10 * time.Second // for a worker to be ready
	requestTimeout = 10 * time.Second // for one request that is not a listing
	maxSocketPath  = 107              // bytes, unix(7)
)

// evpnFamily is the only address family that we speak.
var evpnFamily = &api.Family{Afi: api.Family_AFI_L2VPN, Safi: api.Family_SAFI_EVPN}

// engine is one living GoBGP: its process if it is ours, its gRPC interface, its
// BMP stream, and what we have told it.
type engine struct {
	process *process // nil when the gobgpd is an operator's
	conn    *grpc.ClientConn
	api     api.GobgpApiClient
	bmp     net.Conn
	station *api.DeleteBmpRequest // our BMP listener, as GoBGP knows it
	adopted []Neighbor            // those of an operator's gobgpd

	paths   map[string]heldPath // by NLRI; nil = to be listed
	peers   map[netip.Addr]peerConfig
	refused map[string]bool // advertisements that were logged as unusable
	changes chan func(*adjIn) []Event
	idle    chan netip.Addr // neighbours that GoBGP lets rest
	endings chan ending     // of sessions and attempts
	// notifications counts those that each neighbour has sent before a session;
	// it belongs to watch.
	notifications map[netip.Addr]uint64
}

// heldPath is a path of ours that GoBGP holds.
type heldPath struct {
	nlri     []byte
	endpoint evpn.Endpoint
}

// start brings an engine up to the point where neighbours can be added: process,
// gRPC, global configuration, BMP stream. It runs on the thread of Run because
// the process and the BMP listener belong into the network namespace of that
// thread.
func (s *Speaker) start(ctx context.Context) (*engine, error) {
	_, c := s.desired()
	e := &engine{
		peers:   map[netip.Addr]peerConfig{},
		refused: map[string]bool{},
		changes: make(chan func(*adjIn) []Event),
		idle:    make(chan netip.Addr, 256),
		endings: make(chan ending, 256),

		notifications: map[netip.Addr]uint64{},
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := e.bringUp(ctx, c, s); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

func (e *engine) bringUp(ctx context.Context, c Config, s *Speaker) error {
	target := c.Gobgpd
	if target != "" {
		if err := reach(ctx, target); err != nil {
			return err
		}
	} else {
		socket := filepath.Join(c.RuntimeDir, "bgp-worker.sock")
		if err := e.startWorker(ctx, c, socket, s); err != nil {
			return err
		}
		target = "unix://" + socket
	}
	if err := e.connect(target); err != nil {
		return err
	}
	ctx, cancel := e.untilDeath(ctx)
	defer cancel()
	if err := e.configure(ctx, c); err != nil {
		return e.blame(err)
	}
	if err := e.openBMP(ctx, c); err != nil {
		return e.blame(err)
	}
	if c.Gobgpd != "" {
		return e.adopt(ctx)
	}
	return nil
}

func (e *engine) startWorker(ctx context.Context, c Config, socket string, s *Speaker) error {
	if len(socket) > maxSocketPath {
		return fmt.Errorf("the socket path %s has %d bytes, at most %d are possible", socket, len(socket), maxSocketPath)
	}
	_ = os.Remove(socket) // of an earlier worker; else a connection could reach its corpse
	level := slog.LevelInfo
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if s.log.Enabled(ctx, l) {
			level = l
			break
		}
	}
	argv := append(append([]string{}, c.WorkerCommand...), "-api", socket, "-log", level.String())
	var err error
	e.process, err = startProcess(argv, s.log, s.hear)
	return err
}

func (e *engine) connect(target string) error {
	retry := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: time.Second}))
	if err != nil {
		return fmt.Errorf("use the gRPC interface %s: %w", target, err)
	}
	e.conn, e.api = conn, api.NewGobgpApiClient(conn)
	return nil
}

// configure waits for the gRPC interface and starts BGP on a worker. An
// operator's gobgpd must have been started by the operator, with our identity.
func (e *engine) configure(ctx context.Context, c Config) error {
	if c.Gobgpd == "" {
		return e.startBGP(ctx, c)
	}
	r, err := e.api.GetBgp(ctx, &api.GetBgpRequest{})
	switch {
	case err != nil:
		return fmt.Errorf("ask gobgpd for its configuration: %w", err)
	case r.GetGlobal().GetAsn() != c.ASN || r.GetGlobal().GetRouterId() != c.RouterID.String():
		return fmt.Errorf("gobgpd runs as AS %d router id %q, we are configured as AS %d router id %v",
			r.GetGlobal().GetAsn(), r.GetGlobal().GetRouterId(), c.ASN, c.RouterID)
	}
	return nil
}

func (e *engine) startBGP(ctx context.Context, c Config) error {
	global := &api.Global{Asn: c.ASN, RouterId: c.RouterID.String(), ListenPort: c.ListenPort}
	for _, a := range c.ListenAddresses {
		global.ListenAddresses = append(global.ListenAddresses, a.String())
	}
	if len(c.ListenAddresses) == 0 {
		global.ListenAddresses = anyAddresses()
	}
	if _, err := e.api.StartBgp(ctx, &api.StartBgpRequest{Global: global}, grpc.WaitForReady(true)); err != nil {
		return fmt.Errorf("start BGP on port %d: %w", c.ListenPort, err)
	}
	return e.announceOwnOnly(ctx)
}

// announceOwnOnly sets the export policy of a worker to the routes that we
// originate: a PE with two neighbours must not carry routes from one to the
// other.
func (e *engine) announceOwnOnly(ctx context.Context) error {
	const name = "longwire-own-routes"
	policy := &api.Policy{Name: name, Statements: []*api.Statement{{
		Name:       name,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if _, err := e.api.AddPolicy(ctx, &api.AddPolicyRequest{Policy: policy}); err != nil {
		return fmt.Errorf("add the export policy: %w", err)
	}
	assignment := &api.PolicyAssignment{
		Name:          "global",
		Direction:     api.PolicyDirection_EXPORT,
		Policies:      []*api.Policy{{Name: name}},
		DefaultAction: api.RouteAction_REJECT,
	}
	if _, err := e.api.AddPolicyAssignment(ctx, &api.AddPolicyAssignmentRequest{Assignment: assignment}); err != nil {
		return fmt.Errorf("assign the export policy: %w", err)
	}
	return nil
}

// untilDeath derives a context that ends when the worker does, so that no
// request waits for a dead one.
func (e *engine) untilDeath(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if e.process != nil {
		go func() {
			select {
			case <-e.process.done:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// blame returns the death of the worker instead of err when that is the cause.
func (e *engine) blame(err error) error {
	if e.process == nil {
		return err
	}
	select {
	case <-e.process.done:
		return fmt.Errorf("the BGP worker ended: %w", e.process.err)
	default:
		return err
	}
}

// stop ends the engine without a word to the neighbours: GoBGP's StopBgp would
// make them forget our routes.
func (e *engine) stop() {
	if e.process == nil && e.station != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, _ = e.api.DeleteBmp(ctx, e.station) // a gobgpd that is gone has no station
		cancel()
	}
	if e.bmp != nil {
		_ = e.bmp.Close()
	}
	if e.conn != nil {
		_ = e.conn.Close()
	}
	if e.process != nil {
		e.process.stop()
	}
}

// anyAddresses returns the wildcard addresses of the families that this kernel
// has.
func anyAddresses() []string {
	if l, err := net.Listen("tcp6", "[::]:0"); err == nil {
		_ = l.Close() // it has proved the family
		return []string{"0.0.0.0", "::"}
	}
	return []string{"0.0.0.0"}
}

// newToken returns a name that only GoBGP and we know.
func newToken() string { return "longwire-" + strings.ToLower(rand.Text()) }

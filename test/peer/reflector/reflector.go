// Package reflector is a BGP route reflector for EVPN routes, made of GoBGP: the
// middle of the demo and of the tests. Between neighbours of other AS numbers it
// is a plain transit.
package reflector

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// addresses collects a repeated address flag.
type addresses []netip.Addr

// String implements flag.Value.
func (a *addresses) String() string {
	var s []string
	for _, one := range *a {
		s = append(s, one.String())
	}
	return strings.Join(s, ",")
}

// Set implements flag.Value.
func (a *addresses) Set(s string) error {
	one, err := netip.ParseAddr(s)
	*a = append(*a, one)
	return err
}

// client is one neighbour.
type client struct {
	address netip.Addr
	asn     uint32 // 0 = ours
}

// clients collects a repeated client flag.
type clients []client

// String implements flag.Value.
func (c *clients) String() string { return fmt.Sprint(*c) }

// Set implements flag.Value: ADDRESS or ADDRESS@ASN.
func (c *clients) Set(s string) error {
	address, asn, other := strings.Cut(s, "@")
	var one client
	var err error
	if one.address, err = netip.ParseAddr(address); err != nil {
		return err
	}
	if other {
		n, err := strconv.ParseUint(asn, 10, 32)
		if err != nil {
			return err
		}
		one.asn = uint32(n)
	}
	*c = append(*c, one)
	return nil
}

// options are the command line.
type options struct {
	asn, holdTime, restartTime uint
	routerID, password, grpc   string
	port, clientPort           int
	listen                     addresses
	clients                    clients
	active                     bool
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("rr", flag.ContinueOnError)
	f.UintVar(&o.asn, "asn", 65000, "our AS number")
	f.StringVar(&o.routerID, "router-id", "", "our router id")
	f.Var(&o.listen, "listen", "address to listen on, repeatable (default: all)")
	f.IntVar(&o.port, "port", 179, "TCP port to listen on")
	f.Var(&o.clients, "client", "ADDRESS or, over eBGP, ADDRESS@ASN of a client, repeatable")
	f.IntVar(&o.clientPort, "client-port", 179, "TCP port of the clients, with -active")
	f.BoolVar(&o.active, "active", false, "connect to the clients instead of waiting for them")
	f.StringVar(&o.password, "password", "", "TCP-MD5 password")
	f.StringVar(&o.grpc, "grpc", "", "unix socket for GoBGP's gRPC interface (default: none)")
	f.UintVar(&o.holdTime, "hold-time", 90, "seconds")
	f.UintVar(&o.restartTime, "restart-time", 120, "seconds of graceful restart; 0 = none")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if _, err := netip.ParseAddr(o.routerID); err != nil {
		return o, fmt.Errorf("-router-id: %w", err)
	}
	if len(o.clients) == 0 {
		return o, errors.New("-client is missing")
	}
	return o, nil
}

// Main runs a reflector until ctx ends, with flags as in `rr -h`. It writes the
// line "ready" to out when the clients can connect, and leaves without a word
// to them, as a reflector that crashes does.
func Main(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	serverOptions := []server.ServerOption{server.LoggerOption(silent{})}
	if o.grpc != "" {
		serverOptions = append(serverOptions, server.GrpcListenAddress("unix://"+o.grpc))
	}
	s := server.NewBgpServer(serverOptions...)
	go s.Serve()
	global := &api.Global{Asn: uint32(o.asn), RouterId: o.routerID, ListenPort: int32(o.port)}
	for _, a := range o.listen {
		global.ListenAddresses = append(global.ListenAddresses, a.String())
	}
	if err := s.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return fmt.Errorf("start BGP: %w", err)
	}
	for _, c := range o.clients {
		if err := s.AddPeer(ctx, &api.AddPeerRequest{Peer: o.peer(c)}); err != nil {
			return fmt.Errorf("add client %v: %w", c.address, err)
		}
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (o options) peer(c client) *api.Peer {
	family := &api.Family{Afi: api.Family_AFI_L2VPN, Safi: api.Family_SAFI_EVPN}
	restart := o.restartTime != 0
	if c.asn == 0 {
		c.asn = uint32(o.asn)
	}
	p := &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: c.address.String(), PeerAsn: c.asn, AuthPassword: o.password},
		Transport: &api.Transport{PassiveMode: !o.active, RemotePort: uint32(o.clientPort)},
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: uint64(o.holdTime), ConnectRetry: 2}},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: restart}},
		}},
		GracefulRestart: &api.GracefulRestart{Enabled: restart, RestartTime: uint32(o.restartTime), DeferralTime: 2, LocalRestarting: restart},
	}
	if c.asn == uint32(o.asn) {
		p.RouteReflector = &api.RouteReflector{RouteReflectorClient: true, RouteReflectorClusterId: o.routerID}
	} else {
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: 8}
	}
	return p
}

// silent drops GoBGP's log lines; what matters here is seen at the clients.
type silent struct{}

func (silent) Panic(m string, _ log.Fields) { panic(m) }
func (silent) Fatal(m string, _ log.Fields) { panic(m) }
func (silent) Error(string, log.Fields)     {}
func (silent) Warn(string, log.Fields)      {}
func (silent) Info(string, log.Fields)      {}
func (silent) Debug(string, log.Fields)     {}
func (silent) SetLevel(log.LogLevel)        {}
func (silent) GetLevel() log.LogLevel       { return log.ErrorLevel }

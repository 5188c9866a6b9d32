// Package gobgpd runs the real gobgpd, in whatever role its configuration says,
// in a namespace of a lab.
package gobgpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"longwire/test/lab"
)

// startTime is how long gobgpd may take to start BGP, and answerTime how long to
// answer one request, on a busy machine.
const (
	startTime  = 20 * time.Second
	answerTime = 5 * time.Second
)

// Server is a gobgpd.
type Server struct {
	*lab.Daemon
	// Socket is the path of its gRPC socket, and Config that of its
	// configuration file.
	Socket, Config string
	lab            *lab.Lab
	namespace      *lab.Namespace
	argv           []string
}

// Start starts the program binary in a namespace with a configuration in TOML,
// and returns when its BGP runs. name, unique in the lab, names its files; flags
// are more flags of gobgpd.
func Start(n *lab.Namespace, name, binary, config string, flags ...string) *Server {
	l := n.Lab()
	s := &Server{
		Socket: l.Path(name + ".sock"), Config: l.Write(name+".toml", config),
		lab: l, namespace: n,
	}
	s.argv = append([]string{binary, "-t", "toml", "-f", s.Config, "--log-plain",
		"--api-hosts", "unix://" + s.Socket, "--pprof-disable", "--metrics-path="}, flags...)
	s.launch(name)
	return s
}

func (s *Server) launch(name string, flags ...string) {
	// A gobgpd that was killed leaves its socket, and the next one does not start
	// for it.
	_ = os.Remove(s.Socket)
	s.Daemon = s.namespace.Start(name, append(append([]string(nil), s.argv...), flags...)...)
	s.lab.Poll(startTime, "BGP of "+name, func() error {
		return errors.Join(s.started(), s.Running())
	})
}

// started returns an error until BGP runs.
func (s *Server) started() error {
	return s.Call(func(ctx context.Context, client api.GobgpApiClient) error {
		answer, err := client.GetBgp(ctx, &api.GetBgpRequest{})
		if err == nil && answer.GetGlobal().GetAsn() == 0 {
			err = errors.New("BGP does not run yet")
		}
		return err
	})
}

// Restart starts gobgpd again after it was killed or stopped, with more flags:
// "--graceful-restart" tells its neighbours that it is one that comes back (the
// restart state of RFC 4724).
func (s *Server) Restart(flags ...string) { s.launch(s.Name, flags...) }

// Reload makes gobgpd read a new configuration.
func (s *Server) Reload(config string) {
	s.lab.Write(s.Name+".toml", config)
	s.Signal(syscall.SIGHUP)
}

// Call calls f with a client of gobgpd's gRPC interface.
func (s *Server) Call(f func(context.Context, api.GobgpApiClient) error) error {
	conn, err := grpc.NewClient("unix://"+s.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("gRPC of %s: %w", s.Name, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	return f(ctx, api.NewGobgpApiClient(conn))
}

// Established returns how many of gobgpd's neighbours have a session.
func (s *Server) Established() (count int, err error) {
	err = s.Call(func(ctx context.Context, client api.GobgpApiClient) error {
		stream, err := client.ListPeer(ctx, &api.ListPeerRequest{})
		if err != nil {
			return err
		}
		for {
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if answer.GetPeer().GetState().GetSessionState() == api.PeerState_ESTABLISHED {
				count++
			}
		}
	})
	return count, err
}

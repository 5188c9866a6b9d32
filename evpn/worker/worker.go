// Package worker is the child process that runs the GoBGP server. What a BGP
// peer sends is parsed here and nowhere else, so that bytes which kill GoBGP
// kill this process only: it has no capability that could touch forwarding, and
// the agent starts another one.
package worker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"github.com/osrg/gobgp/v3/pkg/server"
	"google.golang.org/grpc"
)

// maxSocketPath is the longest path of a unix socket in bytes (unix(7)).
const maxSocketPath = 107

// Main runs a GoBGP server until ctx ends or the parent process goes away; it
// is the body of the hidden verb `longwire bgp-worker`. It changes the whole
// process: capabilities, umask, no_new_privs. The arguments are
//
//	-api PATH     unix socket of GoBGP's gRPC interface, mode 0600
//	-log LEVEL    debug, info, warn or error
//
// The parent holds the write end of our standard input: its end means that the
// parent is gone. Log lines go to standard error as JSON. Main returns without
// closing the BGP sessions in the protocol, because a peer that is told goodbye
// forgets our routes, while one that loses the connection keeps them for the
// graceful-restart time (RFC 4724).
func Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bgp-worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	api := flags.String("api", "", "unix socket of the gRPC interface")
	level := slog.LevelInfo
	flags.TextVar(&level, "log", level, "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := checkSocketPath(*api); err != nil {
		return err
	}
	if err := restrict(); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	if err := os.Remove(*api); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier worker: %w", err)
	}
	logger := newLogger(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	keys := &keyring{}
	s := server.NewBgpServer(
		server.GrpcListenAddress("unix://"+*api),
		server.GrpcOption([]grpc.ServerOption{grpc.ChainUnaryInterceptor(releasePort, keys.intercept)}),
		server.LoggerOption(logger),
	)
	go s.Serve()
	waitForEnd(ctx, os.Stdin)
	return nil
}

func checkSocketPath(path string) error {
	switch {
	case path == "":
		return errors.New("-api is missing")
	case len(path) > maxSocketPath:
		return fmt.Errorf("the socket path %s has %d bytes, at most %d are possible", path, len(path), maxSocketPath)
	}
	return nil
}

// restrict gives up what the worker does not need. The umask makes the socket,
// which GoBGP creates, 0600.
func restrict() error {
	syscall.Umask(0o177)
	return dropPrivileges()
}

// releasePort gives up the right to bind low ports once the BGP listener is
// there.
func releasePort(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, request)
	if err == nil && strings.HasSuffix(info.FullMethod, "/StartBgp") {
		err = dropLowPorts()
	}
	return response, err
}

// waitForEnd returns when ctx ends or r reads to its end.
func waitForEnd(ctx context.Context, r io.Reader) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, r) // any end of it is the end
	}()
	select {
	case <-ctx.Done():
	case <-gone:
	}
}

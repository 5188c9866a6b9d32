package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/mdlayher/sdnotify"
	"golang.org/x/sync/errgroup"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/cmd/longwire/internal/metrics"
	"longwire/dataplane/link"
	"longwire/dataplane/tc"
	"longwire/evpn/speaker"
)

// Main runs an agent with a configuration file until SIGTERM or SIGINT, and
// leaves everything forwarding. The error is a config.Errors when the file is
// refused; nothing has been changed then.
func Main(ctx context.Context, file, version string, log *slog.Logger) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	if err := checkCapabilities(cap.GetProc()); err != nil {
		return err
	}
	held, err := claim(cfg.State)
	if err != nil {
		return err
	}
	defer held.release()
	scrape, err := listenMetrics(cfg.Metrics)
	if err != nil {
		return err
	}
	if scrape != nil {
		defer scrape.Close()
	}
	plane, checks, err := openPlane(ctx, cfg, log)
	if err != nil {
		return err
	}
	err = serve(ctx, cfg, plane, scrape, tasks{file: file, version: version, checks: checks, log: log})
	if closeErr := plane.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close the data plane: %w", closeErr))
	}
	return err
}

// claim makes the runtime directory and takes its lock.
func claim(state config.State) (*lock, error) {
	for _, dir := range []string{state.Runtime, filepath.Dir(state.Socket)} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("make the runtime directory: %w", err)
		}
	}
	return acquire(state.Runtime)
}

func listenMetrics(m config.Metrics) (net.Listener, error) {
	if !m.Listen.IsValid() {
		return nil, nil
	}
	listener, err := net.Listen("tcp", m.Listen.String())
	if err != nil {
		return nil, fmt.Errorf("listen for metrics.listen: %w", err)
	}
	return listener, nil
}

// tasks is what the tasks of one agent share.
type tasks struct {
	file, version string
	checks        []api.Check // of the self-test
	log           *slog.Logger
}

// serve runs the tasks of the agent until one of them fails or a signal ends
// them all.
func serve(ctx context.Context, cfg *config.Config, plane *tc.Plane, scrape net.Listener, t tasks) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	links, err := link.Watch(ctx, t.log)
	if err != nil {
		return fmt.Errorf("watch the links: %w", err)
	}
	resolver := link.NewResolver(plane, t.log)
	slow := newSlowPath(plane, t.log)
	defer func() { _ = slow.Close() }()
	ready := make(chan struct{})
	a := New(cfg, cfg.State.Runtime, Deps{
		Plane: plane, Links: links, Resolver: resolver, SetPromiscuous: link.SetPromiscuous, SlowPath: slow,
		XDP:        plane,
		NewSpeaker: func(c speaker.Config) Speaker { return speaker.New(c, t.log) },
		Load:       func() (*config.Config, error) { return config.Load(t.file) },
		Ready:      func() { close(ready) },
		Log:        t.log, Version: t.version, File: t.file, PID: os.Getpid(), SelfTest: t.checks,
	})
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return resolver.Run(ctx) })
	group.Go(func() error { return t.afterReady(ctx, ready, cfg, a) })
	if scrape != nil {
		group.Go(func() error { return metrics.Serve(ctx, scrape, a) })
	}
	t.reloadOnHangup(ctx, group, a)
	return group.Wait()
}

// afterReady tells systemd that the first pass is done and opens the control
// socket: whoever finds the socket finds a state behind it.
func (t tasks) afterReady(ctx context.Context, ready <-chan struct{}, cfg *config.Config, a *Agent) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return nil
	}
	notify(t.log, sdnotify.Ready)
	defer notify(t.log, sdnotify.Stopping)
	t.log.Info("agent runs", "version", t.version, "pid", os.Getpid(), "config", t.file, "pseudowires", len(cfg.Pseudowires))
	return api.Serve(ctx, cfg.State.Socket, a, t.log)
}

func (t tasks) reloadOnHangup(ctx context.Context, group *errgroup.Group, a *Agent) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	group.Go(func() error {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangup:
				// Reload logs what it refuses; the agent goes on.
				_ = a.Reload(ctx)
			}
		}
	})
}

// notify tells systemd, if it has started us.
func notify(log *slog.Logger, state string) {
	n, err := sdnotify.New()
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = errors.Join(n.Notify(state), n.Close())
	}
	if err != nil {
		log.Warn("cannot notify systemd", "error", err)
	}
}

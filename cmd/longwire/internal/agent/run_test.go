package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
)

// systemd listens where NOTIFY_SOCKET says and returns what it is told.
func systemd(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		b := make([]byte, 100)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// The socket is there and systemd is told after the first pass, not before, and
// both end with the agent.
func TestReadiness(t *testing.T) {
	told := systemd(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "s.sock")
	cfg := &config.Config{State: config.State{Socket: socket}}
	log := slog.New(slog.DiscardHandler)
	a := New(cfg, dir, Deps{Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- tasks{file: "pe1.yaml", version: "v1", log: log}.afterReady(ctx, ready, cfg, a) }()
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there before the first pass: %v", err)
	}
	close(ready)
	if got := told(); got != "READY=1" {
		t.Errorf("told %q", got)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		_, err := api.NewClient(socket).Agent(t.Context())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("afterReady: %v", err)
	}
	if got := told(); got != "STOPPING=1" {
		t.Errorf("told %q", got)
	}
}

func TestEndBeforeReady(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (tasks{log: slog.New(slog.DiscardHandler)}).afterReady(ctx, nil, &config.Config{}, nil); err != nil {
		t.Errorf("afterReady: %v", err)
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var log strings.Builder
	notify(slog.New(slog.NewTextHandler(&log, nil)), "READY=1")
	if log.Len() != 0 {
		t.Errorf("logged %s", log.String())
	}
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/notify")
	notify(slog.New(slog.NewTextHandler(&log, nil)), "READY=1")
}

// privileged skips what is only reached with the agent's capabilities.
func privileged(t *testing.T) {
	t.Helper()
	if err := checkCapabilities(cap.GetProc()); err != nil {
		t.Skip(err)
	}
}

// What is refused before the data plane is opened changes nothing.
func TestMainRefuses(t *testing.T) {
	privileged(t)
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(dir, "pe1.yaml")
	write := func(rest string) {
		content := "router: {source: 192.0.2.1}\nstate: {runtime: " + dir + "/run, pins: " + dir + "/pins}\n" + rest
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() error { return Main(t.Context(), file, "v1", slog.New(slog.DiscardHandler)) }

	write("nonsense: 1\n")
	var wrong config.Errors
	if err := refused(); !errors.As(err, &wrong) {
		t.Errorf("with a bad file: %v", err)
	}
	if _, err := os.Stat(dir + "/run"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bad file makes a runtime directory: %v", err)
	}

	write("metrics: {listen: \"" + taken.Addr().String() + "\"}\n")
	if err := refused(); err == nil || !strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("with the port of metrics in use: %v", err)
	}

	write("")
	held, err := acquire(dir + "/run")
	if err != nil {
		t.Fatal(err)
	}
	if err := refused(); !errors.Is(err, ErrRunning) {
		t.Errorf("beside another agent: %v", err)
	}
	held.release()

	// The pin directory is on no bpffs.
	if err := refused(); err == nil || !strings.Contains(err.Error(), "bpffs") {
		t.Errorf("without a bpffs: %v", err)
	}
}

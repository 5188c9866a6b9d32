package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// TestMain also is the worker: the tests start their own binary as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bgp-worker" {
		if err := Main(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a running worker.
type child struct {
	command *exec.Cmd
	stdin   io.Closer
	socket  string
	ended   chan error
}

// start runs a worker with extra arguments.
func start(t *testing.T, args ...string) *child {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &child{socket: filepath.Join(dir, "s"), ended: make(chan error, 1)}
	c.command = exec.Command("/proc/self/exe", append([]string{"bgp-worker", "-api", c.socket}, args...)...)
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.command.Wait() }()
	t.Cleanup(func() { _ = c.command.Process.Kill() })
	return c
}

// client waits for the gRPC interface.
func (c *child) client(t *testing.T) api.GobgpApiClient {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+c.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := api.NewGobgpApiClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := client.GetBgp(ctx, &api.GetBgpRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return client
}

// status returns the lines of /proc/PID/status that name capabilities.
func (c *child) status(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.HasPrefix(name, "Cap") || name == "NoNewPrivs" {
			status[name] = strings.TrimSpace(value)
		}
	}
	return status
}

// The right to bind port 179 is kept until BGP has started, and nothing else.
func TestPrivileges(t *testing.T) {
	const none, bindLowPorts = "0000000000000000", "0000000000000400"
	c := start(t)
	client := c.client(t)
	want := map[string]string{"CapInh": none, "CapPrm": bindLowPorts, "CapEff": bindLowPorts, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1"}
	if diff := cmp.Diff(want, c.status(t)); diff != "" {
		t.Errorf("before BGP starts (-want +got):\n%s", diff)
	}
	_, err := client.StartBgp(context.Background(), &api.StartBgpRequest{Global: &api.Global{Asn: 65000, RouterId: "192.0.2.1", ListenPort: -1}})
	if err != nil {
		t.Fatal(err)
	}
	want["CapPrm"], want["CapEff"] = none, none
	if diff := cmp.Diff(want, c.status(t)); diff != "" {
		t.Errorf("after BGP has started (-want +got):\n%s", diff)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	c := start(t)
	c.client(t)
	info, err := os.Stat(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != os.ModeSocket|0o600 {
		t.Errorf("mode %v", mode)
	}
}

// The worker replaces the socket of one that was killed.
func TestStaleSocket(t *testing.T) {
	c := start(t)
	c.client(t)
	_ = c.command.Process.Kill()
	<-c.ended
	again := exec.Command("/proc/self/exe", "bgp-worker", "-api", c.socket)
	stdin, err := again.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	c.client(t)
	_ = stdin.Close()
	if err := again.Wait(); err != nil {
		t.Error(err)
	}
}

func TestEndsWithItsStandardInput(t *testing.T) {
	c := start(t)
	c.client(t)
	_ = c.stdin.Close()
	select {
	case err := <-c.ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on without a parent")
	}
}

func TestWaitForEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	reader, writer := io.Pipe()
	defer writer.Close()
	waitForEnd(ctx, reader) // returns because of ctx
	waitForEnd(context.Background(), strings.NewReader("noise"))
}

// Bad arguments are refused before anything changes in this process.
func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "-api is missing"},
		{[]string{"-api", "/" + strings.Repeat("x", 107)}, "has 108 bytes, at most 107"},
		{[]string{"-log", "loud", "-api", "/x"}, "loud"},
		{[]string{"-nonsense"}, "not defined"},
	} {
		if err := Main(context.Background(), test.args); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.args, err, test.want)
		}
	}
}

// stubborn is a value whose printer panics.
type stubborn struct{}

func (*stubborn) String() string { panic("no") }

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewJSONHandler(&out, nil)))
	l.Debug("below the level", nil)
	l.Info("Peer Up", log.Fields{"Topic": "Peer", "Key": "192.0.2.1", "Remote Addr": 7})
	l.Warn("long", log.Fields{"Data": strings.Repeat("x", 1000)})
	l.Error("bad", log.Fields{"Data": &stubborn{}})
	var got []map[string]any
	for decoder := json.NewDecoder(&out); ; {
		line := map[string]any{}
		if err := decoder.Decode(&line); err != nil {
			break
		}
		delete(line, "time")
		got = append(got, line)
	}
	if len(got) != 3 {
		t.Fatalf("%d lines: %v", len(got), got)
	}
	want := map[string]any{"level": "INFO", "msg": "Peer Up", "topic": "Peer", "neighbor": "192.0.2.1", "remote_addr": "7"}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if data := got[1]["data"].(string); len(data) > maxFieldLength+len("…") {
		t.Errorf("%d bytes of data", len(data))
	}
	if data := got[2]["data"].(string); !strings.Contains(data, "PANIC") {
		t.Errorf("data %q", data)
	}
}

// What the parent wants to know of connections and notifications reaches it at
// every level that it logs.
func TestLoggerTellsTheParent(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewJSONHandler(&out, nil)))
	l.SetLevel(log.InfoLevel) // is not heeded
	if got := l.GetLevel(); got != log.DebugLevel {
		t.Errorf("level %v: GoBGP would not say why it cannot connect", got)
	}
	l.Debug("failed to connect", log.Fields{"Topic": "Peer", "Key": "192.0.2.1", "Error": errors.New("connection refused")})
	l.Warn("sent notification", log.Fields{"Key": "192.0.2.1", "Data": bgp.NewMessageError(2, 2, nil, "as number mismatch")})
	l.Warn("sent notification", log.Fields{"Key": "192.0.2.1", "Data": (*bgp.MessageError)(nil)})
	var got []map[string]any
	for decoder := json.NewDecoder(&out); decoder.More(); {
		line := map[string]any{}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		got = append(got, line)
	}
	want := []map[string]any{
		{"level": "INFO", "msg": "failed to connect", "topic": "Peer", "neighbor": "192.0.2.1", "error": "connection refused"},
		{"level": "WARN", "msg": "sent notification", "neighbor": "192.0.2.1", "code": "2", "subcode": "2", "message": "as number mismatch"},
		{"level": "WARN", "msg": "sent notification", "neighbor": "192.0.2.1", "data": "<nil>"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoggerPanics(t *testing.T) {
	defer func() {
		if p := recover(); p != "the end" {
			t.Errorf("recovered %v", p)
		}
	}()
	newLogger(slog.New(slog.DiscardHandler)).Panic("the end", nil)
}

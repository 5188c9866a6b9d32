package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeBackend has one of everything.
type fakeBackend struct {
	reload error
	rotate error
	fail   error
}

func (fakeBackend) Agent() Agent {
	return Agent{Version: "v1", PID: 42, Config: "/etc/x.yaml", Started: since, Holding: true, Repairs: 3, Problems: []string{"p"}}
}

func (fakeBackend) Pseudowires() []Pseudowire {
	return []Pseudowire{{
		Name: "a", Interface: "eth2", VLANs: "200 inner 100", State: "up", Source: "signalled", Remote: "192.0.2.9", Encapsulation: "ip",
		LocalSession: 4000000000, RemoteSession: 2, MTU: 1500, Since: since,
		UnderlayMTU: 1500, MaxPayload: 1446, NeedMTU: 1554, NeedMTU1500: 1554, TooBig: "fragment", CookieRotated: &since,
	}}
}

func (b fakeBackend) Sessions(cookies bool) ([]Session, error) {
	s := Session{Pseudowire: "a", Direction: "receive", Session: 1, Interface: "eth2", Local: "192.0.2.1", Encapsulation: "ip+udp", LocalPort: 1701, Sublayer: "none", CookieLength: 4, Tags: "push 0x8100/100", Options: []string{"previous-cookie"}}
	if cookies {
		s.Cookie = "00112233"
	}
	closed := Session{Pseudowire: "a", Direction: "transmit", Interface: "eth2", VLANs: "100", Options: []string{"closed"}}
	return []Session{s, closed}, b.fail
}

func (fakeBackend) Neighbors() []Neighbor {
	return []Neighbor{{Address: "192.0.2.254", ASN: 65000, State: "established", Since: since, Received: 1, Advertised: 2, Flaps: 3}}
}

func (fakeBackend) Routes() []Route {
	return []Route{{
		Service: 102, RouteTargets: []string{"65000:1"}, RD: "192.0.2.9:1", Peer: "192.0.2.254", NextHop: "192.0.2.9",
		Tunnels: []Tunnel{{Session: 2, Endpoint: "192.0.2.9", CookieLength: 8, UDPPort: 1701}}, MTU: 1500,
		Verdict: RouteSelected, Pseudowires: []string{"a"}, Since: since, StaleSince: &since,
	}}
}

func (b fakeBackend) Counters() ([]Counters, error) {
	return []Counters{
		{Pseudowire: "a", EncapPackets: 1, EncapBytes: 2, DecapPackets: 3, DecapBytes: 4, Fragmented: 6, Answered: 7, PreviousCookie: 8, SequenceGaps: 9, SequenceResets: 10, Drops: map[string]uint64{"wrong_cookie": 5}},
		{SlowPath: &SlowPath{Received: 10, Delivered: 1, Foreign: 2, Malformed: 3, Failed: 4, RateLimited: 5}},
	}, b.fail
}

func (b fakeBackend) Reload(context.Context) error { return b.reload }

func (b fakeBackend) RotateCookies(_ context.Context, names []string, all bool) ([]string, error) {
	if all {
		names = append(names, "all")
	}
	return names, b.rotate
}

// serve runs a server and returns a client of it.
func serve(t *testing.T, b Backend) (*Client, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, socket, b, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return NewClient(socket), socket
		}
	}
	t.Fatal("the server does not listen")
	return nil, ""
}

func TestRoundTrip(t *testing.T) {
	b := fakeBackend{}
	c, socket := serve(t, b)
	ctx := t.Context()
	check := func(what string, want, got any, err error) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, d)
		}
	}
	agent, err := c.Agent(ctx)
	check("agent", b.Agent(), agent, err)
	pseudowires, err := c.Pseudowires(ctx)
	check("pseudowires", b.Pseudowires(), pseudowires, err)
	neighbors, err := c.Neighbors(ctx)
	check("neighbors", b.Neighbors(), neighbors, err)
	routes, err := c.Routes(ctx)
	check("routes", b.Routes(), routes, err)
	counters, err := c.Counters(ctx)
	wantCounters, _ := b.Counters()
	check("counters", wantCounters, counters, err)
	for _, cookies := range []bool{false, true} {
		sessions, err := c.Sessions(ctx, cookies)
		want, _ := b.Sessions(cookies)
		check("sessions", want, sessions, err)
	}
	if err := c.Reload(ctx); err != nil {
		t.Errorf("reload: %v", err)
	}
	for all, want := range map[bool][]string{false: {"a", "b"}, true: {"a", "b", "all"}} {
		rotated, err := c.RotateCookies(ctx, []string{"a", "b"}, all)
		check("rotate cookies", want, rotated, err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode of the socket: %v, %v", info.Mode(), err)
	}
}

// The JSON is an interface that others rely on.
func TestGoldenJSON(t *testing.T) {
	for _, name := range []string{"agent", "pseudowires", "sessions", "neighbors", "routes", "counters"} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			handler(fakeBackend{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/"+name, nil))
			var got bytes.Buffer
			if err := json.Indent(&got, rec.Body.Bytes(), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".json"), got.Bytes())
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func TestFailures(t *testing.T) {
	c, _ := serve(t, fakeBackend{fail: errors.New("read the maps: no"), reload: &InvalidConfig{"x.yaml:1: bad"}, rotate: &Refused{"a: not now"}})
	if _, err := c.Counters(t.Context()); err == nil || err.Error() != "read the maps: no" {
		t.Errorf("counters: %v", err)
	}
	var invalid *InvalidConfig
	if err := c.Reload(t.Context()); !errors.As(err, &invalid) || invalid.Message != "x.yaml:1: bad" {
		t.Errorf("reload: %v", err)
	}
	var refused *Refused
	if _, err := c.RotateCookies(t.Context(), []string{"a"}, false); !errors.As(err, &refused) || refused.Error() != "a: not now" {
		t.Errorf("rotate cookies: %v", err)
	}
	if _, err := send[rotation](t.Context(), c, http.MethodPost, pathRotate, "a"); !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, "read the request: ") {
		t.Errorf("rotate what is no list: %v", err)
	}
	if _, err := ask[Agent](t.Context(), c, http.MethodGet, "/v2/agent"); err == nil || err.Error() != "the agent answers 404 Not Found" {
		t.Errorf("unknown path: %v", err)
	}
	if _, err := ask[Agent](t.Context(), c, http.MethodGet, pathReload); err == nil || err.Error() != "the agent answers 405 Method Not Allowed" {
		t.Errorf("reload by GET: %v", err)
	}
}

func TestNoAgent(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for _, socket := range []string{filepath.Join(dir, "none.sock"), dead} {
		_, err := NewClient(socket).Agent(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no agent answers on "+socket) {
			t.Errorf("%v", err)
		}
	}
	// The socket of a dead agent is no obstacle to the next one.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ctx, dead, fakeBackend{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("Serve over a dead socket: %v", err)
	}
}

func TestServeNowhere(t *testing.T) {
	if err := Serve(t.Context(), "/nonexistent/s.sock", fakeBackend{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}

// More clients than there are connections wait; they are served when others
// leave, and nothing else breaks.
func TestConnectionsAreBounded(t *testing.T) {
	c, socket := serve(t, fakeBackend{})
	var idle []net.Conn
	for range maxConnections {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Agent(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with %d idle connections: %v", maxConnections, err)
	}
	idle[0].Close()
	if _, err := c.Agent(t.Context()); err != nil {
		t.Errorf("after one has left: %v", err)
	}
	for _, conn := range idle[1:] {
		conn.Close()
	}
}

// A client that never finishes its request is disconnected.
func TestHalfOpenClient(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	listener, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(fakeBackend{}, slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout > 10*time.Second || server.WriteTimeout > time.Minute || server.IdleTimeout > time.Minute {
		t.Errorf("time-outs %s, %s, %s", server.ReadHeaderTimeout, server.WriteTimeout, server.IdleTimeout)
	}
	server.ReadHeaderTimeout = 20 * time.Millisecond
	go server.Serve(listener)
	defer server.Close()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/agent HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
}

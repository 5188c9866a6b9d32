package speaker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"

	"longwire/evpn/wire"
)

func TestDamper(t *testing.T) {
	start := time.Unix(1700000000, 0)
	for _, test := range []struct {
		name   string
		deaths []time.Duration
		delay  time.Duration
		damped bool
	}{
		{"one", []time.Duration{0}, restartDelay, false},
		{"four at once", []time.Duration{0, 0, 0, 0}, restartDelay, false},
		{"five at once", []time.Duration{0, 0, 0, 0, 0}, dampedDelay, true},
		{"five in ten minutes", []time.Duration{0, 1, 2, 3, 10 * time.Minute}, dampedDelay, true},
		{"five in more", []time.Duration{0, 1, 2, 3, 10*time.Minute + 1}, restartDelay, false},
		{"only the latest five count", []time.Duration{0, 0, 0, 0, 20 * time.Minute}, restartDelay, false},
		{"six", []time.Duration{0, 1, 2, 3, 4, 5}, dampedDelay, true},
	} {
		var d damper
		var delay time.Duration
		var damped bool
		for _, at := range test.deaths {
			delay, damped = d.died(start.Add(at))
		}
		if delay != test.delay || damped != test.damped {
			t.Errorf("%s: %v, %v; want %v, %v", test.name, delay, damped, test.delay, test.damped)
		}
	}
}

// deaf takes no line of a worker.
func deaf(string, map[string]any) bool { return false }

// The worker's lines are logged as ours, but for those that somebody takes.
func TestRelayLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	relayLog(strings.NewReader(`{"time":"2025-01-01T00:00:00Z","level":"WARN","msg":"hold timer expired","neighbor":"192.0.2.1","n":3}
{"level":"DEBUG","msg":"below our level"}
panic: runtime error
{"level":"NONSENSE","msg":"no level"}
{"msg":"no level either"}
goroutine 1 [running]:
{"level":"INFO","msg":"for us","neighbor":"192.0.2.9"}
{"level":"ERROR","msg":"after the trace"}
`), log, func(message string, fields map[string]any) bool {
		return message == "for us" && fields["neighbor"] == "192.0.2.9"
	})
	want := `level=WARN msg="hold timer expired" n=3 neighbor=192.0.2.1
level=ERROR msg="after the trace"
level=ERROR msg="the BGP worker crashed" trace="panic: runtime error\n{\"level\":\"NONSENSE\",\"msg\":\"no level\"}\n{\"msg\":\"no level either\"}\ngoroutine 1 [running]:"
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// A crash that prints without end, or one line without end, does not fill the
// log and does not block the worker.
func TestRelayLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	relayLog(strings.NewReader(strings.Repeat("trace\n", 10000)), log, deaf)
	if n := strings.Count(out.String(), "trace"); n > maxCrashLines+1 {
		t.Errorf("%d lines", n)
	}
	endless := strings.NewReader("short\n" + strings.Repeat("x", 10*maxLogLine))
	relayLog(endless, log, deaf)
	if endless.Len() != 0 {
		t.Errorf("%d bytes were not read", endless.Len())
	}
}

// A worker that does not end when it is asked to is killed.
func TestStopKills(t *testing.T) {
	p, err := startProcess([]string{"/bin/sh", "-c", "echo ready >&2; exec sleep 60"}, slog.New(slog.DiscardHandler), deaf)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.stop()
	if took := time.Since(begin); took < stopTimeout || took > stopTimeout+5*time.Second {
		t.Errorf("stopped after %v, want %v", took, stopTimeout)
	}
	if p.err == nil || !strings.Contains(p.err.Error(), "killed") {
		t.Errorf("it ended with %v", p.err)
	}
}

func TestWorkerEnds(t *testing.T) {
	for argument, want := range map[string]string{"exit 0": "exit status 0", "exit 3": "exit status 3", "kill -9 $$": "signal: killed"} {
		p, err := startProcess([]string{"/bin/sh", "-c", argument}, slog.New(slog.DiscardHandler), deaf)
		if err != nil {
			t.Fatal(err)
		}
		<-p.done
		e := &engine{process: p}
		if got := e.blame(errors.New("a broken connection")); !strings.Contains(got.Error(), want) {
			t.Errorf("%s: %v, want %q", argument, got, want)
		}
	}
	other := errors.New("another error")
	if got := (&engine{}).blame(other); !errors.Is(got, other) {
		t.Errorf("without a process: %v", got)
	}
}

// mute is a GoBGP that answers no question.
type mute struct{ api.GobgpApiClient }

func (mute) ListPeer(context.Context, *api.ListPeerRequest, ...grpc.CallOption) (api.GobgpApi_ListPeerClient, error) {
	return nil, errors.New("mute")
}

// Only a neighbour that falls back from an attempt is revived.
func TestFollowAttempt(t *testing.T) {
	const (
		idle        = api.PeerState_IDLE
		active      = api.PeerState_ACTIVE
		openSent    = api.PeerState_OPENSENT
		established = api.PeerState_ESTABLISHED
	)
	for _, test := range []struct {
		name   string
		states []api.PeerState_SessionState
		want   int
		ends   int // connections that were closed
	}{
		{"a new neighbour", []api.PeerState_SessionState{idle, active}, 0, 0},
		{"an attempt that fails", []api.PeerState_SessionState{idle, active, openSent, idle}, 1, 1},
		{"two", []api.PeerState_SessionState{idle, active, openSent, idle, active, idle}, 2, 1},
		{"a session that ends", []api.PeerState_SessionState{idle, active, openSent, established, idle}, 0, 0},
		{"idle again", []api.PeerState_SessionState{active, idle, idle}, 1, 0},
	} {
		e := &engine{api: mute{}, idle: make(chan netip.Addr, 8), endings: make(chan ending, 8)}
		seen := attempts{}
		for _, s := range test.states {
			e.followAttempt(t.Context(), seen, &api.PeerState{NeighborAddress: "192.0.2.1", SessionState: s})
		}
		if got := len(e.idle); got != test.want {
			t.Errorf("%s: %d revivals, want %d", test.name, got, test.want)
		}
		if got := len(e.endings); got != test.ends {
			t.Errorf("%s: %d ends, want %d", test.name, got, test.ends)
		}
	}
}

func TestReportIdleNeverBlocks(t *testing.T) {
	e := &engine{idle: make(chan netip.Addr, 1)}
	for range 3 {
		e.reportIdle(neighbor)
	}
	if len(e.idle) != 1 {
		t.Errorf("%d reports", len(e.idle))
	}
}

func TestRevivalsAreBounded(t *testing.T) {
	s := New(Config{}, slog.New(slog.DiscardHandler))
	for range maxRevivals {
		if !s.mayRevive(neighbor) {
			t.Fatal("refused too early")
		}
	}
	if s.mayRevive(neighbor) {
		t.Error("not bounded")
	}
	s.record(&engine{}, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor})
	if !s.mayRevive(neighbor) {
		t.Error("a session does not reset the count")
	}
}

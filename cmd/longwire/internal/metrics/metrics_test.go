package metrics

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"longwire/cmd/longwire/internal/api"
)

var update = flag.Bool("update", false, "rewrite the golden file")

type fakeBackend struct{ fail error }

func (fakeBackend) Agent() api.Agent {
	return api.Agent{Version: "v1", Problems: []string{"x", "y"}, RefusedRoutes: map[string]uint64{"bad_cookie": 3}, SelfTest: []api.Check{
		{Name: "frames", Result: "ok"}, {Name: "super_frames", Result: "degraded", Mode: "cut_first"}, {Name: "pins", Result: "skipped"},
	}}
}

func (fakeBackend) Pseudowires() []api.Pseudowire {
	at := time.Unix(1700000000, 0)
	return []api.Pseudowire{
		{Name: "a", Interface: "eth2", State: "up", Source: "signalled", UnderlayMTU: 1500, MaxPayload: 1454, NeedMTU: 1546, Since: at},
		{Name: "b", Interface: "eth3", State: "blocked", Reason: "mtu_mismatch", Since: at},
		{Name: "c", Interface: "eth4", State: "stale", Reason: "peer_lost", Source: "signalled", Since: at},
	}
}

func (fakeBackend) Sessions(bool) ([]api.Session, error) { panic("metrics do not read sessions") }

func (fakeBackend) Neighbors() []api.Neighbor {
	return []api.Neighbor{
		{Address: "192.0.2.254", ASN: 65000, State: "established", Received: 3, Advertised: 2, Flaps: 1},
		{Address: "192.0.2.253", ASN: 65000, State: "active", Reason: "wrong_asn", Failures: map[string]uint64{"wrong_asn": 4, "unreachable": 2}},
		{Address: "192.0.2.252", ASN: 65000, State: "established", Reason: "no_common_family", Failures: map[string]uint64{"no_common_family": 1}},
	}
}

func (fakeBackend) Routes() []api.Route {
	return []api.Route{{Verdict: api.RouteSelected}, {Verdict: api.RouteSelected}, {Verdict: api.RouteBlocked}}
}

func (b fakeBackend) Counters() ([]api.Counters, error) {
	return []api.Counters{
		{Pseudowire: "a", EncapPackets: 1, EncapBytes: 100, DecapPackets: 2, DecapBytes: 200, Fragmented: 11, Answered: 12, PreviousCookie: 13, SequenceGaps: 14, SequenceResets: 15, Drops: map[string]uint64{"wrong_cookie": 5}},
		{Drops: map[string]uint64{"unknown_session": 7}, SlowPath: &api.SlowPath{Received: 10, Delivered: 1, Foreign: 2, Malformed: 3, Failed: 4, RateLimited: 5}},
	}, b.fail
}

func (fakeBackend) Reload(context.Context) error { panic("metrics do not reload") }

func (fakeBackend) RotateCookies(context.Context, []string, bool) ([]string, error) {
	panic("metrics do not rotate cookies")
}

func TestGolden(t *testing.T) {
	rec := httptest.NewRecorder()
	Handler(fakeBackend{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	const path = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(path, rec.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), rec.Body.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestLint(t *testing.T) {
	rec := httptest.NewRecorder()
	Handler(fakeBackend{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	found, err := promlint.New(rec.Body).Lint()
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// Counters that cannot be read do not hide the rest.
func TestUnreadableCounters(t *testing.T) {
	rec := httptest.NewRecorder()
	Handler(fakeBackend{fail: errors.New("no maps")}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if body := rec.Body.String(); !strings.Contains(body, `longwire_pseudowire_up{interface="eth2",pseudowire="a"} 1`) || strings.Contains(body, "longwire_packets_total") {
		t.Errorf("got:\n%s", body)
	}
}

func TestDescribesEverything(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{fakeBackend{}})
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, listener, fakeBackend{}) }()
	resp, err := http.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(body), `longwire_build_info{version="v1"} 1`) {
		t.Errorf("%v:\n%s", err, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

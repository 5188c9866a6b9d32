package agent

import (
	"bytes"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/evpn"
)

// pass shows routes by service to the refusals, as one pass of the agent does.
func (r *refusals) pass(log *slog.Logger, now time.Time, routes map[evpn.ServiceID]api.Route) {
	r.begin()
	for service, route := range routes {
		r.look(log, evpn.Key{Tag: service}, route, now)
	}
	r.end(log, now)
}

func blocked(reason string) api.Route { return api.Route{Verdict: api.RouteBlocked, Reason: reason} }

// A refused route is counted and logged when it comes, when its reason changes
// and when it comes again, and not between.
func TestRefusals(t *testing.T) {
	var out bytes.Buffer
	log, r, now := slog.New(slog.NewTextHandler(&out, nil)), newRefusals(), time.Now()
	for _, step := range []struct {
		routes map[evpn.ServiceID]api.Route
		want   map[string]uint64
	}{
		{map[evpn.ServiceID]api.Route{1: blocked("bad_cookie"), 2: {Verdict: api.RouteSelected}}, map[string]uint64{"bad_cookie": 1}},
		{map[evpn.ServiceID]api.Route{1: blocked("bad_cookie"), 2: {Verdict: api.RouteUnused}}, map[string]uint64{"bad_cookie": 1}},
		{map[evpn.ServiceID]api.Route{1: blocked("bad_label")}, map[string]uint64{"bad_cookie": 1, "bad_label": 1}},
		{nil, map[string]uint64{"bad_cookie": 1, "bad_label": 1}},
		{map[evpn.ServiceID]api.Route{1: blocked("bad_label")}, map[string]uint64{"bad_cookie": 1, "bad_label": 2}},
	} {
		r.pass(log, now, step.routes)
		if got := r.counters(); !maps.Equal(got, step.want) {
			t.Errorf("%v: %v, want %v", step.routes, got, step.want)
		}
	}
	if n := strings.Count(out.String(), "route cannot be used"); n != 3 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	if !strings.Contains(out.String(), `advice="the route's cookie has not 0, 4 or 8 bytes"`) {
		t.Errorf("no advice:\n%s", out.String())
	}
}

// A flood of bad routes is counted in full and does not fill the log.
func TestRefusalsAreBounded(t *testing.T) {
	var out bytes.Buffer
	log, r, now := slog.New(slog.NewTextHandler(&out, nil)), newRefusals(), time.Now()
	routes := map[evpn.ServiceID]api.Route{}
	for i := range evpn.ServiceID(1000) {
		routes[i] = blocked("bad_cookie")
	}
	r.pass(log, now, routes)
	if n := strings.Count(out.String(), "\n"); n != refusalLines || r.counters()["bad_cookie"] != 1000 {
		t.Errorf("%d lines, counted %v", n, r.counters())
	}
	r.pass(log, now.Add(refusalWindow), routes)
	if !strings.Contains(out.String(), "more routes cannot be used; show routes lists them\" routes=950") {
		t.Errorf("the rest is not said:\n%s", out.String())
	}
	if n := strings.Count(out.String(), "\n"); n != refusalLines+1 {
		t.Errorf("%d lines", n)
	}
}

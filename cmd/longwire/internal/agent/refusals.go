package agent

import (
	"log/slog"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/plan"
	"longwire/evpn"
)

// A peer can send bad routes by the thousand: they are all counted and shown,
// and so many of them are logged in one window.
const (
	refusalWindow = time.Minute
	refusalLines  = 50
)

// refusals remembers which routes cannot be used, so that each is counted and
// logged once for each reason, and not at every pass.
type refusals struct {
	now    map[evpn.Key]string // the reason of each route that is refused
	totals map[string]uint64   // by reason, since the agent's start

	window  time.Time // when the window began
	lines   int       // in it
	unsaid  int       // refusals in it that were not logged
	pending map[evpn.Key]string
}

func newRefusals() *refusals {
	return &refusals{now: map[evpn.Key]string{}, totals: map[string]uint64{}}
}

// begin starts a look at all routes.
func (r *refusals) begin() { r.pending = make(map[evpn.Key]string, len(r.now)) }

// look takes one route with what became of it.
func (r *refusals) look(log *slog.Logger, key evpn.Key, route api.Route, now time.Time) {
	if route.Verdict != api.RouteBlocked {
		return
	}
	r.pending[key] = route.Reason
	if r.now[key] == route.Reason {
		return
	}
	r.totals[route.Reason]++
	if now.Sub(r.window) >= refusalWindow {
		r.sum(log)
		r.window, r.lines = now, 0
	}
	if r.lines++; r.lines > refusalLines {
		r.unsaid++
		return
	}
	log.Warn("route cannot be used", "neighbor", route.Peer, "rd", route.RD, "service", route.Service, "reason", route.Reason,
		"detail", route.Detail, "pseudowires", route.Pseudowires, "advice", advice(route.Reason))
}

// sum logs how many refusals of the window were not logged.
func (r *refusals) sum(log *slog.Logger) {
	if r.unsaid > 0 {
		log.Warn("more routes cannot be used; show routes lists them", "routes", r.unsaid)
		r.unsaid = 0
	}
}

// end completes the look: what was not seen is gone, and counts anew when it
// comes again.
func (r *refusals) end(log *slog.Logger, now time.Time) {
	r.now, r.pending = r.pending, nil
	if now.Sub(r.window) >= refusalWindow {
		r.sum(log)
	}
}

// counters returns a copy of the totals.
func (r *refusals) counters() map[string]uint64 { return words(r.totals) }

// advice is the manual's word on a reason.
func advice(reason string) string {
	for _, m := range plan.Meanings() {
		if string(m.Reason) == reason {
			return m.Text
		}
	}
	return ""
}

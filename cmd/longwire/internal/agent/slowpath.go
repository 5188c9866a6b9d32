package agent

import (
	"log/slog"
	"slices"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/plan"
	"longwire/dataplane"
	"longwire/dataplane/slowpath"
	"longwire/dataplane/tc"
)

// SlowPath delivers outer packets that eBPF cannot read.
type SlowPath interface {
	// Want returns what it could not open; the next call tries again.
	Want(slowpath.Wanted) []error
	Counters() slowpath.Counters
}

// newSlowPath makes the slow path of a data plane.
func newSlowPath(plane *tc.Plane, log *slog.Logger) *slowpath.Slowpath {
	return slowpath.New(slowpath.Options{
		Helper: tc.HelperSegment, Log: log,
		Filter: func(e dataplane.Endpoint) (slowpath.Filter, error) { return plane.SessionFilter(e) },
	})
}

// takeSlowly makes the slow path follow the plan. Without it everything but
// what eBPF cannot read goes on, so what fails is a problem and no more.
func (a *Agent) takeSlowly(p *plan.Plan, now time.Time) {
	if a.deps.SlowPath == nil {
		return
	}
	errs := a.deps.SlowPath.Want(slowpath.Wanted{
		Endpoints: p.Admission.Endpoints, Underlays: p.Attach.Underlays, Rate: a.cfg.Dataplane.SlowPathRate,
	})
	var problems []string
	for _, err := range errs {
		problems = append(problems, err.Error())
	}
	for _, problem := range problems {
		if !slices.Contains(a.slowProblems, problem) {
			a.deps.Log.Warn("slow path", "problem", problem)
		}
	}
	a.slowProblems = problems
	p.Problems = append(p.Problems, problems...)
	if len(problems) > 0 {
		a.next = earlier(a.next, now.Add(retry))
	}
}

// showSlowPath adds what the slow path has counted to the counters of no
// pseudowire.
func (a *Agent) showSlowPath(counters []api.Counters) {
	if a.deps.SlowPath == nil {
		return
	}
	n := a.deps.SlowPath.Counters()
	for i := range counters {
		if counters[i].Pseudowire == "" {
			counters[i].SlowPath = &api.SlowPath{
				Received: n.Received, Delivered: n.Delivered, Foreign: n.Foreign, Malformed: n.Malformed,
				Failed: n.Failed, RateLimited: n.RateLimited,
			}
		}
	}
}

package agent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"longwire/cmd/longwire/internal/plan"
	"longwire/dataplane"
	"longwire/evpn"
)

// pass makes the plan and applies it. The order is that of DESIGN: withdraw
// before anything stops being received, decapsulation before it is announced,
// encapsulation when the far end is known.
func (a *Agent) pass(now time.Time) {
	a.dirty = false
	routes, due := a.prune(now)
	a.next = earlier(now.Add(fullPass), due)
	defer a.rest(now)
	actual, err := a.deps.Plane.Read()
	if err != nil {
		a.deps.Log.Error("cannot read the data plane", "error", err)
		a.publish(routes, nil, []string{err.Error()})
		a.next = now.Add(retry)
		return
	}
	in := a.input(routes, actual, now)
	p := plan.Resolve(in)
	a.withdraw(p.Advertise)
	admitted := a.admit(p.Admission)
	repaired, failed := a.deps.Plane.Attach(p.Attach)
	failed = a.circuits.apply(in.Links, p.Attach.Circuits, now, failed)
	report := a.reconciler.Reconcile(p.State, now)
	a.announce(p, report)
	a.deps.Resolver.Want(p.Flows)
	a.takeSlowly(&p, now)
	a.repaired(p, report, repaired)
	a.settle(in, &p, report, failed, admitted)
	a.forget(actual)
	a.clocks = p.Clocks
	for _, at := range []time.Time{p.Wake, report.Next, a.holdUntil} {
		a.next = earlier(a.next, at)
	}
	if report.Err != nil || len(report.Failed) > 0 || len(failed) > 0 || admitted != nil {
		a.next = earlier(a.next, now.Add(retry))
	}
}

// rest keeps passes apart, by as long as one takes, so that a flood of events
// leaves half of a processor to everything else.
func (a *Agent) rest(began time.Time) {
	end := time.Now()
	a.earliest = end.Add(max(minPause, end.Sub(began)))
}

func (a *Agent) input(routes []evpn.Route, actual dataplane.State, now time.Time) plan.Input {
	return plan.Input{
		Config: a.cfg, Now: now, Routes: routes, Links: a.links(), Identities: a.identities(now),
		Actual: actual, Holding: a.holding(now), Clocks: a.clocks, NextHops: a.deps.Resolver.Ways(),
	}
}

func (a *Agent) links() map[string]plan.Link {
	links, xdp := map[string]plan.Link{}, map[int]bool{}
	for name, l := range a.deps.Links.Snapshot().Links {
		native, known := a.xdp[l.Index]
		if !known && a.cfg.Dataplane.XDP.Auto {
			native, known = a.deps.XDP.NativeXDP(l.Index), true
		}
		if known {
			xdp[l.Index] = native
		}
		links[name] = plan.Link{Index: l.Index, MTU: l.MTU, Up: l.Up(), Ethernet: l.Ethernet, XDP: native, Master: l.Master, Parent: l.Parent, Addresses: l.Addresses}
	}
	a.xdp = xdp // without the interfaces that are gone
	return links
}

func (a *Agent) identities(now time.Time) map[string]plan.Identity {
	identities := map[string]plan.Identity{}
	for _, pw := range a.cfg.Pseudowires {
		a.known[pw.Name] = true
		if pw.EVPN != nil {
			id, err := a.deps.Plane.Identity(pw.Name, a.cfg.ReservedSession)
			identities[pw.Name] = plan.Identity{Identity: id, Err: err}
		}
	}
	a.retire(identities, now)
	return identities
}

// admit sets what becomes of packets of unknown sessions, if it is not so.
func (a *Agent) admit(wanted dataplane.Admission) error {
	have := a.admission
	if have != nil && have.DropUnknown == wanted.DropUnknown && slices.Equal(have.Endpoints, wanted.Endpoints) {
		return nil
	}
	if err := a.deps.Plane.SetAdmission(wanted); err != nil {
		a.admission = nil
		return fmt.Errorf("set what becomes of unknown sessions: %w", err)
	}
	a.admission = &wanted
	return nil
}

// withdraw takes back what is no longer wanted, before it stops working.
func (a *Agent) withdraw(wanted []evpn.Advertisement) {
	type service struct {
		rd  evpn.RD
		tag evpn.ServiceID
	}
	still := map[service]bool{}
	for _, ad := range wanted {
		still[service{ad.RD, ad.Service}] = true
	}
	kept := slices.DeleteFunc(slices.Clone(a.announced), func(ad evpn.Advertisement) bool { return !still[service{ad.RD, ad.Service}] })
	if len(kept) < len(a.announced) {
		a.tell(kept)
	}
}

// announce tells what can be received: a session that could not be installed is
// not announced, since the far end would send to nobody, and one whose new cookie
// could not be, with the old one.
func (a *Agent) announce(p plan.Plan, report dataplane.Report) {
	installed := p.State.Receive
	if report.Err != nil || len(report.Failed) > 0 {
		actual, err := a.deps.Plane.Read()
		if err != nil {
			return
		}
		installed = actual.Receive
	}
	var ads []evpn.Advertisement
	for _, ad := range p.Advertise {
		want := p.State.Receive[dataplane.SessionID(ad.Session)]
		have, ok := installed[want.Session]
		if ok && have.Pseudowire == want.Pseudowire && have.Local == want.Local {
			ad.Cookie = evpn.Cookie(have.Cookie.Bytes())
			ads = append(ads, ad)
		}
	}
	a.tell(ads)
}

func (a *Agent) tell(ads []evpn.Advertisement) {
	a.announced = ads
	if r := a.speaker.Load(); r != nil {
		r.Announce(ads)
	}
}

// worthRetrying are the reasons that may be over without any event.
var worthRetrying = []plan.Reason{plan.ReasonCapacity, plan.ReasonPermission, plan.ReasonProgramFailed}

// settle completes the statuses, logs what changed and shows them.
func (a *Agent) settle(in plan.Input, p *plan.Plan, report dataplane.Report, failed map[int]error, admitted error) {
	p.Settle(report.Failed, failed, a.statuses, in.Now)
	before := make(map[string]plan.Status, len(a.statuses))
	for _, s := range a.statuses {
		before[s.Name] = s
	}
	for _, s := range p.Statuses {
		if slices.Contains(worthRetrying, s.Reason) {
			a.next = earlier(a.next, in.Now.Add(retry))
		}
		if old := before[s.Name]; old.State != s.State || old.Reason != s.Reason || old.Source != s.Source {
			a.deps.Log.Info("pseudowire is "+string(s.State), "pseudowire", s.Name, "reason", s.Reason, "detail", s.Detail, "source", s.Source, "remote", s.Remote)
		}
	}
	a.statuses = p.Statuses
	problems := slices.Concat(p.Problems, underlayProblems(failed, p.Attach.Underlays, in.Links), a.xdpProblems(in.Links))
	for _, err := range []error{report.Err, report.Failed[""], admitted} {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	if a.noEngine != "" {
		problems = append(problems, a.noEngine)
	}
	a.publish(in.Routes, p.Uses, append(problems, a.lateNeighbors()...))
}

// linkNames returns the names of interfaces by ifindex.
func linkNames(links map[string]plan.Link) map[int]string {
	names := map[int]string{}
	for name, l := range links {
		names[l.Index] = name
	}
	return names
}

// xdpProblems words why interfaces do without XDP. They work all the same.
func (a *Agent) xdpProblems(links map[string]plan.Link) []string {
	names, without := linkNames(links), a.deps.XDP.WithoutXDP()
	var problems []string
	for _, ifindex := range slices.Sorted(maps.Keys(without)) {
		problems = append(problems, fmt.Sprintf("dataplane.xdp: %s: %v", names[ifindex], without[ifindex]))
	}
	return problems
}

// underlayProblems words what could not be attached and is no circuit.
func underlayProblems(failed map[int]error, underlays []int, links map[string]plan.Link) []string {
	names := linkNames(links)
	var problems []string
	for _, ifindex := range slices.Sorted(maps.Keys(failed)) {
		switch {
		case ifindex == 0:
			problems = append(problems, failed[0].Error())
		case slices.Contains(underlays, ifindex):
			problems = append(problems, fmt.Sprintf("underlay %s: %v", names[ifindex], failed[ifindex]))
		}
	}
	return problems
}

// repaired notices that somebody else changed the kernel: the plan is the one
// of the last pass, and yet there was something to do.
func (a *Agent) repaired(p plan.Plan, report dataplane.Report, attached int) {
	same := maps.Equal(p.State.Receive, a.desired.Receive) && maps.Equal(p.State.Transmit, a.desired.Transmit)
	n := attached
	if same && report.Err == nil {
		n += report.Applied
	}
	if n > 0 {
		a.repairs += uint64(n)
		a.deps.Log.Warn("repaired what another program had changed", "programs", attached, "changes", n)
	}
	a.desired = dataplane.State{}
	if report.Err == nil && len(report.Failed) == 0 && report.Next.IsZero() {
		a.desired = p.State
	}
}

// forget removes the identity and counters of pseudowires that are no longer
// configured, once the kernel has nothing of them.
func (a *Agent) forget(actual dataplane.State) {
	present := map[string]bool{}
	for _, r := range actual.Receive {
		present[r.Pseudowire] = true
	}
	for _, t := range actual.Transmit {
		present[t.Pseudowire] = true
	}
	delete(present, "") // the host's share of a port
	for name := range present {
		a.known[name] = true
	}
	for _, pw := range a.cfg.Pseudowires {
		present[pw.Name] = true
	}
	for name := range a.known {
		if present[name] {
			continue
		}
		if err := a.deps.Plane.Forget(name); err != nil {
			a.deps.Log.Error("forget a pseudowire", "pseudowire", name, "error", err)
			continue
		}
		delete(a.known, name)
	}
}

// joinAt adds an error to a map of errors.
func joinAt(errs map[int]error, at int, err error) map[int]error {
	if errs == nil {
		errs = map[int]error{}
	}
	errs[at] = errors.Join(errs[at], err)
	return errs
}

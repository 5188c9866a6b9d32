package agent

import (
	"maps"
	"slices"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/plan"
	"longwire/dataplane"
	"longwire/evpn"
)

// view is what the API shows between two passes. It is never modified.
type view struct {
	pseudowires []api.Pseudowire
	routes      []api.Route
	agent       api.Agent
}

var _ api.Backend = (*Agent)(nil)

// publish makes the outcome of a pass visible.
func (a *Agent) publish(routes []evpn.Route, uses map[evpn.Key][]plan.Use, problems []string) {
	v := &view{
		pseudowires: make([]api.Pseudowire, 0, len(a.statuses)),
		routes:      []api.Route{},
		agent: api.Agent{
			Version: a.deps.Version, PID: a.deps.PID, Config: a.deps.File, Started: a.started,
			Holding: !a.holdUntil.IsZero(), Repairs: a.repairs, Problems: problems,
			SelfTest: a.deps.SelfTest,
		},
	}
	now := time.Now()
	a.refusals.begin()
	for _, s := range a.statuses {
		v.pseudowires = append(v.pseudowires, showStatus(s))
	}
	for _, r := range routes {
		shown := showRoute(r, uses[r.Key])
		a.refusals.look(a.deps.Log, r.Key, shown, now)
		v.routes = append(v.routes, shown)
	}
	a.refusals.end(a.deps.Log, now)
	v.agent.RefusedRoutes = a.refusals.counters()
	a.view.Store(v)
}

// Agent implements api.Backend.
func (a *Agent) Agent() api.Agent { return a.view.Load().agent }

// Pseudowires implements api.Backend.
func (a *Agent) Pseudowires() []api.Pseudowire { return a.view.Load().pseudowires }

// Routes implements api.Backend.
func (a *Agent) Routes() []api.Route { return a.view.Load().routes }

// Neighbors implements api.Backend.
func (a *Agent) Neighbors() []api.Neighbor {
	neighbors := []api.Neighbor{}
	r := a.speaker.Load()
	if r == nil {
		return neighbors
	}
	for _, n := range r.Neighbors() {
		neighbors = append(neighbors, api.Neighbor{
			Address: n.Address.String(), ASN: n.ASN, State: n.State, Since: n.Since, Reason: string(n.Reason), Detail: n.Detail,
			Received: n.Received, Advertised: n.Advertised, Flaps: n.Flaps, Failures: words(n.Failures),
		})
	}
	return neighbors
}

// Counters implements api.Backend. Every configured pseudowire has a row.
func (a *Agent) Counters() ([]api.Counters, error) {
	all, err := a.deps.Plane.Counters()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{"": true}
	for name := range all {
		names[name] = true
	}
	for _, pw := range a.Pseudowires() {
		names[pw.Name] = true
	}
	counters := []api.Counters{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := all[name]
		c := api.Counters{
			Pseudowire: name, EncapPackets: n.EncapPackets, EncapBytes: n.EncapBytes,
			DecapPackets: n.DecapPackets, DecapBytes: n.DecapBytes, Fragmented: n.Fragmented, Answered: n.Answered,
			PreviousCookie: n.PreviousCookie, SequenceGaps: n.SequenceGaps, SequenceResets: n.SequenceResets,
			Drops: words(n.Drops),
		}
		counters = append(counters, c)
	}
	a.showSlowPath(counters)
	return counters, nil
}

// words returns counters by the words of their reasons.
func words[R ~string](counters map[R]uint64) map[string]uint64 {
	byWord := make(map[string]uint64, len(counters))
	for reason, n := range counters {
		byWord[string(reason)] = n
	}
	return byWord
}

func showStatus(s plan.Status) api.Pseudowire {
	p := api.Pseudowire{
		Name: s.Name, Interface: s.Interface, State: string(s.State), Reason: string(s.Reason), Detail: s.Detail,
		Source: string(s.Source), LocalSession: uint32(s.LocalSession), RemoteSession: uint32(s.RemoteSession),
		MTU: s.MTU, Since: s.Since, UnderlayMTU: s.Path.UnderlayMTU, MaxPayload: s.Path.MaxPayload,
		NeedMTU: s.Path.NeedMTU, NeedMTU1500: s.Path.Need1500,
	}
	if s.VLANs != (dataplane.VLANs{}) {
		p.VLANs = s.VLANs.String()
	}
	if s.Remote.IsValid() {
		p.Remote, p.Encapsulation, p.TooBig = s.Remote.String(), s.Encapsulation.String(), s.Path.TooBig.String()
	}
	if !s.Rotated.IsZero() {
		p.CookieRotated = &s.Rotated
	}
	return p
}

func showRoute(r evpn.Route, uses []plan.Use) api.Route {
	v := api.Route{
		Service: uint32(r.Tag), RD: r.RD.String(), Peer: r.Peer.String(), MTU: r.L2.MTU,
		ControlWord: r.L2.Flags&evpn.FlagControlWord != 0, Verdict: api.RouteUnused, Since: r.Since,
	}
	for _, rt := range r.RouteTargets {
		v.RouteTargets = append(v.RouteTargets, rt.String())
	}
	if r.NextHop.IsValid() {
		v.NextHop = r.NextHop.String()
	}
	if r.Originator.IsValid() {
		v.Originator = r.Originator.String()
	}
	for _, t := range r.Tunnels {
		tunnel := api.Tunnel{Session: uint32(t.Session), CookieLength: len(t.Cookie), UDPPort: t.UDPPort}
		if egress := t.Egress(r.NextHop); egress.IsValid() {
			tunnel.Endpoint = egress.String()
		}
		v.Tunnels = append(v.Tunnels, tunnel)
	}
	if r.Stale() {
		v.StaleSince = &r.StaleSince
	}
	judge(&v, r.Problem, uses)
	return v
}

// judge sets the verdict on a route: what one pseudowire selects is selected,
// what all refuse is blocked.
func judge(v *api.Route, problem *evpn.Problem, uses []plan.Use) {
	for _, use := range uses {
		v.Pseudowires = append(v.Pseudowires, use.Pseudowire)
		switch {
		case use.Selected:
			v.Verdict = api.RouteSelected
		case v.Verdict == api.RouteUnused:
			v.Verdict = api.RouteStandby
		}
		if use.Problem != nil && problem == nil {
			problem = use.Problem
		}
	}
	if problem != nil && v.Verdict != api.RouteSelected {
		v.Verdict, v.Reason, v.Detail = api.RouteBlocked, string(problem.Reason), problem.Detail
	}
}

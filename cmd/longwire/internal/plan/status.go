package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn"
)

// status is the state of a pseudowire if everything can be programmed; Settle
// corrects it when not.
func (r *resolution) status(pw config.Pseudowire, link Link, exists bool, far farEnd, way way) Status {
	s := Status{
		Name: pw.Name, Interface: pw.Interface, State: StateUp, Source: far.source, circuit: link.Index,
		Remote: far.remote, Encapsulation: far.encapsulation, RemoteSession: far.session,
		LocalSession: r.localSession(pw, far.source), MTU: int(mtuOf(pw, link)), Path: way.Path, VLANs: pw.VLANs,
	}
	if pw.EVPN != nil {
		s.Rotated = r.in.Identities[pw.Name].Rotated
	}
	switch {
	case !exists:
		s.State, s.Reason, s.Detail = StateDown, ReasonInterfaceAbsent, pw.Interface+" does not exist"
	case !link.Ethernet:
		s = s.blocked(ReasonNotEthernet, pw.Interface+" carries no Ethernet frames")
	case !link.Up:
		s.State, s.Reason = StateDown, ReasonInterfaceDown
	case !far.known() && far.why.Reason == ReasonNoRemote:
		s.State, s.Reason, s.Detail = StateDown, ReasonNoRemote, far.why.Detail
	case !far.known():
		s = s.blocked(far.why.Reason, far.why.Detail)
	case way.loop:
		s = s.blocked(ReasonLoop, fmt.Sprintf("the way to %s leads into a circuit", far.remote))
	case far.stale != nil:
		s.State, s.Reason, s.Detail, s.Since = StateStale, far.stale.Reason, far.stale.Detail, far.staleSince
	default:
		s.Detail = strings.Join(s.remarks(pw, far), "; ")
	}
	return s
}

func (s Status) blocked(reason Reason, detail string) Status {
	s.State, s.Reason, s.Detail = StateBlocked, reason, detail
	return s
}

// localSession is the session that the far end in use sends to.
func (r *resolution) localSession(pw config.Pseudowire, source Source) dataplane.SessionID {
	if source == SourceStatic || pw.EVPN == nil {
		return pw.Static.LocalSession
	}
	return r.in.Identities[pw.Name].Session
}

// remarks are what an operator should know of a pseudowire that is up.
func (s Status) remarks(pw config.Pseudowire, far farEnd) []string {
	var remarks []string
	if far.why != nil {
		remarks = append(remarks, fmt.Sprintf("fallback, signalled far end: %s", far.why))
	}
	if far.source == SourceSignalled && far.encapsulation != pw.Encapsulation {
		remarks = append(remarks, "the far end signals no UDP port: protocol 115")
	}
	for _, loser := range far.losers {
		remarks = append(remarks, fmt.Sprintf("also offered by %s (peer %s)", loser.NextHop, loser.Peer))
	}
	if remark, ok := s.Path.remark(); ok {
		remarks = append(remarks, remark)
	}
	if !s.Rotated.IsZero() {
		remarks = append(remarks, "new cookie, the previous one is still accepted")
	}
	return remarks
}

// String returns the reason with its detail.
func (p *problem) String() string {
	if p.Detail == "" {
		return string(p.Reason)
	}
	return fmt.Sprintf("%s (%s)", p.Reason, p.Detail)
}

func targets(rts []evpn.RouteTarget) string {
	words := make([]string, len(rts))
	for i, rt := range rts {
		words[i] = rt.String()
	}
	return strings.Join(words, ", ")
}

// Settle corrects the statuses by what could not be programmed (by pseudowire)
// and attached (by ifindex), and sets since when each is as it is, given the
// statuses before.
func (p *Plan) Settle(failed map[string]error, attach map[int]error, before []Status, now time.Time) {
	previous := make(map[string]Status, len(before))
	for _, s := range before {
		previous[s.Name] = s
	}
	for i, s := range p.Statuses {
		err := failed[s.Name]
		if s.circuit != 0 {
			err = errors.Join(err, attach[s.circuit])
		}
		if err != nil && s.Reason != ReasonInterfaceAbsent {
			s = s.blocked(reasonOf(err), strings.ReplaceAll(err.Error(), "\n", "; "))
			s.Since = time.Time{}
		}
		old, ok := previous[s.Name]
		switch {
		case ok && old.State == s.State && old.Reason == s.Reason && old.Source == s.Source:
			s.Since = old.Since
		case s.Since.IsZero():
			s.Since = now
		}
		p.Statuses[i] = s
	}
}

// reasonOf classifies an error of the data plane.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, dataplane.ErrCapacity):
		return ReasonCapacity
	case errors.Is(err, fs.ErrPermission):
		return ReasonPermission
	}
	return ReasonProgramFailed
}

package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"longwire/evpn/wire"
)

const (
	// evidence is how long the end of a session or of an attempt waits for what
	// explains it: notifications come by the worker's log, ends by gRPC and BMP.
	evidence = 500 * time.Millisecond
	// reminder is how often a reason that persists is logged again.
	reminder = 10 * time.Minute
	// tolerated is how many connections in a row may be closed at once before
	// that is a failure: two ends that connect at the same time do so to each
	// other (RFC 4271 section 6.8).
	tolerated = 1
)

// history is what outlives the engine about one neighbour.
type history struct {
	flaps    uint64
	up       bool // the session is established
	since    time.Time
	revivals int // since the session was last up

	failure  failure              // the latest; none while the session is up and of use
	failures map[Reason]uint64    // how often
	told     map[Reason]time.Time // when each was logged, since the session was last up
	notified *failure             // a NOTIFICATION that has not ended anything yet
	heard    time.Time            // when notified came
	closed   int                  // connections that were closed at once, in a row
	denied   time.Time            // when segments with a wrong TCP-MD5 signature were last seen
}

// failure is why a neighbour is not of use.
type failure struct {
	reason Reason
	detail string
}

// ending is the end of a session or of an attempt at one.
type ending struct {
	neighbor netip.Addr
	due      time.Time // when it is judged
	// otherwise is the failure when no notification explains the end; with no
	// reason it is none.
	otherwise failure
}

// historyOf returns the record of a neighbour; s.mu must be held.
func (s *Speaker) historyOf(neighbor netip.Addr) *history {
	h, ok := s.history[neighbor]
	if !ok {
		h = &history{failures: map[Reason]uint64{}, told: map[Reason]time.Time{}}
		s.history[neighbor] = h
	}
	return h
}

// fail counts a failure, keeps it to be shown unless the session is back, and
// logs it when it is new.
func (s *Speaker) fail(neighbor netip.Addr, f failure) {
	now := time.Now()
	s.mu.Lock()
	h := s.historyOf(neighbor)
	h.failures[f.reason]++
	if !h.up || f.reason == ReasonNoCommonFamily {
		h.failure = f
	}
	last, told := h.told[f.reason]
	again := told && now.Sub(last) < reminder
	if !again {
		h.told[f.reason] = now
	}
	s.mu.Unlock()
	if !again {
		s.log.Warn("BGP neighbor is of no use", "neighbor", neighbor, "reason", string(f.reason), "detail", f.detail, "advice", f.reason.advice())
	}
}

// note records that a neighbour cannot be set up, unless that is because the
// engine has ended.
func (s *Speaker) note(ctx context.Context, neighbor netip.Addr, err error) {
	if ctx.Err() == nil {
		s.fail(neighbor, failure{ReasonSetupFailed, fmt.Sprint(err)})
	}
}

// record keeps what `show neighbors` says of a session.
func (s *Speaker) record(e *engine, m wire.BMPMessage) {
	switch m.Kind {
	case wire.BMPPeerUp:
		s.recordUp(m)
	case wire.BMPPeerDown:
		f := failureOf(m.Down)
		s.recordDown(m.Peer, f)
		e.reportEnding(m.Peer, f)
	case wire.BMPRouteMonitoring, wire.BMPStatistics, wire.BMPInitiation, wire.BMPTermination, wire.BMPRouteMirroring:
	}
}

// recordDown takes the end of a session, which may be told twice.
func (s *Speaker) recordDown(neighbor netip.Addr, f failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.historyOf(neighbor)
	h.failure = f
	if h.up {
		h.up, h.since = false, time.Now()
		h.flaps++
	}
}

func (s *Speaker) recordUp(m wire.BMPMessage) {
	s.mu.Lock()
	h := s.historyOf(m.Peer)
	h.up, h.since, h.revivals, h.closed = true, time.Now(), 0, 0
	h.failure = failure{}
	clear(h.told)
	s.mu.Unlock()
	if !m.EVPN {
		s.fail(m.Peer, failure{ReasonNoCommonFamily, "the session is established, and the neighbor's OPEN does not offer l2vpn evpn"})
	}
}

// failureOf says what the end of a session means. One without a notification
// that we have ended is the work of a new configuration, and no failure.
func failureOf(d wire.Down) failure {
	switch {
	case d.Code != 0:
		return failure{reasonOfNotification(d.Code, d.Subcode), d.Text}
	case d.Cause == 1 || d.Cause == 2 || d.Cause == 5:
		return failure{}
	}
	return failure{ReasonSessionLost, d.Text}
}

// judge takes the ends of sessions and attempts and decides, once the evidence
// must be there, what they were. It also looks for wrong signatures.
func (s *Speaker) judge(ctx context.Context, e *engine) error {
	signatures := time.NewTicker(signatureInterval)
	defer signatures.Stop()
	seen, _ := e.signatureErrors() // an unreadable file shows no errors later either
	for {
		select {
		case end := <-e.endings:
			if !sleep(ctx, time.Until(end.due)) {
				return ctx.Err()
			}
			s.decide(end)
		case <-signatures.C:
			seen = s.checkSignatures(e, seen)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// decide explains an end by the notification that came with it, or else by what
// the end itself says.
func (s *Speaker) decide(end ending) {
	s.mu.Lock()
	h := s.historyOf(end.neighbor)
	f := end.otherwise
	if h.notified != nil && h.heard.After(end.due.Add(-2*evidence)) {
		f = *h.notified
	}
	h.notified = nil
	if f.reason == ReasonClosed {
		// One that has ended the session on purpose goes on to close connections.
		wanted := h.failure.reason == ReasonCease || h.failure.reason == ReasonMaxPrefix
		if h.closed++; h.closed <= tolerated || wanted {
			f = failure{}
		}
	}
	s.mu.Unlock()
	if f.reason != ReasonNone {
		s.fail(end.neighbor, f)
	}
}

// reportEnding passes an end on to be judged; of very many at once some are not.
func (e *engine) reportEnding(neighbor netip.Addr, otherwise failure) {
	select {
	case e.endings <- ending{neighbor, time.Now().Add(evidence), otherwise}:
	default:
	}
}

// hear takes a line of the worker's log that says why there is no session, and
// reports whether it did: the log then says it in our own words, and not at
// every attempt.
func (s *Speaker) hear(message string, fields map[string]any) bool {
	field := func(key string) string { text, _ := fields[key].(string); return text }
	neighbor, err := netip.ParseAddr(field("neighbor"))
	if err != nil {
		return false
	}
	switch message {
	case "failed to connect":
		s.hearUnconnected(neighbor, field("error"))
		return true
	case "sent notification", "received notification":
		return s.hearNotification(neighbor, message, field)
	}
	return false
}

// hearNotification keeps a NOTIFICATION until the end that it brings is judged.
func (s *Speaker) hearNotification(neighbor netip.Addr, message string, field func(string) string) bool {
	code, err := strconv.ParseUint(field("code"), 10, 8)
	subcode, err2 := strconv.ParseUint(field("subcode"), 10, 8)
	if err != nil || err2 != nil {
		return false
	}
	who := "the neighbor refuses us: "
	if message == "sent notification" {
		who = "we refuse the neighbor: "
	}
	f := failure{reasonOfNotification(uint8(code), uint8(subcode)), who + wire.Notification(uint8(code), uint8(subcode))}
	for _, more := range []string{field("message"), field("communicated-reason")} {
		if more != "" {
			f.detail += ", " + more
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.historyOf(neighbor)
	h.notified, h.heard = &f, time.Now()
	return true
}

// hearUnconnected takes the error of an attempt to connect. No answer after
// segments with a wrong signature came is the same failure seen from the other
// side, and counted there.
func (s *Speaker) hearUnconnected(neighbor netip.Addr, text string) {
	f := failure{ReasonUnreachable, text}
	switch {
	case strings.Contains(text, "connection refused"):
		f.reason = ReasonRefused
	case strings.Contains(text, "cannot assign requested address"):
		f.reason = ReasonBadLocalAddress
	}
	s.mu.Lock()
	known := time.Since(s.historyOf(neighbor).denied) < signatureMemory
	s.mu.Unlock()
	if f.reason != ReasonUnreachable || !known {
		s.fail(neighbor, f)
	}
}

// counters returns a copy of the counters of a neighbour; s.mu must be held.
func (h *history) counters() map[Reason]uint64 { return maps.Clone(h.failures) }

// sleep waits and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

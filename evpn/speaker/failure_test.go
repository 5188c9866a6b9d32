package speaker

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"longwire/evpn/wire"
)

// listening returns a speaker whose log is kept.
func listening() (*Speaker, *bytes.Buffer) {
	var out bytes.Buffer
	return New(Config{Neighbors: []Neighbor{{Address: neighbor}, {Address: second, Password: "x"}}}, slog.New(slog.NewTextHandler(&out, nil))), &out
}

var second = netip.MustParseAddr("192.0.2.202")

// shown returns what is shown of the first neighbour.
func (s *Speaker) shown() NeighborStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status(s.config.Neighbors[0], nil, true)
}

func TestReasonsHaveAdvice(t *testing.T) {
	seen := map[Reason]bool{}
	for _, m := range Meanings() {
		if m.Advice == "" || seen[m.Reason] || m.Reason.advice() != m.Advice {
			t.Errorf("%+v", m)
		}
		seen[m.Reason] = true
	}
	for code := range uint8(8) {
		for subcode := range uint8(12) {
			if r := reasonOfNotification(code, subcode); !seen[r] {
				t.Errorf("notification %d/%d is %q, which has no advice", code, subcode, r)
			}
		}
	}
}

func TestReasonOfNotification(t *testing.T) {
	for codes, want := range map[[2]uint8]Reason{
		{1, 2}: ReasonProtocolError, {2, 1}: ReasonOpenRejected, {2, 2}: ReasonWrongASN, {2, 3}: ReasonWrongRouterID,
		{2, 5}: ReasonAuthentication, {2, 6}: ReasonOpenRejected, {2, 7}: ReasonNoCommonFamily, {3, 1}: ReasonUpdateRejected,
		{4, 0}: ReasonHoldTimerExpired, {5, 1}: ReasonProtocolError, {6, 1}: ReasonMaxPrefix, {6, 2}: ReasonCease, {9, 9}: ReasonProtocolError,
	} {
		if got := reasonOfNotification(codes[0], codes[1]); got != want {
			t.Errorf("%v: %s, want %s", codes, got, want)
		}
	}
}

// The end of a session is explained by the notification that came with it, else
// by BMP; what we ended on purpose is no failure.
func TestEnds(t *testing.T) {
	lost := wire.Down{Cause: 3, Text: "the session was lost, graceful restart runs"}
	for _, test := range []struct {
		name  string
		lines []string // message, code, subcode of the worker's log
		down  wire.Down
		want  Reason
	}{
		{"lost", nil, lost, ReasonSessionLost},
		{"lost, and the log knows why", []string{"received notification", "6", "2"}, lost, ReasonCease},
		{"we notified", nil, wire.Down{Cause: 1, Code: 4}, ReasonHoldTimerExpired},
		{"the log and BMP say so", []string{"sent notification", "3", "1"}, wire.Down{Cause: 1, Code: 3, Subcode: 1}, ReasonUpdateRejected},
		{"removed", nil, wire.Down{Cause: 5}, ReasonNone},
		{"changed", nil, wire.Down{Cause: 1}, ReasonNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, out := listening()
			e := &engine{endings: make(chan ending, 1)}
			s.record(e, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor, EVPN: true})
			if len(test.lines) > 0 && !s.hear(test.lines[0], map[string]any{"neighbor": neighbor.String(), "code": test.lines[1], "subcode": test.lines[2]}) {
				t.Error("the line was not taken")
			}
			s.record(e, wire.BMPMessage{Kind: wire.BMPPeerDown, Peer: neighbor, Down: test.down})
			s.decide(<-e.endings)
			got := s.shown()
			if got.Reason != test.want || got.Flaps != 1 || test.want != ReasonNone && got.Failures[test.want] != 1 {
				t.Errorf("shown as %+v", got)
			}
			if said := strings.Contains(out.String(), "reason="+string(test.want)+" "); said != (test.want != ReasonNone) {
				t.Errorf("logged: %s", out)
			}
		})
	}
}

// A neighbour that keeps failing is counted each time, logged once, and logged
// again after a session.
func TestFailuresAreLoggedOnce(t *testing.T) {
	s, out := listening()
	refused := map[string]any{"neighbor": neighbor.String(), "error": "dial tcp 192.0.2.1:179: connect: connection refused"}
	for range 3 {
		if !s.hear("failed to connect", refused) {
			t.Fatal("the line was not taken")
		}
	}
	if n := strings.Count(out.String(), "reason=connection_refused"); n != 1 || s.shown().Failures[ReasonRefused] != 3 {
		t.Errorf("%d lines, %+v", n, s.shown())
	}
	s.record(&engine{}, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor, EVPN: true})
	if got := s.shown(); got.Reason != ReasonNone || got.Failures[ReasonRefused] != 3 {
		t.Errorf("with a session: %+v", got)
	}
	s.mu.Lock()
	s.historyOf(neighbor).up = false
	s.mu.Unlock()
	s.hear("failed to connect", refused)
	if n := strings.Count(out.String(), "reason=connection_refused"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// Lines that do not say why there is no session are left to be logged.
func TestHearLeavesOtherLines(t *testing.T) {
	s, _ := listening()
	for _, line := range []struct {
		message string
		fields  map[string]any
	}{
		{"Peer Up", map[string]any{"neighbor": "192.0.2.1"}},
		{"failed to connect", map[string]any{"neighbor": 7}},
		{"failed to connect", map[string]any{}},
		{"sent notification", map[string]any{"neighbor": "192.0.2.1", "code": "x", "subcode": "1"}},
		{"received notification", map[string]any{"neighbor": "192.0.2.1", "code": "2", "subcode": "256"}},
	} {
		if s.hear(line.message, line.fields) {
			t.Errorf("%+v was taken", line)
		}
	}
}

// One connection that is closed at once may be a collision; two are a failure.
func TestClosedAtOnce(t *testing.T) {
	s, _ := listening()
	closed := ending{neighbor: neighbor, otherwise: failure{ReasonClosed, "closed"}}
	s.decide(closed)
	if got := s.shown(); got.Reason != ReasonNone {
		t.Errorf("after one: %+v", got)
	}
	s.decide(closed)
	if got := s.shown(); got.Reason != ReasonClosed || got.Failures[ReasonClosed] != 1 {
		t.Errorf("after two: %+v", got)
	}
}

// A neighbour that has said that it wants no session closes what we connect; what
// it said stays the reason until something else happens.
func TestClosedAfterCease(t *testing.T) {
	for subcode, want := range map[uint8]Reason{1: ReasonMaxPrefix, 2: ReasonCease} {
		s, _ := listening()
		e := &engine{endings: make(chan ending, 1)}
		s.record(e, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor, EVPN: true})
		s.record(e, wire.BMPMessage{Kind: wire.BMPPeerDown, Peer: neighbor, Down: wire.Down{Cause: 3, Code: codeCease, Subcode: subcode}})
		s.decide(<-e.endings)
		for range 3 {
			s.decide(ending{neighbor: neighbor, otherwise: failure{ReasonClosed, "closed"}})
		}
		if got := s.shown(); got.Reason != want || got.Failures[want] != 1 || got.Failures[ReasonClosed] != 0 {
			t.Errorf("shown as %+v", got)
		}
		s.hear("failed to connect", map[string]any{"neighbor": neighbor.String(), "error": "connection refused"})
		s.decide(ending{neighbor: neighbor, otherwise: failure{ReasonClosed, "closed"}})
		if got := s.shown(); got.Reason != ReasonClosed {
			t.Errorf("after something else: %+v", got)
		}
	}
}

// A session without our family is up and of no use.
func TestNoCommonFamily(t *testing.T) {
	s, _ := listening()
	s.record(&engine{}, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor})
	if got := s.shown(); got.Reason != ReasonNoCommonFamily || got.Failures[ReasonNoCommonFamily] != 1 {
		t.Errorf("shown as %+v", got)
	}
}

func TestNoteOfAnEndedEngine(t *testing.T) {
	s, out := listening()
	ctx, cancel := context.WithCancel(t.Context())
	s.note(ctx, neighbor, context.Canceled)
	cancel()
	s.note(ctx, neighbor, context.Canceled)
	if got := s.shown(); got.Failures[ReasonSetupFailed] != 1 || !strings.Contains(out.String(), "setup_failed") {
		t.Errorf("shown as %+v, logged %s", got, out)
	}
}

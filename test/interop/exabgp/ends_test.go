package interop

import (
	"fmt"
	"strings"
	"testing"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/peer/frr"
)

// TestEnds has FRR end a session that is established, on purpose and not.
func TestEnds(t *testing.T) {
	t.Parallel()
	neighborLine := "neighbor " + here.String() + " "
	for _, end := range []struct {
		name   string
		do     func(*frr.Router) error
		reason string
	}{
		{"it is shut down by its operator", func(r *frr.Router) error {
			return r.Configure("router bgp 65000", neighborLine+"shutdown")
		}, "cease"},
		{"we are no longer configured there", func(r *frr.Router) error {
			return r.Configure("router bgp 65000", "no "+neighborLine+"remote-as 65000")
		}, "cease"},
		{"it is killed", func(r *frr.Router) error { r.Kill(); return nil }, "session_lost"},
	} {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			matrix.Record(t, badInput, "an established session, "+end.name+": "+end.reason, "FRR bgpd "+bgpd)
			s := newMisfit(t, misfit{})
			router := frr.Start(s.P, "bgpd", misfit{}.bgpd())
			s.Poll(patience, "session with FRR", func() error {
				rows, err := s.neighbors()
				if err == nil && (rows[0].State != "established" || rows[0].Reason != "") {
					err = fmt.Errorf("%+v", rows[0])
				}
				return err
			})
			if err := end.do(router); err != nil {
				t.Fatal(err)
			}
			s.ended(t, end.reason)
		})
	}
}

// ended waits until an end has been counted under its reason, whatever is shown
// by then of the attempts that follow, and was logged.
func (s *stage) ended(t *testing.T, reason string) {
	t.Helper()
	err := lab.Await(patience, func() error {
		rows, err := s.neighbors()
		if err == nil && rows[0].Failures[reason] == 0 {
			err = fmt.Errorf("shown as %+v", rows[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	log := s.agent.Daemon().Log()
	if line := "reason=" + reason + " "; !lineWith(log, "BGP neighbor is of no use", line, "advice=") {
		t.Errorf("no line %q in the log:\n%s", line, strings.TrimSpace(log))
	}
}

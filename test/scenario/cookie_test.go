package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// retireTime is how long a previous cookie may live: a minute of silence, begun
// anew by the agent's restart, and some slack.
const retireTime = 3 * time.Minute

// TestCookieRotation changes the cookies of signalled pseudowires under traffic,
// at both ends at the same time, with an agent that is killed in between: not a
// frame is lost, the far ends go over to the new cookie, and the previous one is
// refused in the end.
func TestCookieRotation(t *testing.T) {
	t.Parallel()
	wires := encapsulations(0)
	for i := range wires {
		wires[i].signalled, wires[i].cookie = true, 4+4*(i%2)
	}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, byReflector)
	p.reflect()
	p.launch()
	var flows []*lab.Stream
	for _, w := range wires {
		flows = append(flows,
			p.Stream(p.CE1, lab.HostPort(w.number), p.CE2, lab.HostPort(w.number), 5*time.Millisecond),
			p.Stream(p.CE2, lab.HostPort(w.number), p.CE1, lab.HostPort(w.number), 5*time.Millisecond))
	}
	p.flowing(flows, 50)
	old := [3]map[string]session{1: p.sessions(1), 2: p.sessions(2)}
	for side := 1; side <= 2; side++ {
		p.rotateAll(side)
	}
	fresh := [3]map[string]session{1: p.sessions(1), 2: p.sessions(2)}
	for side := 1; side <= 2; side++ {
		p.switchesTo(side, fresh[3-side], old[3-side])
	}
	p.agents[1].Daemon().Kill()
	p.agents[1].Launch()
	p.awaitAllUp(1)
	for side := 1; side <= 2; side++ {
		p.retired(side)
		if got := p.sessions(side); fmt.Sprint(got) != fmt.Sprint(fresh[side]) {
			t.Errorf("PE%d accepts %v, announced was %v", side, got, fresh[side])
		}
	}
	for i, flow := range flows {
		if sent, lost := flow.Stop(); sent == 0 || lost != 0 {
			t.Errorf("%v: %d of %d frames lost", wires[i/2], lost, sent)
		}
	}
	p.stragglers(t, old[1])
}

// rotateAll gives all pseudowires of a side new cookies, and a second time in
// vain.
func (p *pair) rotateAll(side int) {
	p.t.Helper()
	a := p.agents[side]
	out, err := a.Longwire("rotate-cookie", "--all", "--socket", a.Socket)
	if err != nil || strings.Count(out, ": new cookie\n") != len(p.config[side].Pseudowires) {
		p.t.Fatalf("rotate-cookie: %v\n%s", err, out)
	}
	_, err = a.Longwire("rotate-cookie", "pw1", "--socket", a.Socket)
	if err == nil || !strings.Contains(err.Error(), "the previous one is still accepted") {
		p.t.Errorf("a second rotation: %v", err)
	}
}

// switchesTo waits until a side sends all new cookies of its far end, none of
// which is an old one.
func (p *pair) switchesTo(side int, fresh, old map[string]session) {
	p.t.Helper()
	p.sends(side, fresh)
	for name, was := range old {
		if now := fresh[name]; now.Cookie == was.Cookie || now.Session != was.Session {
			p.t.Errorf("%s had %+v and has %+v", name, was, now)
		}
	}
}

// sends waits until a side sends what its far end accepts, by pseudowire.
func (p *pair) sends(side int, accepted map[string]session) {
	p.t.Helper()
	p.Poll(upTime, fmt.Sprintf("PE%d sends what the far end accepts", side), func() error {
		var rows []session
		if err := p.agents[side].Read("sessions", &rows, "--cookies"); err != nil {
			return err
		}
		for _, row := range rows {
			want := accepted[row.Pseudowire]
			if row.Direction == "transmit" && (row.Session != want.Session || row.Cookie != want.Cookie) {
				return fmt.Errorf("%+v, want %+v", row, want)
			}
		}
		return nil
	})
}

// retired waits until no pseudowire of a side accepts a previous cookie.
func (p *pair) retired(side int) {
	p.t.Helper()
	p.Poll(retireTime, fmt.Sprintf("previous cookies of PE%d retired", side), func() error {
		var rows []struct {
			Name          string `json:"name"`
			CookieRotated string `json:"cookie_rotated"`
		}
		if err := p.agents[side].Read("pseudowires", &rows); err != nil {
			return err
		}
		for _, row := range rows {
			if row.CookieRotated != "" {
				return fmt.Errorf("%s has two since %s", row.Name, row.CookieRotated)
			}
		}
		return nil
	})
}

// stragglers sends a frame with a retired cookie, as a far end that has missed
// the change would: it is refused.
func (p *pair) stragglers(t *testing.T, old map[string]session) {
	t.Helper()
	w := wire{signalled: true, cookie: 4}
	before := p.counters(1)[w.name()]
	raw, err := p.craft(2, old[w.name()].Session, old[w.name()].Cookie)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	p.Poll(5*time.Second, "the old cookie is refused", func() error {
		if err := raw.Send(); err != nil {
			return err
		}
		now := p.counters(1)[w.name()]
		if now.Drops["wrong_cookie"] == before.Drops["wrong_cookie"] {
			return fmt.Errorf("%+v", now)
		}
		if now.PreviousCookie != before.PreviousCookie {
			t.Errorf("delivered by the previous cookie: %+v", now)
		}
		return nil
	})
}

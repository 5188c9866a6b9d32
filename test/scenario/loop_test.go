package scenario

import (
	"fmt"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestLoopGuard leads the way to the far end into a circuit: the pseudowires
// behind it are blocked and stay so without flapping, others go on, and all is
// well again with the right route.
func TestLoopGuard(t *testing.T) {
	t.Parallel()
	wires := []wire{{number: 0, static: true, cookie: 8}, {number: 1, static: true, cookie: 8, v6: true}}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, nil).launch()
	caught, other := wires[0], wires[1]
	untouched := p.Stream(p.CE1, lab.HostPort(1), p.CE2, lab.HostPort(1), 2*time.Millisecond)
	p.pings(caught)
	p.PE1.Run("ip", "route", "add", lab.PE2Source4.String()+"/32", "dev", lab.Circuit(0))
	blocked := p.await(1, caught, "blocked", "loop")
	if want := fmt.Sprintf("the way to %s leads into a circuit", lab.PE2Source4); blocked.Detail != want {
		t.Errorf("detail %q, want %q", blocked.Detail, want)
	}
	p.silent(caught)
	since := p.since(1, caught)
	// The circuit takes the answers of whoever is behind it, so the kernel gives
	// its neighbour up meanwhile. That must not open the circuit.
	calm := time.Now().Add(8 * time.Second)
	p.Poll(20*time.Second, "some time", func() error {
		if now := p.since(1, caught); now != since {
			t.Fatalf("its state has changed: since %s, and now %s", since, now)
		}
		if time.Now().Before(calm) {
			return fmt.Errorf("not over yet")
		}
		return nil
	})
	if row := p.mustRead(1)[other.name()]; row.State != "up" {
		t.Errorf("the other one: %+v", row)
	}
	p.PE1.Run("ip", "route", "del", lab.PE2Source4.String()+"/32", "dev", lab.Circuit(0))
	p.await(1, caught, "up", "")
	p.pings(caught)
	if sent, lost := untouched.Stop(); sent == 0 || lost != 0 {
		t.Errorf("the other one lost %d of %d frames meanwhile", lost, sent)
	}
}

// since says when a pseudowire's state last changed.
func (p *pair) since(side int, w wire) string {
	p.t.Helper()
	var rows []struct {
		Name  string `json:"name"`
		Since string `json:"since"`
	}
	if err := p.agents[side].Read("pseudowires", &rows); err != nil {
		p.t.Fatal(err)
	}
	for _, row := range rows {
		if row.Name == w.name() {
			return row.Since
		}
	}
	p.t.Fatalf("%s is not shown", w.name())
	return ""
}

package scenario

import (
	"testing"
	"time"

	"longwire/test/lab"
)

// TestDoctorOnThisKernel wants a way around everything that the kernel lacks.
func TestDoctorOnThisKernel(t *testing.T) {
	p := newPair(t, lab.Options{}, []wire{{static: true}}, nil)
	status, h := p.doctor()
	want, result := 0, "ok"
	for _, c := range h.Checks {
		switch {
		case c.Result == "degraded" && c.Mode != "":
			lab.Absent(t, c.Name)
			want, result = 3, "degraded"
		case c.Result != "ok":
			t.Errorf("%+v", c)
		}
	}
	if status != want || h.Result != result || len(h.Checks) < 15 {
		t.Errorf("status %d, want %d, and %s: %+v", status, want, h.Result, h.Checks)
	}
}

// TestOnThisKernel joins two PEs by static pseudowires and by signalled ones, over
// every outer header, without any means but the programs of Longwire and ip(8): it
// is for the virtual machines, which have no others. What the kernel lacks is
// named, and frames cross all the same, also while an agent is dead.
func TestOnThisKernel(t *testing.T) {
	const size = 300_000
	wires := append(encapsulations(0), encapsulations(4)...)
	for i := range wires {
		wires[i].cookie, wires[i].sublayer = 8, true
		wires[i].signalled, wires[i].static = i >= 4, i < 4
	}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, byReflector)
	p.reflect()
	p.launch()
	for _, c := range p.selfTest() {
		switch {
		case c.Result == "degraded" && c.Mode != "":
			lab.Absent(t, c.Name)
		case c.Result != "ok":
			t.Errorf("self-test: %+v", c)
		}
	}
	for _, w := range wires {
		t.Run(w.String()+map[bool]string{true: "-signalled", false: "-static"}[w.signalled], func(t *testing.T) {
			p.pings(w)
			for _, v6 := range []bool{false, true} {
				to := lab.Host4(2, w.number)
				if v6 {
					to = lab.Host6(2, w.number)
				}
				if _, err := p.Transfer(p.CE1, p.CE2, to, size, 30*time.Second); err != nil {
					t.Error(err)
				}
			}
		})
	}
	p.agents[1].Daemon().Kill()
	for _, w := range wires {
		p.pings(w)
	}
	for side := 1; side <= 2; side++ {
		if err := p.agents[side].Uninstall(); err != nil {
			t.Error(err)
		}
		if left := p.agents[side].Leftovers(); len(left) != 0 {
			t.Errorf("PE%d: left after uninstall: %v", side, left)
		}
	}
}

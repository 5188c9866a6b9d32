package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestWorkerDies kills the BGP worker under traffic: there is another one soon,
// and nothing is lost, if the reflector keeps the routes of a client that
// restarts. bgpd does not for EVPN: it withdraws them, and has them back with the
// client.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	if reflectorKinds()[0] == "frr" {
		withdrawnMeanwhile(t)
		return
	}
	record(t, "client's BGP restarts, no frame lost")
	recordOutside(t, "daemon killed and started again, no frame lost")
	survives(t, func(p *pair, _ *routeReflector) { p.anotherWorker(1) })
}

// anotherWorker kills the BGP worker of a side and waits for the next one, or does
// so with an operator's daemon in its place.
func (p *pair) anotherWorker(side int) {
	p.t.Helper()
	if daemon := p.outside[side]; daemon != nil {
		daemon.Kill()
		p.await(side, wire{}, "stale", "peer_lost")
		daemon.Restart()
		return
	}
	killed := p.worker(side)
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	p.Poll(2*time.Second, "another BGP worker", func() error {
		if now := p.worker(side); now == 0 || now == killed {
			return errors.New("not yet")
		}
		return nil
	})
}

// withdrawnMeanwhile kills the BGP worker behind a reflector that does not wait
// for it: the far end stops sending, and begins again.
func withdrawnMeanwhile(t *testing.T) {
	t.Helper()
	record(t, "client's BGP restarts, route withdrawn and announced again")
	w := wire{signalled: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, byReflector)
	p.reflect()
	p.launch()
	before := p.changesOfState(2)
	p.anotherWorker(1)
	p.Poll(upTime, "PE2 loses its far end and finds it again", func() error {
		if now := p.changesOfState(2); now != before+2 {
			return fmt.Errorf("%d changes of state", now-before)
		}
		return nil
	})
	p.awaitAllUp(1)
	p.awaitAllUp(2)
	p.pings(w)
}

// TestReflectorRestarts takes the route reflector away under traffic and starts
// it again: it says that it has sent everything before all of its clients are back,
// and nothing is lost for that.
func TestReflectorRestarts(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*lab.Daemon){"killed": (*lab.Daemon).Kill}
	// Ours knows no other end, and gobgpd sends withdrawals while it stops.
	if reflectorKinds()[0] == "frr" {
		ends["stopped"] = func(d *lab.Daemon) { d.Stop() }
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if *bgpMode == "frr" {
				interrupted(t, "the only reflector "+name, func(p *pair, rr *routeReflector) func() {
					end(rr.Daemon)
					return rr.Restart
				})
				return
			}
			record(t, "reflector "+name+" and started again, no frame lost")
			recordOutside(t, "the only reflector "+name+" and started again, no frame lost")
			survives(t, func(p *pair, rr *routeReflector) {
				end(rr.Daemon)
				p.await(1, wire{}, "stale", "peer_lost")
				p.await(2, wire{}, "stale", "peer_lost")
				rr.Restart()
			})
		})
	}
}

// survives breaks something of BGP under traffic, waits until all is well again
// and wants no frame lost and no session changed.
func survives(t *testing.T, breakIt func(p *pair, rr *routeReflector)) {
	t.Helper()
	wires := []wire{{number: 0, signalled: true, cookie: 8}, {number: 1, signalled: true, cookie: 8, v6: true, udp: true}}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, byReflector)
	rr := p.reflect()
	p.launch()
	before := p.mustRead(1)
	var flows []*lab.Stream
	for _, w := range wires {
		flows = append(flows, p.Stream(p.CE1, lab.HostPort(w.number), p.CE2, lab.HostPort(w.number), 2*time.Millisecond))
	}
	breakIt(p, rr)
	p.awaitAllUp(1)
	p.awaitAllUp(2)
	for i, flow := range flows {
		if sent, lost := flow.Stop(); sent == 0 || lost != 0 {
			t.Errorf("%v lost %d of %d frames", wires[i], lost, sent)
		}
	}
	for name, now := range p.mustRead(1) {
		if was := before[name]; was.LocalSession != now.LocalSession || was.RemoteSession != now.RemoteSession {
			t.Errorf("sessions changed: %+v, then %+v", was, now)
		}
	}
}

// worker returns the process id of a side's BGP worker, 0 when there is none
// now.
func (p *pair) worker(side int) int {
	agent := p.agents[side].Daemon().PID()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", agent))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				return pid
			}
		}
	}
	return 0
}

// TestWorkerHasNoPrivileges looks at the process that parses what peers send.
func TestWorkerHasNoPrivileges(t *testing.T) {
	t.Parallel()
	w := wire{signalled: true, cookie: 8}
	p := newPair(t, lab.Options{}, []wire{w}, byReflector)
	p.reflect()
	p.launch()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.worker(1)))
	if err != nil {
		t.Fatal(err)
	}
	const netAdmin, sysAdmin, bpf = 1 << 12, 1 << 21, 1 << 39
	for _, line := range strings.Split(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":")
		if name != "CapEff" && name != "CapPrm" && name != "CapBnd" {
			continue
		}
		held, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if held&(netAdmin|sysAdmin|bpf) != 0 {
			t.Errorf("the worker holds %s %#x", name, held)
		}
	}
}

// TestRepair takes away what the agent put into the kernel, behind its back: the
// next pass puts it back, so that it outlives the agent again.
func TestRepair(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		attach string
		damage func(p *pair)
	}{
		{"qdiscs deleted", "clsact", func(p *pair) {
			p.PE1.Run("tc", "qdisc", "del", "dev", lab.Circuit(0), "clsact")
			p.PE1.Run("tc", "qdisc", "del", "dev", lab.Uplink, "clsact")
		}},
		{"pinned links deleted", "tcx", func(p *pair) {
			for _, role := range []string{"encap", "decap"} {
				pins, err := filepath.Glob(filepath.Join(p.agents[1].Pins, "link-"+role+"-*"))
				if err != nil || len(pins) == 0 {
					p.t.Fatalf("no pins of %s: %v", role, err)
				}
				for _, pin := range pins {
					if err := os.Remove(pin); err != nil {
						p.t.Fatal(err)
					}
				}
			}
		}},
		{"helper devices deleted", "tcx", func(p *pair) {
			for _, dev := range p.PE1.Links() {
				if strings.HasPrefix(dev, "longwire") {
					p.PE1.DeleteLink(dev)
					return
				}
			}
			p.t.Errorf("no helper among %v", p.PE1.Links())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := wire{static: true, cookie: 8}
			p := newPair(t, lab.Options{}, []wire{w}, nil)
			p.configure(func(_ int, c *lab.Config) { c.Dataplane = &lab.Dataplane{Attach: tt.attach} }).launch()
			p.pings(w)
			tt.damage(p)
			if err := p.agents[1].Reload(); err != nil {
				t.Fatal(err)
			}
			p.awaitAllUp(1)
			p.agents[1].Daemon().Kill()
			p.pings(w)
			// Super-frames need the helpers.
			if _, err := p.Transfer(p.CE1, p.CE2, lab.Host4(2, 0), 5_000_000, 20*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}

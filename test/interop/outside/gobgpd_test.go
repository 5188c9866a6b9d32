package outside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	api "github.com/osrg/gobgp/v3/api"

	"longwire/test/lab"
	"longwire/test/peer/gobgpd"
)

// TestAbsent starts an agent before its gobgpd: that is told once, everywhere that
// an operator looks, and it is over as soon as gobgpd is there.
func TestAbsent(t *testing.T) {
	t.Parallel()
	record(t, "daemon absent at the start: state, reason and recovery", false)
	w := newWorld(t, behindGobgpd)
	w.agents[1].Launch()
	w.agents[2].Launch()
	w.await(1, 0, "down", "no_remote")
	w.awaitProblem("no BGP: reach gobgpd: dial unix " + w.socket())
	w.expectDoctor("it does not run, or has other --api-hosts")
	w.gobgpd(65000)
	w.bothUp(0)
	w.awaitProblem("")
	w.expectDoctor("")
	if neighbors, err := w.agents[1].Show("neighbors"); err != nil || !strings.Contains(neighbors, lab.PE2Source4.String()) || !strings.Contains(neighbors, "established") {
		t.Errorf("gobgpd's neighbour is not shown: %v\n%s", err, neighbors)
	}
	if told := strings.Count(w.agents[1].Daemon().Log(), "gobgpd is not usable"); told != 1 {
		t.Errorf("that gobgpd was absent was told %d times", told)
	}
}

// expectDoctor looks at what longwire doctor says of BGP on PE1: all is well, or
// these words.
func (w *world) expectDoctor(words string) {
	w.t.Helper()
	out, err := w.agents[1].Longwire("doctor", "-c", w.agents[1].File)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "bgp_port" {
			if words == "" && f[1] != "ok" || words != "" && (f[1] != "failed" || err == nil || !strings.Contains(line, words)) {
				w.t.Errorf("doctor: %v, %s", err, line)
			}
			return
		}
	}
	w.t.Errorf("doctor says nothing of BGP: %v\n%s", err, out)
}

// TestAnotherRouter meets a gobgpd of another AS: it is not used until it is the
// right one.
func TestAnotherRouter(t *testing.T) {
	t.Parallel()
	record(t, "daemon of another AS is refused, with the reason", false)
	w := newWorld(t, behindGobgpd)
	wrong := w.gobgpd(65001)
	w.agents[1].Launch()
	w.agents[2].Launch()
	const words = "gobgpd runs as AS 65001"
	w.awaitProblem("no BGP: " + words)
	w.expectDoctor(words)
	wrong.Kill()
	w.gobgpd(65000)
	w.bothUp(0)
	w.awaitProblem("")
}

// TestForbidden has an agent whose user may not write to the socket: one clear
// message, and nothing else to be done than to allow it.
func TestForbidden(t *testing.T) {
	t.Parallel()
	record(t, "socket that the agent may not use: one clear message", false)
	const capabilities = "-all,+net_admin,+net_raw,+bpf,+perfmon,+net_bind_service"
	w := newWorld(t, behindGobgpd)
	daemon := w.gobgpd(65000)
	// Root without CAP_DAC_OVERRIDE is here what another user is elsewhere.
	const nobody = 65534
	if err := os.Chown(daemon.Socket, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	w.agents[1].Wrapper = []string{"setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities}
	w.agents[1].Launch()
	w.agents[2].Launch()
	w.awaitProblem("permission denied: let the agent's user write to the socket")
	if err := os.Chmod(daemon.Socket, 0o777); err != nil {
		t.Fatal(err)
	}
	w.bothUp(0)
	w.awaitProblem("")
}

// TestKilledAgent kills the agent, changes its configuration meanwhile, and starts
// it again: gobgpd has kept the routes, what is no longer wanted goes, and it has
// one BMP station, not one for each life of the agent.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	record(t, "agent killed, started with another configuration: routes and BMP station replaced", false)
	w := newWorld(t, behindGobgpd)
	daemon := w.gobgpd(65000)
	w.reconfigure(1, 0, 1)
	w.reconfigure(2, 0, 1)
	w.agents[1].Launch()
	w.agents[2].Launch()
	w.bothUp(0)
	w.bothUp(1)
	before := w.session(0)
	w.agents[1].Daemon().Kill()
	w.reconfigure(1, 0)
	w.agents[1].Launch()
	w.await(2, 1, "down", "no_remote")
	w.bothUp(0)
	if after := w.session(0); after != before {
		t.Errorf("session %d became %d", before, after)
	}
	w.awaitProblem("")
	if stations, err := stations(daemon); err != nil || len(stations) != 1 {
		t.Errorf("gobgpd has the BMP stations %v: %v", stations, err)
	}
	// Another pseudowire by reload.
	w.reconfigure(1, 0, 1)
	if err := w.agents[1].Reload(); err != nil {
		t.Fatal(err)
	}
	w.bothUp(1)
}

// reconfigure writes a side's configuration with these pseudowires.
func (w *world) reconfigure(side int, numbers ...int) {
	w.t.Helper()
	w.config[side].Pseudowires = nil
	for _, number := range numbers {
		w.config[side].Pseudowires = append(w.config[side].Pseudowires, pseudowire(number, side))
	}
	w.agents[side].Configure(w.config[side])
}

// session is the id by which PE1 receives a pseudowire.
func (w *world) session(number int) uint32 {
	w.t.Helper()
	var rows []struct {
		Name         string `json:"name"`
		LocalSession uint32 `json:"local_session"`
	}
	if err := w.agents[1].Read("pseudowires", &rows); err != nil {
		w.t.Fatal(err)
	}
	for _, row := range rows {
		if row.Name == fmt.Sprintf("pw%d", number) {
			return row.LocalSession
		}
	}
	w.t.Fatalf("no pw%d in %+v", number, rows)
	return 0
}

// stations lists the BMP stations of a gobgpd.
func stations(daemon *gobgpd.Server) (ports []uint32, err error) {
	err = daemon.Call(func(ctx context.Context, client api.GobgpApiClient) error {
		stream, err := client.ListBmp(ctx, &api.ListBmpRequest{})
		if err != nil {
			return err
		}
		for {
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			ports = append(ports, answer.GetStation().GetConf().GetPort())
		}
	})
	return ports, err
}

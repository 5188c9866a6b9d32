// Package outside shows what an operator sees whose own BGP daemon speaks for the
// agent: a gobgpd that is absent, forbidden or another router, and a bgpd of FRR
// that knows the host's addresses. The end-to-end tests with such daemons are
// those of test/scenario, with its flag -bgp.
package outside

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/manual"
	"longwire/test/matrix"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// upTime is how long a pseudowire may take to come up, on a busy machine.
const upTime = 60 * time.Second

// The programs under test, built once for all tests.
var longwire, gobgpdBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "longwire-outside-")
	if err == nil {
		defer os.RemoveAll(dir)
		longwire, err = lab.Build(dir, "longwire/cmd/longwire")
	}
	if err == nil {
		gobgpdBinary, err = gobgpd.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// record notes the result of a test with gobgpd or bgpd in the matrix.
func record(t *testing.T, row string, withFRR bool) {
	t.Helper()
	version, column := gobgpdVersion, "gobgpd %s (gRPC and BMP)"
	if withFRR {
		version, column = frr.Version, "FRR bgpd %s (iBGP on the host)"
	}
	v, err := version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	matrix.Record(t, "An outside BGP daemon on the PE", row, fmt.Sprintf(column, v))
}

func gobgpdVersion(context.Context) (string, error) { return gobgpd.Version(gobgpdBinary) }

// world is two PEs with one pseudowire between them. PE2 is the usual agent.
type world struct {
	*lab.Topology
	t      *testing.T
	agents [3]*lab.Agent // by side, 1 and 2
	config [3]lab.Config
}

// newWorld prepares both agents and starts none; bgp is the section of a side.
func newWorld(t *testing.T, bgp func(w *world, side int) *lab.BGP) *world {
	t.Helper()
	w := &world{Topology: lab.NewTopology(t, lab.Options{Circuits: 2}), t: t}
	for side := 1; side <= 2; side++ {
		_, pe := w.Side(side)
		w.config[side] = lab.Config{
			Router:      lab.Router{ID: pe.Source4, ASN: 65000, Source: []netip.Addr{pe.Source4, pe.Source6}},
			BGP:         bgp(w, side),
			Pseudowires: []lab.Pseudowire{pseudowire(0, side)},
		}
		w.agents[side] = w.Agent(longwire, pe, w.config[side])
	}
	return w
}

// pseudowire is that of a number in the configuration of a side.
func pseudowire(number, side int) lab.Pseudowire {
	return lab.Pseudowire{
		Name: fmt.Sprintf("pw%d", number), Interface: lab.Circuit(number),
		EVPN: &lab.EVPN{RouteTarget: "65000:1", LocalService: 100*side + number, RemoteService: 100*(3-side) + number},
	}
}

// socket is where PE1's gobgpd has its gRPC interface.
func (w *world) socket() string { return w.Path("gobgpd.sock") }

// behindGobgpd gives PE1 a gobgpd instead of neighbours, and PE2 that as its
// neighbour.
func behindGobgpd(w *world, side int) *lab.BGP {
	if side == 1 {
		return &lab.BGP{Gobgpd: "unix://" + w.socket()}
	}
	return &lab.BGP{Neighbors: []lab.Neighbor{
		{Address: lab.PE1Source4, ASN: 65000, LocalAddress: lab.PE2Source4.String(), HoldTime: "9s"},
	}}
}

// gobgpd starts a gobgpd on PE1 whose neighbour is PE2.
func (w *world) gobgpd(asn int) *gobgpd.Server {
	w.t.Helper()
	config := strings.ReplaceAll(w.manual("# /etc/gobgpd.toml of PE 1"), lab.RRSource4.String(), lab.PE2Source4.String())
	return gobgpd.Start(w.PE1.Namespace, "gobgpd", gobgpdBinary, strings.ReplaceAll(config, "65000", fmt.Sprint(asn)))
}

// manual returns a configuration from the manual, named by its first line.
func (w *world) manual(title string) string {
	w.t.Helper()
	text, err := manual.Block(title)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// await waits until the pseudowire of that number has a state, at a side.
func (w *world) await(side, number int, state, reason string) {
	w.t.Helper()
	w.Poll(upTime, fmt.Sprintf("pw%d of PE%d %s(%s)", number, side, state, reason), func() error {
		var rows []struct{ Name, State, Reason, Detail string }
		if err := w.agents[side].Read("pseudowires", &rows); err != nil {
			return err
		}
		for _, row := range rows {
			if row.Name == fmt.Sprintf("pw%d", number) && row.State == state && row.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("%+v", rows)
	})
}

// bothUp waits for both ends of a pseudowire and sends packets through it.
func (w *world) bothUp(number int) {
	w.t.Helper()
	w.await(1, number, "up", "")
	w.await(2, number, "up", "")
	if err := w.CE1.Ping(lab.Host4(2, number), 1400, 5*time.Second); err != nil {
		w.t.Error(err)
	}
}

// awaitProblem waits until the agent of PE1 has exactly the problem with these
// words, or none.
func (w *world) awaitProblem(words string) {
	w.t.Helper()
	w.Poll(upTime, fmt.Sprintf("the problem %q", words), func() error {
		var shown struct {
			Problems []string `json:"problems"`
		}
		if err := w.agents[1].Read("agent", &shown); err != nil {
			return err
		}
		if words == "" && len(shown.Problems) == 0 || len(shown.Problems) == 1 && words != "" && strings.Contains(shown.Problems[0], words) {
			return nil
		}
		return fmt.Errorf("%q", shown.Problems)
	})
}

package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// narrowMTU is that of a link on the way which the PEs do not see.
const narrowMTU = 1300

// learnTime is how long a PE may take to heed what its stack has learned of the
// path, on a busy machine.
const learnTime = 20 * time.Second

// narrow makes a link on the way small. Routers fragment IPv4 there; over IPv6
// they say that packets are too big.
func (p *pair) narrow() {
	p.t.Helper()
	p.P.MTU("pe2", narrowMTU)
	p.PE2.MTU(lab.Uplink, narrowMTU)
}

// slowPath reads what the slow path of a side has delivered.
func (p *pair) slowPath(side int) (delivered uint64, err error) {
	var rows []struct {
		Pseudowire string `json:"pseudowire"`
		SlowPath   *struct {
			Received  uint64 `json:"received"`
			Delivered uint64 `json:"delivered"`
		} `json:"slow_path"`
	}
	if err := p.agents[side].Read("counters", &rows); err != nil {
		return 0, err
	}
	for _, row := range rows {
		if row.Pseudowire == "" && row.SlowPath != nil {
			if row.SlowPath.Delivered != row.SlowPath.Received {
				return 0, fmt.Errorf("%+v: not everything is delivered", *row.SlowPath)
			}
			return row.SlowPath.Delivered, nil
		}
	}
	return 0, errors.New("the counters have no slow path")
}

// TestNarrowUnderlay carries frames of full size over a link that is too small
// for them, which neither PE knows of at first: in fragments, delivered by the
// slow path.
func TestNarrowUnderlay(t *testing.T) {
	t.Parallel()
	for _, w := range encapsulations(0) {
		w.number, w.static, w.cookie = 0, true, 8
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, lab.Options{}, []wire{w}, nil).launch()
			p.pings(w)
			for side := 1; side <= 2; side++ {
				if n, err := p.slowPath(side); err != nil || n != 0 {
					t.Errorf("PE%d, before: %d packets by the slow path, error %v", side, n, err)
				}
			}
			p.narrow()
			for _, to := range []netip.Addr{lab.Host4(2, 0), lab.Host6(2, 0)} {
				if err := p.CE1.Ping(to, 1400, learnTime); err != nil {
					t.Errorf("%v: %v", to, oneLine(err.Error()))
				}
			}
			if _, err := p.Transfer(p.CE1, p.CE2, lab.Host4(2, 0), 2_000_000, 20*time.Second); err != nil {
				t.Error(err)
			}
			for side := 1; side <= 2; side++ {
				p.Poll(5*time.Second, "slow path", func() error {
					n, err := p.slowPath(side)
					if err == nil && n < 2 {
						err = fmt.Errorf("%d packets by the slow path of PE%d", n, side)
					}
					return err
				})
			}
			if w.v6 {
				route := p.PE1.Run("ip", "route", "get", w.source(2).String(), "from", w.source(1).String())
				if err := contains(route, fmt.Sprintf("mtu %d", narrowMTU)); err != nil {
					t.Errorf("PE1 has not learned the path's MTU: %v", err)
				}
			}
			if table, err := p.agents[2].Show("counters"); err != nil || !strings.Contains(table, "(slow-path)") {
				t.Errorf("the table does not show the slow path: %v\n%s", err, table)
			}
		})
	}
}

// TestWithoutNetRaw runs agents that may not open raw sockets: they say what is
// lost, and whole packets go on crossing.
func TestWithoutNetRaw(t *testing.T) {
	t.Parallel()
	const capabilities = "-all,+net_admin,+bpf,+perfmon,+net_bind_service"
	w := wire{static: true, cookie: 8, udp: true}
	p := newPair(t, lab.Options{}, []wire{w}, nil)
	for side := 1; side <= 2; side++ {
		p.agents[side].Wrapper = []string{"setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities}
	}
	p.launch()
	p.pings(w)
	var agent struct {
		Problems []string `json:"problems"`
	}
	if err := p.agents[1].Read("agent", &agent); err != nil {
		t.Fatal(err)
	}
	if len(agent.Problems) != 1 || contains(agent.Problems[0], "CAP_NET_RAW", "slow path") != nil {
		t.Errorf("problems %q, want one that names the slow path and CAP_NET_RAW", agent.Problems)
	}
	if log := p.agents[1].Daemon().Log(); strings.Count(log, "CAP_NET_RAW") != 1 {
		t.Errorf("the log says it %d times, want once:\n%s", strings.Count(log, "CAP_NET_RAW"), log)
	}
}

package interop

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/peer/exabgp"
)

// patience is how long BGP may take on a busy machine.
const patience = 30 * time.Second

// stage is one agent on PE 1, and ExaBGP in the place of the route reflector.
type stage struct {
	*lab.Topology
	t      *testing.T
	agent  *lab.Agent
	exabgp *exabgp.Speaker
}

// agentConfig is the configuration of the agent.
func agentConfig(pseudowires []lab.Pseudowire) lab.Config {
	return lab.Config{
		Router: lab.Router{ID: lab.PE1Source4, ASN: 65000, Source: []netip.Addr{lab.PE1Source4, lab.PE1Source6}},
		BGP: &lab.BGP{Neighbors: []lab.Neighbor{
			{Address: lab.RRSource4, ASN: 65000, LocalAddress: lab.PE1Source4.String(), HoldTime: "30s"},
		}},
		Pseudowires: pseudowires,
	}
}

// exabgpConfig is the configuration of ExaBGP that fits it.
func exabgpConfig(routes []exabgp.Route) exabgp.Config {
	return exabgp.Config{Local: lab.RRSource4, Neighbor: lab.PE1Source4, LocalASN: 65000, NeighborASN: 65000, Routes: routes}
}

// newStage starts both.
func newStage(t *testing.T, a lab.Config, e exabgp.Config) *stage {
	t.Helper()
	s := &stage{Topology: lab.NewTopology(t, lab.Options{Circuits: max(1, len(a.Pseudowires))}), t: t}
	s.agent = s.Agent(longwire, s.PE1, a)
	s.agent.Launch()
	s.exabgp = exabgp.Start(t, s.Lab, s.RR, e)
	return s
}

// established waits until the agent has a session with ExaBGP.
func (s *stage) established() {
	s.t.Helper()
	s.Poll(patience, "session with ExaBGP", func() error {
		neighbors, err := s.neighbors()
		if err == nil && (len(neighbors) == 0 || neighbors[0].State != "established") {
			err = fmt.Errorf("%+v", neighbors)
		}
		return errors.Join(err, s.exabgp.Running())
	})
}

// neighbor is a row of "longwire show neighbors -o json".
type neighbor struct {
	State    string         `json:"state"`
	Reason   string         `json:"reason"`
	Detail   string         `json:"detail"`
	Received int            `json:"received"`
	Failures map[string]int `json:"failures"`
}

func (s *stage) neighbors() (rows []neighbor, err error) {
	err = s.agent.Read("neighbors", &rows)
	return rows, err
}

// pseudowire is a row of "longwire show pseudowires -o json".
type pseudowire struct {
	Name          string `json:"name"`
	State         string `json:"state"`
	Reason        string `json:"reason"`
	Detail        string `json:"detail"`
	RemoteSession uint32 `json:"remote_session"`
}

// pseudowires returns the agent's pseudowires by name.
func (s *stage) pseudowires() (map[string]pseudowire, error) {
	var rows []pseudowire
	if err := s.agent.Read("pseudowires", &rows); err != nil {
		return nil, err
	}
	byName := map[string]pseudowire{}
	for _, row := range rows {
		byName[row.Name] = row
	}
	return byName, nil
}

// await waits until a pseudowire has a state and a reason, with words in its
// detail.
func (s *stage) await(t *testing.T, name, state, reason, detail string) {
	t.Helper()
	err := lab.Await(patience, func() error {
		rows, err := s.pseudowires()
		if err != nil {
			return err
		}
		if row := rows[name]; row.State != state || row.Reason != reason || !strings.Contains(row.Detail, detail) {
			return fmt.Errorf("%+v", row)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s does not become %s(%s) with %q: %v", name, state, reason, detail, err)
	}
}

// mapEntry is a row of "longwire show sessions --cookies -o json".
type mapEntry struct {
	Pseudowire    string `json:"pseudowire"`
	Direction     string `json:"direction"`
	Session       uint32 `json:"session"`
	Local         string `json:"local"`
	Remote        string `json:"remote"`
	Encapsulation string `json:"encapsulation"`
	Sublayer      string `json:"sublayer"`
	CookieLength  int    `json:"cookie_length"`
	Cookie        string `json:"cookie"`
	LocalPort     uint16 `json:"local_port"`
}

// entries returns the kernel's session entries of one direction by pseudowire.
func (s *stage) entries(t *testing.T, direction string) map[string]mapEntry {
	t.Helper()
	var rows []mapEntry
	if err := s.agent.Read("sessions", &rows, "--cookies"); err != nil {
		t.Fatal(err)
	}
	byName := map[string]mapEntry{}
	for _, row := range rows {
		if row.Direction == direction {
			byName[row.Pseudowire] = row
		}
	}
	return byName
}

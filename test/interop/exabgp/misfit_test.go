package interop

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/peer/exabgp"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// badInput is the table of the matrix.
const badInput = "Bad input"

// The addresses of PE 1 and of the stranger, which is its next hop: with
// different AS numbers the two must be neighbours on a link.
var (
	here  = netip.MustParseAddr("10.0.1.1")
	there = netip.MustParseAddr("10.0.1.254")
)

// metricsAt is where the agent's metrics are, in its namespace.
const metricsAt = "127.0.0.1:9179"

// misfit is a session that cannot be or is of no use. Zero values are those of
// two ends that fit: AS 65000, no password, EVPN.
type misfit struct {
	name                    string
	expected                uint32 // AS number that we expect of the stranger
	password                string // ours
	theirASN, theyExpect    uint32
	theirPassword, family   string
	passive                 bool   // it never connects to us
	limit                   int    // of the routes that it takes; 0 = none
	configured              string // our address in its configuration; "" = the right one
	state, reason, contains string // state "" = any but established
}

// misfits lists them; what the two strangers do differently about a family is
// told apart by its name.
func misfits(noFamilyState string) []misfit {
	return []misfit{
		{name: "it has another AS number than we expect", theirASN: 65009, reason: "wrong_asn", contains: "expected 65000, received 65009"},
		{name: "we expect another AS number than it has", expected: 65009, reason: "wrong_asn", contains: "expected 65009, received 65000"},
		{name: "it expects another AS number than we have", theyExpect: 65009, reason: "open_rejected", contains: "another AS number than our 65000"},
		{name: "two TCP-MD5 passwords", password: "ours", theirPassword: "theirs", reason: "authentication", contains: "wrong TCP-MD5 signature"},
		{name: "a TCP-MD5 password here alone", password: "ours", reason: "authentication", contains: "without one"},
		{name: "a TCP-MD5 password there alone", theirPassword: "theirs", reason: "authentication", contains: "no password is configured here"},
		{name: "no family in common", family: "ipv4 unicast", state: noFamilyState, reason: "no_common_family", contains: "does not offer l2vpn evpn"},
	}
}

// TestMisfits has ExaBGP, FRR and gobgpd be neighbours that do not fit: each is
// shown with its reason, counted, and logged once with what to do.
func TestMisfits(t *testing.T) {
	t.Parallel()
	for _, stranger := range []struct {
		column, noFamilyState string
		start                 func(*testing.T, *lab.Topology, misfit)
		more                  []misfit
	}{
		{column, "established", startExaBGP, nil},
		{"FRR bgpd " + bgpd, "", startFRR, nil},
		// FRR 8.4 has no such limit for EVPN, and ExaBGP has none at all.
		{"gobgpd " + gobgpdVersion, "established", startGobgpd, []misfit{
			{name: "more routes than it takes", limit: 1, reason: "max_prefix", contains: "cease (6/1)"},
		}},
	} {
		for _, m := range append(misfits(stranger.noFamilyState), stranger.more...) {
			t.Run(stranger.column+", "+m.name, func(t *testing.T) {
				t.Parallel()
				matrix.Record(t, badInput, m.name+": "+m.reason, stranger.column)
				s := newMisfit(t, m)
				stranger.start(t, s.Topology, m)
				s.shows(t, m)
			})
		}
	}
}

// TestFRRListens has a bgpd that waits for us and wants something else.
func TestFRRListens(t *testing.T) {
	t.Parallel()
	for _, m := range []misfit{
		{name: "two TCP-MD5 passwords, and it never connects", password: "ours", theirPassword: "theirs", passive: true, reason: "unreachable", contains: "timeout"},
		{name: "we are not configured there", configured: "10.0.1.77", reason: "closed_at_once", contains: "before there was a session"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			matrix.Record(t, badInput, m.name+": "+m.reason, "FRR bgpd "+bgpd)
			s := newMisfit(t, m)
			startFRR(t, s.Topology, m)
			s.shows(t, m)
		})
	}
}

func startExaBGP(t *testing.T, top *lab.Topology, m misfit) {
	exabgp.Start(t, top.Lab, top.P, exabgp.Config{
		Local: there, Neighbor: here, LocalASN: cmp.Or(m.theirASN, 65000), NeighborASN: cmp.Or(m.theyExpect, 65000),
		Password: m.theirPassword, Family: m.family,
	})
}

func startFRR(_ *testing.T, top *lab.Topology, m misfit) { frr.Start(top.P, "bgpd", m.bgpd()) }

func startGobgpd(_ *testing.T, top *lab.Topology, m misfit) {
	gobgpd.Start(top.P, "gobgpd", gobgpdBinary, m.gobgpd())
}

// gobgpd is gobgpd's configuration.
func (m misfit) gobgpd() string {
	lines := []string{
		"[global.config]", fmt.Sprintf("as = %d", cmp.Or(m.theirASN, 65000)), fmt.Sprintf("router-id = %q", there),
		"[[neighbors]]", "[neighbors.config]", fmt.Sprintf("neighbor-address = %q", here),
		fmt.Sprintf("peer-as = %d", cmp.Or(m.theyExpect, 65000)), fmt.Sprintf("auth-password = %q", m.theirPassword),
		"[neighbors.timers.config]", "connect-retry = 1",
		"[[neighbors.afi-safis]]", "[neighbors.afi-safis.config]",
		fmt.Sprintf("afi-safi-name = %q", strings.ReplaceAll(cmp.Or(m.family, "l2vpn evpn"), " ", "-")),
	}
	if m.limit > 0 {
		lines = append(lines, "[neighbors.afi-safis.prefix-limit.config]", fmt.Sprintf("max-prefixes = %d", m.limit))
	}
	return strings.Join(append(lines, ""), "\n")
}

// bgpd is FRR's configuration.
func (m misfit) bgpd() string {
	us := cmp.Or(m.configured, here.String())
	lines := []string{
		fmt.Sprintf("router bgp %d", cmp.Or(m.theirASN, 65000)), "bgp router-id " + there.String(),
		"no bgp default ipv4-unicast", "no bgp ebgp-requires-policy",
		fmt.Sprintf("neighbor %s remote-as %d", us, cmp.Or(m.theyExpect, 65000)), fmt.Sprintf("neighbor %s timers connect 1", us),
	}
	if m.passive {
		lines = append(lines, fmt.Sprintf("neighbor %s passive", us))
	}
	if m.theirPassword != "" {
		lines = append(lines, fmt.Sprintf("neighbor %s password %s", us, m.theirPassword))
	}
	return strings.Join(append(lines, "address-family "+cmp.Or(m.family, "l2vpn evpn"), fmt.Sprintf("neighbor %s activate", us), "exit-address-family", ""), "\n")
}

// newMisfit starts the agent of a misfit, with two routes to announce.
func newMisfit(t *testing.T, m misfit) *stage {
	t.Helper()
	s := &stage{Topology: lab.NewTopology(t, lab.Options{Circuits: 2}), t: t}
	config := agentConfig([]lab.Pseudowire{row{}.pseudowire(0), row{}.pseudowire(1)})
	n := lab.Neighbor{Address: there, LocalAddress: here.String(), ASN: cmp.Or(m.expected, 65000), HoldTime: "9s"}
	if m.password != "" {
		n.PasswordFile = s.Write("password", m.password+"\n")
	}
	config.BGP.Neighbors = []lab.Neighbor{n}
	config.Metrics = &lab.Metrics{Listen: metricsAt}
	s.agent = s.Agent(longwire, s.PE1, config)
	s.agent.Launch()
	return s
}

// shows waits until the neighbour is shown as a misfit must be, and looks for
// the counter in the metrics and for the line in the log.
func (s *stage) shows(t *testing.T, m misfit) {
	t.Helper()
	err := lab.Await(patience, func() error {
		rows, err := s.neighbors()
		if err != nil {
			return err
		}
		n := rows[0]
		if n.Reason != m.reason || !strings.Contains(n.Detail, m.contains) || n.Failures[m.reason] == 0 ||
			(n.State == "established") != (m.state == "established") {
			return fmt.Errorf("shown as %+v", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.tells(t, m.reason)
	if rows, err := s.pseudowires(); err != nil || rows["pw0"].State != "down" || rows["pw0"].Reason != "no_remote" {
		t.Errorf("pseudowires %+v, %v", rows, err)
	}
}

// tells looks for a reason in the table, the metrics and the log.
func (s *stage) tells(t *testing.T, reason string) {
	t.Helper()
	if table, err := s.agent.Show("neighbors"); err != nil || !strings.Contains(table, " "+reason+" ") {
		t.Errorf("%s is not in the table: %v\n%s", reason, err, table)
	}
	metrics, err := s.metrics()
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("reason=%q} ", reason); !lineWith(metrics, "longwire_bgp_neighbor_failures_total{", want) {
		t.Errorf("no counter of %s:\n%s", reason, metrics)
	}
	if !lineWith(metrics, "longwire_bgp_neighbor_up{", "} 0") {
		t.Errorf("the metrics have the neighbor up:\n%s", metrics)
	}
	log := s.agent.Daemon().Log()
	if line := "reason=" + reason + " "; !lineWith(log, "BGP neighbor is of no use", line, "advice=") || strings.Count(log, line) != 1 {
		t.Errorf("%q is in %d lines of the log", line, strings.Count(log, line))
	}
}

// metrics scrapes the agent.
func (s *stage) metrics() (string, error) {
	var conn net.Conn
	err := s.PE1.Do(func() (err error) {
		conn, err = net.Dial("tcp", metricsAt)
		return err
	})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	request, err := http.NewRequest(http.MethodGet, "http://"+metricsAt+"/metrics", nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	if err := request.Write(conn); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	if err == nil && !strings.Contains(string(text), "longwire_build_info") {
		err = errors.New("these are no metrics of Longwire")
	}
	return string(text), err
}

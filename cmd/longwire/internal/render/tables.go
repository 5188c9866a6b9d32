package render

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"longwire/cmd/longwire/internal/api"
)

// Pseudowires prints the state of pseudowires.
func Pseudowires(w io.Writer, pseudowires []api.Pseudowire, now time.Time) error {
	header := []string{"NAME", "INTERFACE", "STATE", "REASON", "REMOTE", "ENCAP", "LOCAL-SID", "REMOTE-SID", "SOURCE", "SINCE", "DETAIL"}
	var rows [][]string
	for _, p := range pseudowires {
		encapsulation := p.Encapsulation
		if p.Remote == "" {
			encapsulation = ""
		}
		rows = append(rows, []string{
			p.Name, circuit(p.Interface, p.VLANs), p.State, p.Reason, p.Remote, encapsulation,
			number(p.LocalSession), number(p.RemoteSession), p.Source, age(p.Since, now), p.Detail,
		})
	}
	return table(w, header, rows)
}

// Sessions prints the entries of the kernel's session maps. The column of
// cookies shows their length unless the agent was asked for the values.
func Sessions(w io.Writer, sessions []api.Session) error {
	header := []string{"NAME", "INTERFACE", "DIRECTION", "SESSION", "LOCAL", "REMOTE", "ENCAP", "SUBLAYER", "COOKIE", "TAGS", "OPTIONS"}
	var rows [][]string
	for _, s := range sessions {
		name, cookie := s.Pseudowire, s.Cookie
		if name == "" {
			name = "(host)"
		}
		switch {
		case s.Direction == "transmit" && s.Session == 0:
		case s.CookieLength == 0:
			cookie = "none"
		case cookie == "":
			cookie = fmt.Sprintf("%d-bytes", s.CookieLength)
		}
		rows = append(rows, []string{
			name, circuit(s.Interface, s.VLANs), s.Direction, number(s.Session),
			endpoint(s.Local, s.LocalPort), endpoint(s.Remote, s.RemotePort), s.Encapsulation, s.Sublayer, cookie,
			strings.NewReplacer(", ", ",", " ", ":").Replace(s.Tags), strings.Join(s.Options, " "),
		})
	}
	return table(w, header, rows)
}

// endpoint is an address, with its port if there is one.
func endpoint(address string, port uint16) string {
	if address == "" || port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}

// Neighbors prints the state of BGP sessions.
func Neighbors(w io.Writer, neighbors []api.Neighbor, now time.Time) error {
	header := []string{"NEIGHBOR", "ASN", "STATE", "SINCE", "RECEIVED", "ADVERTISED", "FLAPS", "REASON", "DETAIL"}
	var rows [][]string
	for _, n := range neighbors {
		rows = append(rows, []string{
			n.Address, number(n.ASN), n.State, age(n.Since, now), count(n.Received), count(n.Advertised), count(n.Flaps), n.Reason, n.Detail,
		})
	}
	return table(w, header, rows)
}

// Routes prints received routes, with what their first tunnel says.
func Routes(w io.Writer, routes []api.Route, now time.Time) error {
	header := []string{"SERVICE", "ROUTE-TARGET", "RD", "PEER", "NEXT-HOP", "ENDPOINT", "ENCAP", "SESSION", "MTU", "VERDICT", "PSEUDOWIRE", "AGE", "DETAIL"}
	var rows [][]string
	for _, r := range routes {
		row := []string{number(r.Service), strings.Join(r.RouteTargets, ","), r.RD, r.Peer, r.NextHop, "", "", "", number(r.MTU)}
		if len(r.Tunnels) > 0 {
			t := r.Tunnels[0]
			row[5], row[6], row[7] = endpoint(t.Endpoint, t.UDPPort), "ip", number(t.Session)
			if t.UDPPort != 0 {
				row[6] = "udp"
			}
		}
		rows = append(rows, append(row, r.Verdict, strings.Join(r.Pseudowires, ","), age(r.Since, now), routeDetail(r, now)))
	}
	return table(w, header, rows)
}

func routeDetail(r api.Route, now time.Time) string {
	var parts []string
	if r.StaleSince != nil {
		parts = append(parts, "stale for "+age(*r.StaleSince, now))
	}
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	if r.Detail != "" {
		parts = append(parts, r.Detail)
	}
	return strings.Join(parts, ": ")
}

// Counters prints totals. The drops that belong to no pseudowire come last.
func Counters(w io.Writer, counters []api.Counters) error {
	header := []string{"NAME", "ENCAP-PACKETS", "ENCAP-BYTES", "DECAP-PACKETS", "DECAP-BYTES", "FRAGMENTED", "ANSWERED", "OLD-COOKIE", "GAPS", "RESETS", "DROPPED", "REASONS"}
	var rows, last [][]string
	for _, c := range counters {
		total, reasons := sum(c.Drops)
		row := []string{
			c.Pseudowire, count(c.EncapPackets), count(c.EncapBytes), count(c.DecapPackets), count(c.DecapBytes),
			count(c.Fragmented), count(c.Answered), count(c.PreviousCookie), count(c.SequenceGaps), count(c.SequenceResets),
			count(total), reasons,
		}
		if c.Pseudowire == "" {
			row[0] = "(none)"
			last = append(append(last, row), slowPath(c.SlowPath)...)
			continue
		}
		rows = append(rows, row)
	}
	return table(w, header, append(rows, last...))
}

// slowPath is the row of the slow path, none without it. Its packets are outer
// ones, and what they carry is counted with their pseudowires as well.
func slowPath(n *api.SlowPath) [][]string {
	if n == nil {
		return nil
	}
	total, reasons := sum(n.Dropped())
	return [][]string{{"(slow-path)", "", "", count(n.Delivered), "", "", "", "", "", "", count(total), reasons}}
}

// sum adds up drops and lists those that there are.
func sum(drops map[string]uint64) (total uint64, reasons string) {
	var words []string
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		if n := drops[reason]; n > 0 {
			total += n
			words = append(words, fmt.Sprintf("%s=%d", reason, n))
		}
	}
	return total, strings.Join(words, " ")
}

// Agent prints the state of the agent itself, one fact in a line.
func Agent(w io.Writer, a api.Agent, now time.Time) error {
	holding := "no"
	if a.Holding {
		holding = "yes, until the routes are complete"
	}
	rows := [][]string{
		{"version", a.Version}, {"pid", strconv.Itoa(a.PID)}, {"config", a.Config}, {"uptime", age(a.Started, now)},
		{"holding", holding}, {"repairs", count(a.Repairs)},
	}
	rows = append(rows, selfTest(a.SelfTest)...)
	for _, p := range a.Problems {
		rows = append(rows, []string{"problem", p})
	}
	return table(w, []string{"FACT", "VALUE"}, rows)
}

// selfTest is a line that counts the checks, and one for each that is not ok.
func selfTest(checks []api.Check) [][]string {
	if len(checks) == 0 {
		return nil
	}
	rows, right := [][]string{nil}, 0
	for _, c := range checks {
		switch c.Result {
		case "ok":
			right++
		case "degraded":
			rows = append(rows, []string{"degraded", fmt.Sprintf("%s, mode %s: %s", c.Name, c.Mode, c.Detail)})
		default:
			rows = append(rows, []string{c.Result, fmt.Sprintf("%s: %s", c.Name, c.Detail)})
		}
	}
	rows[0] = []string{"selftest", fmt.Sprintf("%d of %d checks ok", right, len(checks))}
	return rows
}

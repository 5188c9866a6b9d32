package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"longwire/test/lab"
	results "longwire/test/matrix"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// reflectorKinds are the kinds that the flag names.
func reflectorKinds() []string { return strings.Split(*reflectors, ",") }

// routeReflector is a route reflector of some kind whose clients are both PEs.
type routeReflector struct {
	*lab.Daemon
	kind    string
	address netip.Addr
	start   func() *lab.Daemon
}

// Restart starts the reflector again after it was killed or stopped.
func (r *routeReflector) Restart() { r.Daemon = r.start() }

// reflect starts a route reflector of the first kind.
func (p *pair) reflect() *routeReflector {
	p.t.Helper()
	return p.reflectBy(reflectorKinds()[0], p.RR, lab.RRSource4)
}

// reflectAgain starts a second one, of the last kind.
func (p *pair) reflectAgain() *routeReflector {
	p.t.Helper()
	kinds := reflectorKinds()
	return p.reflectBy(kinds[len(kinds)-1], p.RR2, lab.RR2Source4)
}

func (p *pair) reflectBy(kind string, n *lab.Namespace, address netip.Addr) *routeReflector {
	p.t.Helper()
	r := &routeReflector{kind: kind, address: address}
	name := "reflector-" + n.Role
	switch kind {
	case "rr":
		r.start = func() *lab.Daemon {
			return n.Start(name, reflector, "-router-id", address.String(), "-asn", "65000",
				"-client", lab.PE1Source4.String(), "-client", lab.PE2Source4.String())
		}
		r.Daemon = r.start()
	case "gobgpd":
		server := gobgpd.Start(n, name, gobgpdBinary, p.documented("gobgpd.toml", address))
		r.start = func() *lab.Daemon { server.Restart(); return server.Daemon }
		r.Daemon = server.Daemon
	case "frr":
		router := frr.StartWithZebra(n, name, p.documented("frr.conf", address))
		r.start = func() *lab.Daemon { router.Restart(); return router.Daemon }
		r.Daemon = router.Daemon
	default:
		p.t.Fatalf("-reflector=%s: there is no reflector %q", *reflectors, kind)
	}
	return r
}

// documented returns a configuration from the manual, for a reflector with the
// given address: what it tells operators to write is what is tested.
func (p *pair) documented(file string, address netip.Addr) string {
	p.t.Helper()
	manual, err := os.ReadFile("../../docs/interop.md")
	if err != nil {
		p.t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\\w*\n([!#] /etc/\\S*" + regexp.QuoteMeta(file) + "\n.*?)```").FindSubmatch(manual)
	if block == nil {
		p.t.Fatalf("docs/interop.md shows no %s", file)
	}
	return strings.ReplaceAll(string(block[1]), lab.RRSource4.String(), address.String())
}

// row runs a subtest that is a row of the matrix. The subtest must come to its
// end: what a lab gives up ends the subtest as a failure of its parent alone.
func row(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	rowOf(t, name, f, record, recordOutside)
}

// rowOf is row for these tables alone.
func rowOf(t *testing.T, name string, f func(t *testing.T), tables ...func(results.TB, string)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		e := &ending{T: t}
		for _, note := range tables {
			note(e, name)
		}
		f(t)
		e.reached = true
	})
}

// ending is a test that has failed until it has reached its end.
type ending struct {
	*testing.T
	reached bool
}

// Failed implements results.TB.
func (e *ending) Failed() bool { return !e.reached || e.T.Failed() }

// record notes a test's result in the matrix, unless the reflector is ours, or
// another daemon than ours is on the PEs.
func record(t results.TB, row string) {
	t.Helper()
	if *bgpMode != "worker" {
		return
	}
	for _, kind := range reflectorKinds() {
		column, err := version(kind)
		if err != nil {
			t.Errorf("%v", err)
		}
		if column != "" {
			results.Record(t, "Route reflectors", row, column)
		}
	}
}

// version names a foreign reflector with its version.
func version(kind string) (string, error) {
	switch kind {
	case "frr":
		v, err := frr.Version(context.Background())
		return "FRR bgpd " + v, err
	case "gobgpd":
		v, err := gobgpd.Version(gobgpdBinary)
		return "gobgpd " + v, err
	}
	return "", nil
}

// byReflector is the BGP section of a client of the route reflector.
func byReflector(side int) (uint32, *lab.BGP) {
	return 65000, &lab.BGP{Neighbors: []lab.Neighbor{clientOf(lab.RRSource4, side)}}
}

// byTwoReflectors is the BGP section of a client of both.
func byTwoReflectors(side int) (uint32, *lab.BGP) {
	return 65000, &lab.BGP{Neighbors: []lab.Neighbor{clientOf(lab.RRSource4, side), clientOf(lab.RR2Source4, side)}}
}

func clientOf(reflector netip.Addr, side int) lab.Neighbor {
	local := lab.PE1Source4
	if side == 2 {
		local = lab.PE2Source4
	}
	return lab.Neighbor{Address: reflector, ASN: 65000, LocalAddress: local.String(), HoldTime: "9s"}
}

// String names the reflector in messages.
func (r *routeReflector) String() string { return fmt.Sprintf("%s at %v", r.kind, r.address) }

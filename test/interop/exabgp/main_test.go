// Package interop holds our agent against ExaBGP and tshark, and against FRR and
// gobgpd where one thing is asked of all: routes that a hand has made, right and
// wrong, sessions that cannot work, and what both read in what we send.
package interop

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"longwire/test/lab"
	"longwire/test/peer/exabgp"
	"longwire/test/peer/frr"
	"longwire/test/peer/gobgpd"
)

// longwire is the program under test and gobgpdBinary a stranger, built once for
// all tests; column, bgpd and gobgpdVersion name the ExaBGP and the FRR that are
// installed, and the gobgpd.
var longwire, gobgpdBinary, column, bgpd, gobgpdVersion string

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time the tests wait for timers of BGP.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "longwire-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if longwire, err = lab.Build(dir, "longwire/cmd/longwire"); err == nil {
		column, err = exabgp.Column()
	}
	if err == nil {
		bgpd, err = frr.Version(context.Background())
	}
	if err == nil {
		gobgpdBinary, err = gobgpd.Build(dir)
	}
	if err == nil {
		gobgpdVersion, err = gobgpd.Version(gobgpdBinary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

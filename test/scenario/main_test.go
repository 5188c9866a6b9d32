// Package scenario holds the end-to-end tests: real agents of the real binary
// in networks of namespaces, with tshark and our own checks as judges.
package scenario

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"longwire/test/lab"
	"longwire/test/peer/gobgpd"
)

// The programs under test, built once for all tests; gobgpd only where it is
// part of a test.
var longwire, reflector, gobgpdBinary string

// reflectors are the kinds of route reflector between the PEs: the first one
// everywhere, and the last one as the second where a test wants two.
var reflectors = flag.String("reflector", "rr", "route reflectors: rr, gobgpd, frr, or two of them as in frr,gobgpd")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "longwire-scenario-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for pkg, path := range map[string]*string{"longwire/cmd/longwire": &longwire, "longwire/test/peer/rr": &reflector} {
		if *path, err = lab.Build(dir, pkg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if *bgpMode == "gobgpd" || slices.Contains(reflectorKinds(), "gobgpd") {
		if gobgpdBinary, err = gobgpd.Build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

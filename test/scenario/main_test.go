// Package scenario holds the end-to-end tests: real agents of the real binary
// in networks of namespaces, with tshark and our own checks as judges.
package scenario

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"longwire/test/lab"
	"longwire/test/peer/gobgpd"
)

// The programs under test, built once for all tests.
var longwire, reflector, gobgpdBinary string

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
	if *bgpMode == "gobgpd" {
		if gobgpdBinary, err = gobgpd.Build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

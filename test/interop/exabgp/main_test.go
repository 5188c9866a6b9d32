// Package interop holds our agent against ExaBGP and tshark: routes that a hand
// has made, right and wrong, sessions that cannot work, and what both read in
// what we send.
package interop

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"longwire/test/lab"
	"longwire/test/peer/exabgp"
)

// longwire is the program under test, built once for all tests; column names
// the ExaBGP that is installed.
var longwire, column string

func TestMain(m *testing.M) {
	flag.Parse()
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
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Package l2tp joins Longwire and the L2TPv3 of real Linux kernels, which run in
// virtual machines.
package l2tp

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"longwire/test/lab"
)

// The programs of the tests, built once, without a C library for the guest.
var longwire, mapSession, peer string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "longwire-l2tp-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv("CGO_ENABLED", "0")
	}
	for pkg, path := range map[string]*string{
		"longwire/cmd/longwire": &longwire, "longwire/cmd/map_session": &mapSession, "longwire/test/vm/l2tp/peer": &peer,
	} {
		if err == nil {
			*path, err = lab.Build(dir, pkg)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

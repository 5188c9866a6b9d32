// Package clab deploys the topologies of test/clab with the real containerlab and
// Docker, as a user would, and breaks them. Each test has an engine of its own, in
// namespaces and a directory of its own.
package clab

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// containerlab is the program, built once for all tests.
var containerlab tool

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if containerlab, err = buildContainerlab(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("containerlab %s: %s\n", containerlab.version, containerlab.how)
	return m.Run()
}

// Command longwire joins Ethernet ports across an IP network: L2TPv3
// pseudowires, signalled by BGP EVPN or configured, forwarded by eBPF.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it was tried and failed
	exitUsage   = 2 // command line or configuration are wrong; nothing was tried
	// exitDegraded is of doctor alone: it works, and could do better.
	exitDegraded = 3
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "longwire:", err)
	var wrong config.Errors
	var refused *api.InvalidConfig
	var host unwell
	switch {
	case errors.As(err, &host):
		return host.code
	case errors.As(err, &wrong) || errors.As(err, &refused):
		return exitUsage
	case !started:
		fmt.Fprintln(stderr, "longwire: see longwire help")
		return exitUsage
	}
	return exitFailure
}

package main

import (
	"github.com/spf13/cobra"

	"longwire/evpn/worker"
)

// workerCommand is the child process that the agent starts; nobody else does.
func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "bgp-worker",
		Short:              "The BGP process of the agent",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE:               func(cmd *cobra.Command, args []string) error { return worker.Main(cmd.Context(), args) },
	}
}

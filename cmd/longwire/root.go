package main

import (
	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/config"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "longwire",
		Short:         "Ethernet pseudowires over IP: L2TPv3 by eBPF, signalled by BGP EVPN",
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(agentCommand(), workerCommand(), configCommand(), showCommand(), doctorCommand(), reloadCommand(), rotateCookieCommand(), uninstallCommand(), versionCommand())
	return root
}

// fileFlag is the configuration file of a verb.
func fileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", config.DefaultFile, "configuration file")
}

// socketFlag is the control socket of a verb that asks the agent.
func socketFlag(cmd *cobra.Command) *string {
	return cmd.PersistentFlags().String("socket", config.DefaultSocket, "control socket of the agent")
}

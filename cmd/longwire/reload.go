package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/api"
)

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let the agent apply its configuration file, wholly or not at all",
		Args:  cobra.NoArgs,
	}
	socket := socketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := api.NewClient(*socket).Reload(cmd.Context()); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "reloaded")
		return nil
	}
	return cmd
}

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/agent"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane/link"
	"longwire/dataplane/tc"
)

func uninstallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "uninstall [-c FILE]",
		Short: "End all forwarding and leave nothing behind; only while no agent runs",
		Args:  cobra.NoArgs,
	}
	file := fileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		state, err := stateOf(*file, cmd.Flags().Changed("config"))
		if err != nil {
			return err
		}
		if err := agent.Uninstall(state, tc.Uninstall, link.SetPromiscuous); err != nil {
			return fmt.Errorf("uninstall: %w", err)
		}
		fmt.Fprintln(cmd.OutOrStdout(), "uninstalled")
		return nil
	}
	return cmd
}

// stateOf returns the paths of a configuration, or the default ones when there
// is no file and none was asked for.
func stateOf(file string, asked bool) (config.State, error) {
	if _, err := os.Stat(file); !asked && errors.Is(err, os.ErrNotExist) {
		return config.DefaultState(), nil
	}
	cfg, err := config.Load(file)
	if err != nil {
		return config.State{}, err
	}
	return cfg.State, nil
}

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/api"
)

func rotateCookieCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-cookie NAME... | --all",
		Short: "Give signalled pseudowires new cookies without losing a frame",
		Long: `Give signalled pseudowires new cookies without losing a frame.

The agent accepts the new cookie besides the previous one, announces the new one,
and retires the previous one when nothing has come with it for a minute. Until
then show pseudowires says so, and there is no second change. Either all of the
named pseudowires get a new cookie or none.`,
	}
	socket := socketFlag(cmd)
	all := cmd.Flags().Bool("all", false, "every signalled pseudowire that has a cookie")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if *all == (len(args) > 0) {
			return errors.New("name pseudowires, or give --all")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := api.NewClient(*socket).RotateCookies(cmd.Context(), args, *all)
		for _, name := range names {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: new cookie\n", name)
		}
		return err
	}
	return cmd
}

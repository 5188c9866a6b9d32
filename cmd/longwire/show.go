package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/plan"
	"longwire/cmd/longwire/internal/render"
)

// output is what the flags of show say.
type output struct {
	socket *string
	format *string
}

func showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the state of the agent",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o := output{socket: socketFlag(cmd), format: cmd.PersistentFlags().StringP("output", "o", "table", "table or json")}
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if *o.format != "table" && *o.format != "json" {
			return fmt.Errorf("-o %q: choose table or json", *o.format)
		}
		cmd.Root().PersistentPreRun(cmd, nil)
		return nil
	}
	pseudowires := show(o, "pseudowires", "Pseudowires: state, reason, far end", (*api.Client).Pseudowires, render.Pseudowires)
	pseudowires.Aliases = []string{"pw"}
	pseudowires.Long = "Show the state of every pseudowire.\n\n" + reasons()
	cmd.AddCommand(
		pseudowires,
		showSessionsCommand(o),
		show(o, "neighbors", "BGP sessions", (*api.Client).Neighbors, render.Neighbors),
		show(o, "routes", "Received EVPN routes and what becomes of them", (*api.Client).Routes, render.Routes),
		show(o, "counters", "Packets, bytes and drops by reason", (*api.Client).Counters, func(w io.Writer, c []api.Counters, _ time.Time) error {
			return render.Counters(w, c)
		}),
		show(o, "agent", "The agent itself and its problems", (*api.Client).Agent, render.Agent),
	)
	return cmd
}

// show makes a verb that asks the agent one question and prints the answer.
func show[T any](o output, name, short string, ask func(*api.Client, context.Context) (T, error), table func(io.Writer, T, time.Time) error) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := ask(api.NewClient(*o.socket), cmd.Context())
			if err != nil {
				return err
			}
			if *o.format == "json" {
				return render.JSON(cmd.OutOrStdout(), answer)
			}
			return table(cmd.OutOrStdout(), answer, time.Now())
		},
	}
}

func showSessionsCommand(o output) *cobra.Command {
	var cookies bool
	ask := func(c *api.Client, ctx context.Context) ([]api.Session, error) { return c.Sessions(ctx, cookies) }
	table := func(w io.Writer, s []api.Session, _ time.Time) error { return render.Sessions(w, s) }
	cmd := show(o, "sessions", "Session maps of the kernel", ask, table)
	cmd.Flags().BoolVar(&cookies, "cookies", false, "show the cookies, which are secrets")
	return cmd
}

// reasons is the manual of the column REASON.
func reasons() string {
	var b strings.Builder
	fmt.Fprintln(&b, "Reasons:")
	for _, m := range plan.Meanings() {
		fmt.Fprintf(&b, "  %-23s %-8s %s\n", m.Reason, m.State, m.Text)
	}
	return b.String()
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
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
	cmd.AddCommand(
		showPseudowiresCommand(o),
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

func showPseudowiresCommand(o output) *cobra.Command {
	var names []string
	ask := func(c *api.Client, ctx context.Context) ([]api.Pseudowire, error) {
		all, err := c.Pseudowires(ctx)
		if err != nil || len(names) == 0 {
			return all, err
		}
		return named(all, names)
	}
	table := func(w io.Writer, all []api.Pseudowire, now time.Time) error {
		if len(names) == 0 {
			return render.Pseudowires(w, all, now)
		}
		for i, p := range all {
			if i > 0 {
				fmt.Fprintln(w)
			}
			if err := render.Pseudowire(w, p, now); err != nil {
				return err
			}
		}
		return nil
	}
	cmd := show(o, "pseudowires [NAME...]", "Pseudowires: state, reason, far end", ask, table)
	cmd.Aliases = []string{"pw"}
	cmd.Long = "Show the state of every pseudowire, or all about the named ones.\n\n" + reasons()
	cmd.Args = func(_ *cobra.Command, args []string) error {
		names = args
		return nil
	}
	return cmd
}

// named picks pseudowires by name, in the order of the names.
func named(all []api.Pseudowire, names []string) ([]api.Pseudowire, error) {
	var picked []api.Pseudowire
	for _, name := range names {
		i := slices.IndexFunc(all, func(p api.Pseudowire) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no pseudowire %s", name)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
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

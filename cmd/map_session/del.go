package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

func delCommand(pins *string) *cobra.Command {
	var (
		id, circuit string
		all         bool
	)
	cmd := &cobra.Command{
		Use:   "del -i ID | -E INTERFACE | --all",
		Short: "Delete a session, or everything that was ever made",
		Long: `Delete a session. The programs leave an interface with its last session; maps and
helper interfaces stay for the next one. With --all they go as well, and nothing
is left in the kernel.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVarP(&id, "session", "i", "", "our session id")
	cmd.Flags().StringVarP(&circuit, "circuit", "E", "", "interface, by name or index, that a session's frames come from")
	cmd.Flags().BoolVar(&all, "all", false, "delete all sessions, programs, maps and helper interfaces")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		chosen := 0
		for _, flag := range []string{"session", "circuit", "all"} {
			if cmd.Flags().Changed(flag) {
				chosen++
			}
		}
		if chosen != 1 {
			return usagef("choose one of -i, -E and --all")
		}
		if all {
			if err := removeAll(*pins, thisHost); err != nil {
				return fmt.Errorf("delete everything: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "deleted everything")
			return nil
		}
		what, match, err := choose(id, circuit)
		if err != nil {
			return err
		}
		if !exists(*pins) {
			return fmt.Errorf("there is no %s", what)
		}
		if err := change(*pins, func(e editor) error { return e.del(what, match) }); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "deleted", what)
		return nil
	}
	return cmd
}

// choose returns which session the flags mean. A circuit that is named by its
// index may be gone.
func choose(id, circuit string) (what string, match func(entry) bool, err error) {
	if circuit == "" {
		session, err := parseID("-i", id)
		return fmt.Sprintf("session %d", session), func(o entry) bool { return o.receive != nil && o.receive.Session == session }, err
	}
	index, err := strconv.Atoi(circuit)
	if err != nil {
		iface, err := findInterface(circuit)
		if err != nil {
			return "", nil, err
		}
		index = iface.Index
	}
	return "session on " + circuit, func(o entry) bool { return o.circuit == index }, nil
}

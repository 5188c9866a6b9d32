package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/agent"
)

func agentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent -c FILE",
		Short: "Run the agent until SIGTERM; what it forwards goes on without it",
		Long: `Run the agent in the foreground, for example under systemd.

SIGHUP reloads the configuration file, wholly or not at all. SIGTERM ends the
agent and leaves everything forwarding; longwire uninstall takes it away.`,
		Args: cobra.NoArgs,
	}
	file := fileFlag(cmd)
	var level slog.Level
	cmd.Flags().TextVar(&level, "log", slog.LevelInfo, "least level that is logged: debug, info, warn or error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
		return agent.Main(cmd.Context(), *file, version(), log)
	}
	return cmd
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"longwire/cmd/longwire/internal/agent"
	"longwire/cmd/longwire/internal/doctor"
	"longwire/cmd/longwire/internal/render"
	"longwire/dataplane/selftest"
)

// unwell is the error of a host on which something is not as it could be.
type unwell struct {
	code int
	text string
}

func (u unwell) Error() string { return u.text }

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [-c FILE]",
		Short: "Check the host and its kernel for an agent",
		Long: `Check everything that an agent on this host needs: configuration, capabilities,
ports, the underlay's MTU, and by a self-test in private namespaces whether the
kernel does with packets what the programs assume. It changes nothing and runs
beside an agent.

Exit status: 0 all is well, 3 something is degraded or could not be checked,
1 something is wrong that an agent cannot do without.`,
		Args: cobra.NoArgs,
	}
	file := fileFlag(cmd)
	format := cmd.Flags().StringP("output", "o", "table", "table or json")
	remember := cmd.Flags().Bool("remember", false, "let the next agent have the outcome of the self-test: as root, for one that runs without CAP_SYS_ADMIN")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *format != "table" && *format != "json" {
			return unwell{exitUsage, fmt.Sprintf("-o %q: choose table or json", *format)}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := doctor.Options{File: *file, Asked: cmd.Flags().Changed("config")}
		if *format == "table" {
			o.Progress = func(c selftest.Check) { fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", c.Name, c.Result) }
		}
		report := doctor.Run(cmd.Context(), o)
		if err := printReport(cmd, *format, report); err != nil {
			return err
		}
		if *remember {
			if err := agent.RememberSelfTest(report.Config, report.Kernel); err != nil {
				return err
			}
		}
		return verdict(report)
	}
	return cmd
}

func printReport(cmd *cobra.Command, format string, report doctor.Report) error {
	if format == "json" {
		return render.JSON(cmd.OutOrStdout(), report)
	}
	return render.Doctor(cmd.OutOrStdout(), report.Checks)
}

// verdict is nil when all is well.
func verdict(report doctor.Report) error {
	n := map[selftest.Result]int{}
	for _, c := range report.Checks {
		n[c.Result]++
	}
	switch report.Result {
	case selftest.OK:
		return nil
	case selftest.Failed:
		return unwell{exitFailure, fmt.Sprintf("%d of %d checks failed", n[selftest.Failed], len(report.Checks))}
	default:
		return unwell{exitDegraded, fmt.Sprintf("%d of %d checks degraded, %d not made", n[selftest.Degraded], len(report.Checks), n[selftest.Skipped])}
	}
}

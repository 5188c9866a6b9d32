package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/bpf"
	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane/maps"
	"longwire/dataplane/selftest"
	"longwire/dataplane/tc"
)

// selfTestFile is where the agent remembers in which modes the self-test was
// passed, so that a restart need not wait for it.
const selfTestFile = "selftest.json"

// passed is a self-test that found a mode for everything, and what it is good for.
type passed struct {
	Conditions conditions      `json:"conditions"`
	Report     selftest.Report `json:"report"`
}

// conditions are what the outcome of a self-test depends on.
type conditions struct {
	Kernel   string  `json:"kernel"`   // release and build
	Boot     string  `json:"boot"`     // the kernel's id of this boot
	Programs string  `json:"programs"` // digest
	Attach   tc.Mode `json:"attach"`   // as configured
	Admin    bool    `json:"admin"`    // CAP_SYS_ADMIN, without which it is not complete
}

// selfTester makes the self-test before the first session is programmed.
type selfTester struct {
	file       string
	pins       string
	conditions conditions
	run        func(context.Context, selftest.Options) selftest.Report
	log        *slog.Logger
}

func newSelfTester(cfg *config.Config, log *slog.Logger) (selfTester, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return selfTester{}, fmt.Errorf("read the kernel's release: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return selfTester{}, fmt.Errorf("read the id of this boot: %w", err)
	}
	admin, err := cap.GetProc().GetFlag(cap.Effective, cap.SYS_ADMIN)
	if err != nil {
		return selfTester{}, fmt.Errorf("read the capabilities: %w", err)
	}
	return selfTester{
		file: filepath.Join(cfg.State.Runtime, selfTestFile), pins: cfg.State.Pins,
		conditions: conditions{
			Kernel: unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Version[:]), Boot: strings.TrimSpace(string(boot)),
			Programs: bpf.Digest(), Attach: tc.Mode(cfg.Dataplane.Attach), Admin: admin,
		},
		run: selftest.Run, log: log,
	}, nil
}

// RememberSelfTest keeps an outcome for the next agent with this configuration. It is
// for agents that may not make all of the self-test themselves.
func RememberSelfTest(cfg *config.Config, report selftest.Report) error {
	s, err := newSelfTester(cfg, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.State.Runtime, 0o750); err != nil {
		return fmt.Errorf("make the runtime directory: %w", err)
	}
	return s.remember(report)
}

// test returns the outcome of the self-test, which it makes unless one is remembered that
// is still good. The error names the
// features that are wrong and for which there is no safe mode.
func (s selfTester) test(ctx context.Context) (selftest.Report, error) {
	report, known := s.remembered()
	if !known {
		report = s.run(ctx, selftest.Options{Modes: selftest.Modes{Attach: s.conditions.Attach}})
	}
	s.tell(report)
	if err := report.Err(); err != nil {
		return report, fmt.Errorf("this kernel does not do what the programs need, nothing is programmed: %w", err)
	}
	if known || ctx.Err() != nil {
		return report, ctx.Err()
	}
	return report, s.remember(report)
}

// remembered returns an outcome that is still good.
func (s selfTester) remembered() (selftest.Report, bool) {
	data, err := os.ReadFile(s.file)
	if err != nil {
		return selftest.Report{}, false
	}
	var p passed
	if json.Unmarshal(data, &p) != nil || !s.good(p) || p.Report.Err() != nil {
		return selftest.Report{}, false
	}
	return p.Report, true
}

// good says whether an outcome holds for this start. Maps that are made freshly begin
// with a test, unless somebody with more capabilities has made it, and all of it.
func (s selfTester) good(p passed) bool {
	theirs, ours := p.Conditions, s.conditions
	if theirs.Admin && !ours.Admin && p.Report.Complete() {
		theirs.Admin = false
		return theirs == ours
	}
	return theirs == ours && maps.Pinned(s.pins)
}

// remember writes the outcome aside and renames the file into place.
func (s selfTester) remember(report selftest.Report) error {
	data, err := json.MarshalIndent(passed{s.conditions, report}, "", "  ")
	if err != nil {
		return fmt.Errorf("remember the self-test: %w", err)
	}
	aside := s.file + ".new"
	if err := os.WriteFile(aside, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("remember the self-test: %w", err)
	}
	if err := os.Rename(aside, s.file); err != nil {
		return fmt.Errorf("remember the self-test: %w", err)
	}
	return nil
}

// tell logs what is not as it could be.
func (s selfTester) tell(report selftest.Report) {
	var skipped []string
	var why string
	for _, c := range report.Checks {
		switch c.Result {
		case selftest.Degraded:
			s.log.Warn("self-test: a feature of the kernel is not used", "check", c.Name, "mode", c.Mode, "cause", c.Detail)
		case selftest.Skipped:
			skipped, why = append(skipped, c.Name), c.Detail
		case selftest.OK, selftest.Failed: // a failure ends the start, with its cause
		}
	}
	if len(skipped) > 0 {
		s.log.Warn("self-test: some checks were not made; the modes follow from the others", "checks", skipped, "cause", why)
	}
}

// showSelfTest is the outcome of the self-test for the control interface.
func showSelfTest(report selftest.Report) []api.Check {
	var list []api.Check
	for _, c := range report.Checks {
		list = append(list, api.Check{Name: c.Name, Result: string(c.Result), Mode: string(c.Mode), Detail: c.Detail})
	}
	return list
}

// openPlane makes the self-test, if it is to be made, and opens the data plane in the
// modes that it chose.
func openPlane(ctx context.Context, cfg *config.Config, log *slog.Logger) (*tc.Plane, []api.Check, error) {
	tester, err := newSelfTester(cfg, log)
	if err != nil {
		return nil, nil, err
	}
	report, err := tester.test(ctx)
	if err != nil {
		return nil, nil, err
	}
	o := tc.Options{PinDir: cfg.State.Pins, Capacity: cfg.Dataplane.Capacity, Mode: tc.Mode(cfg.Dataplane.Attach), Log: log}
	report.Modes.Apply(&o)
	plane, err := tc.Open(o)
	if err != nil {
		return nil, nil, fmt.Errorf("open the data plane: %w", err)
	}
	return plane, showSelfTest(report), nil
}

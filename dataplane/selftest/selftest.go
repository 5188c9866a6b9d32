// Package selftest proves that the running kernel does with packets what the
// programs assume: with BPF_PROG_TEST_RUN, and with frames that cross a private
// network of namespaces. Where a feature is absent or wrong it finds the safe
// mode in which traffic is right without it.
//
// It touches no interface of the host, and leaves nothing behind however it ends:
// its namespaces have no names, and end with the thread that made them.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"longwire/dataplane/maps"
	"longwire/dataplane/tc"
)

// Result is the outcome of a check.
type Result string

// The results.
const (
	OK       Result = "ok"
	Degraded Result = "degraded" // the feature is absent or wrong, and the safe mode is right
	Failed   Result = "failed"   // it is wrong, and nothing helps
	Skipped  Result = "skipped"  // it could not be looked at
)

// Check is one assumption and what became of it.
type Check struct {
	Name   string        `json:"name"`
	Proves string        `json:"proves"`
	Result Result        `json:"result"`
	Mode   Mode          `json:"mode,omitempty"`   // chosen instead of the feature
	Detail string        `json:"detail,omitempty"` // for people
	Took   time.Duration `json:"took_ns"`
}

// Report is the outcome of a run, in the order of the checks.
type Report struct {
	Checks []Check `json:"checks"`
	Modes  Modes   `json:"modes"` // in which every check that is not failed was passed
}

// Err returns an error that names the features that are wrong and for which
// there is no safe mode, nil when there are none.
func (r Report) Err() error {
	var errs []error
	for _, c := range r.Checks {
		if c.Result == Failed {
			errs = append(errs, fmt.Errorf("%s: %s", c.Name, c.Detail))
		}
	}
	return errors.Join(errs...)
}

// Complete says whether every check was made.
func (r Report) Complete() bool {
	for _, c := range r.Checks {
		if c.Result == Skipped {
			return false
		}
	}
	return true
}

// Options are what Run needs to know.
type Options struct {
	// Modes are in force from the start: how programs are to be attached, and
	// which features are not to be used at all.
	Modes Modes
	// Progress, if there is one, is told of each check when it is done. After a
	// change of mode checks are made again, and told again.
	Progress func(Check)

	faults faults
}

// faults make the kernel or the programs wrong on purpose. They are for the tests
// of this package.
type faults struct {
	patience time.Duration
	private  error                            // namespaces cannot be made
	tcx      error                            // there is no TCX
	absent   maps.Safe                        // features that the kernel does not have
	adjust   func(*ebpf.CollectionSpec) error // of the programs
	vlans    asm.Instructions                 // in place of the probe for tags
	helper   [2]string                        // interfaces in place of the helper pair
	world    func(*world) error               // called when the programs are attached
}

// defaultPatience is how long a frame may take through the private network. It is only
// waited for when frames are lost.
const defaultPatience = time.Second

// Run makes all checks. It needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; without
// CAP_SYS_ADMIN the checks in private namespaces are skipped.
func Run(ctx context.Context, o Options) Report {
	if o.faults.patience == 0 {
		o.faults.patience = defaultPatience
	}
	var report Report
	here := func(cause error) {
		r := newRunner(ctx, o)
		r.noWorld = cause
		report = r.all()
	}
	err := o.faults.private
	if err == nil {
		err = privately(func(p *private) error {
			w, err := newWorld(p, o.faults.patience)
			if w != nil {
				defer w.close()
			}
			if err != nil {
				return err
			}
			r := newRunner(ctx, o)
			r.world = w
			report = r.all()
			return nil
		})
	}
	if err != nil {
		here(err)
	}
	return report
}

// wrong is an error that says what the kernel does, in place of what it should.
type wrong struct{ error }

func wrongf(format string, args ...any) error { return wrong{fmt.Errorf(format, args...)} }

// runner makes the checks of one run.
type runner struct {
	ctx     context.Context
	o       Options
	modes   Modes
	world   *world
	noWorld error      // why there is no world
	bare    *maps.Maps // the programs, where there is no world
	results map[string]Check
}

func newRunner(ctx context.Context, o Options) *runner {
	r := &runner{ctx: ctx, o: o, modes: o.Modes, results: map[string]Check{}}
	for _, m := range r.modes.safe() {
		c := m.check()
		r.results[c.name] = Check{Result: Degraded, Mode: m, Detail: "not to be used"}
	}
	return r
}

// all makes the checks in order. A change of mode begins them anew: all of them
// have to hold in the modes that are left.
func (r *runner) all() Report {
	defer r.close()
	for i := 0; i < len(checks); i++ {
		if r.check(checks[i]) {
			i = -1
		}
	}
	report := Report{Modes: r.modes}
	for _, c := range checks {
		report.Checks = append(report.Checks, r.results[c.name])
	}
	return report
}

// check makes one check, and tells whether it has changed the mode.
func (r *runner) check(c check) (changed bool) {
	began := time.Now()
	outcome := Check{Name: c.name, Proves: c.proves, Result: OK}
	if before := r.results[c.name]; before.Result == Degraded {
		outcome.Result, outcome.Mode, outcome.Detail = Degraded, before.Mode, before.Detail
	}
	err := r.twice(c)
	var is wrong
	switch {
	case err == nil:
	case !errors.As(err, &is):
		outcome.Result, outcome.Mode, outcome.Detail = Skipped, "", words(err)
	case c.mode != "" && r.modes.enable(c.mode):
		changed = true
		outcome.Result, outcome.Mode, outcome.Detail = Degraded, c.mode, words(err)
	default:
		outcome.Result, outcome.Mode, outcome.Detail = Failed, "", words(err)
	}
	outcome.Took = time.Since(began)
	r.results[c.name] = outcome
	if r.o.Progress != nil && !changed {
		r.o.Progress(outcome)
	}
	return changed
}

// words are an error in one line.
func words(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// twice makes a check again when something is wrong: a busy machine loses frames
// too, but not for ever.
func (r *runner) twice(c check) error {
	var is wrong
	err := r.once(c)
	if errors.As(err, &is) && c.inWorld {
		err = r.once(c)
	}
	return err
}

func (r *runner) once(c check) error {
	switch {
	case r.ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", r.ctx.Err())
	case c.inWorld && r.world == nil:
		return fmt.Errorf("no private namespaces: %w", r.noWorld)
	case c.name != namePrograms && r.maps() == nil:
		return errors.New("there are no programs to run")
	}
	return c.run(r)
}

// maps are the loaded programs, nil when there are none.
func (r *runner) maps() *maps.Maps {
	if r.world == nil {
		return r.bare
	}
	if r.world.plane == nil {
		return nil
	}
	return r.world.plane.Maps
}

// open loads the programs in the modes that are in force.
func (r *runner) open() error {
	safe := r.modes.Safe
	if r.world == nil {
		if err := r.close(); err != nil {
			return err
		}
		var err error
		r.bare, err = maps.Open(maps.Options{Capacity: 64, Safe: safe, Adjust: r.o.faults.adjust})
		return err
	}
	mode := r.modes.Attach
	if mode != tc.ModeClsact && r.tcx() != nil {
		mode = tc.ModeClsact
	}
	return r.world.open(tc.Options{Mode: mode, Safe: safe, Adjust: r.o.faults.adjust, Log: slog.New(slog.DiscardHandler)})
}

// tcx returns why there is no TCX in the thread's namespace.
func (r *runner) tcx() error {
	if r.o.faults.tcx != nil {
		return r.o.faults.tcx
	}
	if r.world != nil {
		if err := enter(r.world.edge); err != nil {
			return err
		}
	}
	return tc.HaveTCX()
}

func (r *runner) close() error {
	if r.bare == nil {
		return nil
	}
	m := r.bare
	r.bare = nil
	return m.Close()
}

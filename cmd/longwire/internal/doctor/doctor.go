// Package doctor looks at everything that an agent on this host needs: its
// configuration, what it may do, what else uses the same ports, the underlay, and
// by the self-test the kernel. It changes nothing, and runs beside an agent.
package doctor

import (
	"context"
	"strings"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane/selftest"
	"longwire/dataplane/tc"
	"longwire/evpn/speaker"
)

// Report is what was found, the host first.
type Report struct {
	Result selftest.Result  `json:"result"` // ok, degraded or failed
	Checks []selftest.Check `json:"checks"`
	Modes  selftest.Modes   `json:"modes"` // that an agent would choose

	Config *config.Config  `json:"-"` // that was looked at
	Kernel selftest.Report `json:"-"` // the self-test's part
}

// Options are what Run needs to know.
type Options struct {
	File  string // the configuration
	Asked bool   // somebody has named it: it has to be there
	// Progress is told of each check when it is done.
	Progress func(selftest.Check)
}

// check is a look at the host.
type check struct {
	name, proves string
	run          func(*host) finding
}

// finding is the outcome of a check, with a note even if all is well.
type finding struct {
	result selftest.Result
	detail string
}

func ok(note ...string) finding { return finding{selftest.OK, strings.Join(note, "; ")} }

// degraded is ok when nothing is wrong.
func degraded(wrong []string, notes ...string) finding {
	if len(wrong) == 0 {
		return ok(notes...)
	}
	return finding{selftest.Degraded, strings.Join(wrong, "; ")}
}

func failed(why string) finding { return finding{selftest.Failed, why} }

var checks = []check{
	{"config", "the configuration can be read and is valid", (*host).config},
	{"capabilities", "this user may do what the agent does", (*host).capabilities},
	{"bpffs", "there is a bpf file system for the pins", (*host).bpffs},
	{"agent", "whether an agent runs", (*host).agent},
	{"bgp_port", "nobody else has the port for BGP", (*host).bgpPort},
	{"tunnel_ports", "nobody else has the ports of the pseudowires", (*host).tunnelPorts},
	{"circuits", "the interfaces of the pseudowires are there", (*host).circuits},
	{"underlay_mtu", "the underlay carries the largest frame of each pseudowire", (*host).underlayMTU},
	{"rp_filter", "the kernel takes packets of far ends by any interface", (*host).rpFilter},
	{"xdp", "which interfaces have native XDP", (*host).xdp},
}

// Run makes all checks.
func Run(ctx context.Context, o Options) Report {
	return run(ctx, o, &host{proc: "/proc", file: o.File, asked: o.Asked, probe: speaker.Probe}, selftest.Run)
}

func run(ctx context.Context, o Options, h *host, test func(context.Context, selftest.Options) selftest.Report) Report {
	var report Report
	progress := func(c selftest.Check) {
		if o.Progress != nil {
			o.Progress(c)
		}
	}
	for _, c := range checks {
		began := time.Now()
		f := c.run(h)
		done := selftest.Check{Name: c.name, Proves: c.proves, Result: f.result, Detail: f.detail, Took: time.Since(began)}
		report.Checks = append(report.Checks, done)
		progress(done)
	}
	kernel := test(ctx, selftest.Options{Modes: selftest.Modes{Attach: tc.Mode(h.cfg.Dataplane.Attach)}, Progress: progress})
	report.Checks, report.Modes = append(report.Checks, kernel.Checks...), kernel.Modes
	report.Config, report.Kernel = h.cfg, kernel
	report.Result = worst(report.Checks)
	return report
}

// worst is the result of all checks together. What could not be looked at is not
// known to be right.
func worst(checks []selftest.Check) selftest.Result {
	result := selftest.OK
	for _, c := range checks {
		switch c.Result {
		case selftest.Failed:
			return selftest.Failed
		case selftest.Degraded, selftest.Skipped:
			result = selftest.Degraded
		case selftest.OK:
		}
	}
	return result
}

// host is what the checks look at.
type host struct {
	proc  string // where the proc file system is
	file  string
	asked bool
	cfg   *config.Config // after the first check; the defaults when there is none
	// probe asks an operator's gobgpd whether it can be used.
	probe func(context.Context, speaker.Config) error
}

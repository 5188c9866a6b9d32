package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/bpf"
	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane/maps"
	"longwire/dataplane/selftest"
	"longwire/dataplane/tc"
)

// The outcomes of a self-test.
var (
	fine     = selftest.Report{Checks: []selftest.Check{{Name: "programs", Result: selftest.OK}}}
	degraded = selftest.Report{
		Checks: []selftest.Check{
			{Name: "programs", Result: selftest.OK},
			{Name: "super_frames", Result: selftest.Degraded, Mode: selftest.ModeCutFirst, Detail: "cut wrongly"},
			{Name: "pins", Result: selftest.Skipped, Detail: "no private namespaces"},
		},
		Modes: selftest.Modes{Safe: maps.Safe{CutFirst: true}, Attach: tc.ModeClsact},
	}
	broken = selftest.Report{Checks: []selftest.Check{
		{Name: "frames", Result: selftest.Failed, Detail: "byte 15 is wrong"}, {Name: "pins", Result: selftest.OK},
	}}
)

// testerScene is a self-test that is only told, of an agent that has sessions pinned.
type testerScene struct {
	selfTester
	runs   int
	modes  selftest.Modes // that the last run was told
	answer selftest.Report
	logged strings.Builder
}

func newTesterScene(t *testing.T) *testerScene {
	t.Helper()
	dir := t.TempDir()
	s := &testerScene{answer: degraded}
	s.selfTester = selfTester{
		file: filepath.Join(dir, selfTestFile), pins: filepath.Join(dir, "pins"),
		conditions: conditions{Kernel: "6.1.0 #1", Boot: "1", Programs: "abc", Attach: tc.ModeAuto, Admin: true},
		log:        slog.New(slog.NewTextHandler(&s.logged, nil)),
		run: func(_ context.Context, o selftest.Options) selftest.Report {
			s.runs, s.modes = s.runs+1, o.Modes
			return s.answer
		},
	}
	s.pin(t)
	return s
}

// pin makes what shows that maps are pinned.
func (s *testerScene) pin(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(s.pins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.pins, bpf.LongwireMapSettings), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start makes the test of an agent's start and returns whether it was made at all.
func (s *testerScene) start(t *testing.T) bool {
	t.Helper()
	before := s.runs
	report, err := s.test(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s.answer, report); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	return s.runs > before
}

// TestWhenToTest restarts an agent under conditions that are the same, or not.
func TestWhenToTest(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*testerScene)
		again  bool
	}{
		"a restart":             {func(*testerScene) {}, false},
		"another kernel":        {func(s *testerScene) { s.conditions.Kernel = "6.1.0 #2" }, true},
		"another boot":          {func(s *testerScene) { s.conditions.Boot = "2" }, true},
		"other programs":        {func(s *testerScene) { s.conditions.Programs = "def" }, true},
		"attached otherwise":    {func(s *testerScene) { s.conditions.Attach = tc.ModeClsact }, true},
		"fewer capabilities":    {func(s *testerScene) { s.conditions.Admin = false }, true},
		"uninstalled meanwhile": {func(s *testerScene) { os.RemoveAll(s.pins) }, true},
		"nothing remembered":    {func(s *testerScene) { os.Remove(s.file) }, true},
		"half a file":           {func(s *testerScene) { os.Truncate(s.file, 20) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTesterScene(t)
			if !s.start(t) {
				t.Error("the first start makes no test")
			}
			tt.change(s)
			if again := s.start(t); again != tt.again {
				t.Errorf("made again: %v", again)
			}
			s.pin(t)
			if s.start(t) {
				t.Error("the third start makes a test")
			}
			if s.modes != (selftest.Modes{Attach: s.conditions.Attach}) {
				t.Errorf("begun in modes %+v", s.modes)
			}
		})
	}
}

// An outcome of somebody with more capabilities is as good as a complete test of our
// own, also for fresh maps; one with fewer is none.
func TestOthersSelfTest(t *testing.T) {
	for _, tt := range []struct{ theirs, ours, pinned, again bool }{
		{theirs: true, ours: false, pinned: false, again: false},
		{theirs: true, ours: false, pinned: true, again: false},
		{theirs: true, ours: true, pinned: false, again: true},
		{theirs: true, ours: true, pinned: true, again: false},
		{theirs: false, ours: true, pinned: true, again: true},
		{theirs: false, ours: false, pinned: false, again: true},
	} {
		s := newTesterScene(t)
		s.answer, s.conditions.Admin = fine, tt.theirs
		if err := s.remember(s.answer); err != nil {
			t.Fatal(err)
		}
		if !tt.pinned {
			os.RemoveAll(s.pins)
		}
		s.conditions.Admin = tt.ours
		if again := s.start(t); again != tt.again {
			t.Errorf("%+v: made again %v", tt, again)
		}
	}
}

// A feature that is wrong without a safe mode ends the start and is looked at again
// the next time.
func TestSelfTestFails(t *testing.T) {
	s := newTesterScene(t)
	s.answer = broken
	for range 2 {
		before := s.runs
		if _, err := s.test(t.Context()); err == nil || !strings.Contains(err.Error(), "frames: byte 15 is wrong") || strings.Contains(err.Error(), "pins") {
			t.Errorf("error %v", err)
		}
		if s.runs != before+1 {
			t.Error("no test was made")
		}
	}
	s.answer = fine
	if !s.start(t) {
		t.Error("no test was made when it was right again")
	}
}

// An interrupted test is no outcome.
func TestSelfTestInterrupted(t *testing.T) {
	s := newTesterScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.test(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, known := s.remembered(); known {
		t.Error("it is remembered")
	}
}

// Each feature that is not used has a line, and all that was not looked at together
// has one, at every start.
func TestSelfTestLog(t *testing.T) {
	s := newTesterScene(t)
	for range 2 {
		s.logged.Reset()
		s.start(t)
		lines := strings.Split(strings.TrimSpace(s.logged.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "check=super_frames mode=cut_first") || !strings.Contains(lines[1], "checks=[pins]") {
			t.Errorf("logged:\n%s", s.logged.String())
		}
	}
	s = newTesterScene(t)
	s.answer = fine
	if s.start(t); s.logged.Len() != 0 {
		t.Errorf("logged:\n%s", s.logged.String())
	}
}

func TestShowSelfTest(t *testing.T) {
	want := []api.Check{
		{Name: "programs", Result: "ok"}, {Name: "super_frames", Result: "degraded", Mode: "cut_first", Detail: "cut wrongly"},
		{Name: "pins", Result: "skipped", Detail: "no private namespaces"},
	}
	if d := cmp.Diff(want, showSelfTest(degraded)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRememberSelfTest(t *testing.T) {
	cfg := &config.Config{State: config.State{Runtime: filepath.Join(t.TempDir(), "run"), Pins: "/pins"}}
	if err := RememberSelfTest(cfg, fine); err != nil {
		t.Fatal(err)
	}
	s, err := newSelfTester(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.conditions.Admin = false
	got, known := s.remembered()
	if root := os.Geteuid() == 0; known != root || known && cmp.Diff(fine, got) != "" {
		t.Errorf("%v, %+v", known, got)
	}
}

func TestNewSelfTester(t *testing.T) {
	cfg := &config.Config{State: config.State{Runtime: "/run/x", Pins: "/pins"}, Dataplane: config.Dataplane{Attach: "clsact"}}
	s, err := newSelfTester(cfg, nil)
	c := s.conditions
	if err != nil || s.file != "/run/x/selftest.json" || s.pins != "/pins" || c.Attach != tc.ModeClsact || c.Programs != bpf.Digest() || !strings.Contains(c.Kernel, "#") || len(c.Boot) != 36 {
		t.Errorf("%+v, %v", s, err)
	}
}

package programs

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/vm"
)

// table is the one of the matrix that the tests write to.
const table = "Our programs on Debian's kernels"

// patience is how long one row may take on a machine with much else to do.
const patience = 15 * time.Minute

// row is one package of tests, or some tests of one.
type row struct {
	name, pkg string
	tests     string // a regular expression of whole names
	// newer are the tests on Linux 6.12, where they cost more, with TCX besides
	// clsact, and differ less from those of the host; "" for the same ones.
	newer string
	// lacking61 are the features that Linux 6.1 has not, each with all tests that
	// have to find a way around it. Later kernels lack nothing.
	lacking61 map[string][]string
}

var rows = []row{
	{name: "verifier", pkg: "longwire/dataplane/maps", tests: "TestVerifierWithProductionCapabilities|TestWithoutBTF|TestSessionFilter.*|TestLayout",
		lacking61: map[string][]string{"kernel_context": {"TestWithoutBTF"}}},
	{name: "attachment", pkg: "longwire/dataplane/tc", tests: "TestModeChange|TestReopen|TestRepair|TestUninstall|TestXDPAsked|TestFeaturesOfNobody",
		newer: "TestModeChange|TestUninstall|TestXDPAsked|TestFeaturesOfNobody",
		lacking61: map[string][]string{
			"attach": {"TestModeChange", "TestReopen", "TestRepair", "TestUninstall"},
			"xdp":    {"TestFeaturesOfNobody", "TestXDPAsked"},
		}},
	{name: "map_session", pkg: "longwire/cmd/map_session", tests: "TestUpdate"},
	{name: "longwire doctor", pkg: "longwire/test/scenario", tests: "TestDoctorOnThisKernel",
		lacking61: map[string][]string{
			"attach": {"TestDoctorOnThisKernel"}, "decap_flags": {"TestDoctorOnThisKernel"}, "kernel_context": {"TestDoctorOnThisKernel"},
		}},
	{name: "end to end", pkg: "longwire/test/scenario", tests: "TestOnThisKernel",
		lacking61: map[string][]string{
			"attach": {"TestOnThisKernel"}, "decap_flags": {"TestOnThisKernel"}, "kernel_context": {"TestOnThisKernel"},
		}},
	{name: "packet table", pkg: "longwire/test/packet", tests: "Test.*",
		lacking61: map[string][]string{
			"decap_flags": {"TestDecapFormats", "TestDecapPadding", "TestKernelDecap"},
			"kernel_context": {
				"TestAnswer", "TestAnswerLeastMTU", "TestAnswerOnly", "TestAnswerRate", "TestAnswerTagged",
				"TestChecksumOfZero", "TestClampSent", "TestCombinations", "TestDecapVerdicts",
				"TestEncapFormats", "TestEncapTooBig", "TestEncapWithoutLease", "TestEntropy", "TestImposition",
				"TestKeepWhole", "TestKernelEncap", "TestL2CP", "TestSequenceKept", "TestSequenceSent",
				"TestTOSSent", "TestTOSSentEvery", "TestVLANCircuits", "TestXDPEncapFormats",
				"TestZeroChecksum", "TestZeroChecksumReceived",
			},
		}},
}

// TestPrograms runs the rows on each kernel. What a kernel lacks is found by the
// tests in it, and has to be what is known here: a test that does less than it
// did is noticed.
func TestPrograms(t *testing.T) {
	share := t.TempDir()
	if err := build(t, share); err != nil {
		t.Fatal(err)
	}
	for _, series := range []vm.Series{vm.Linux61, vm.Linux612} {
		t.Run(series.String(), func(t *testing.T) {
			t.Parallel() // a guest has one CPU
			kernel, err := vm.Fetch(t.Context(), series)
			if err != nil {
				t.Fatal(err)
			}
			guest := vm.Boot(t, lab.New(t), kernel, vm.Options{Share: share, Memory: 1536, Tools: []string{"mount", "umount", "unshare"}})
			for _, r := range rows {
				t.Run(r.name, func(t *testing.T) {
					matrix.Record(t, table, r.name, kernel.String())
					r.run(t, guest, share, series)
				})
			}
		})
	}
}

// run runs the tests of a row in a guest: all of them must be passed, none skipped.
func (r row) run(t *testing.T, guest *vm.Guest, share string, series vm.Series) {
	tests := r.tests
	if series == vm.Linux612 && r.newer != "" {
		tests = r.newer
	}
	pattern := "^(" + tests + ")$"
	began := time.Now()
	out, err := guest.Run(patience, fmt.Sprintf("cd /share/%s && %s=/share /share/%s -test.v -test.count=1 -test.timeout=%s -test.run='%s'",
		directory(r.pkg), lab.ProgramsVariable, binary(r.pkg), patience, pattern))
	got := parse(out)
	if errors.Is(err, vm.ErrHarness) {
		t.Fatal(err)
	} else if err != nil {
		t.Errorf("%s", got.report)
	}
	if want := r.list(t, share, pattern); !slices.Equal(got.passed, want) {
		t.Errorf("tests (-want +passed):\n%s", cmp.Diff(want, got.passed))
	}
	if len(got.skipped) > 0 {
		t.Errorf("skipped: %v", got.skipped)
	}
	for feature, tests := range got.lacking {
		t.Logf("%v lacks %s: %s", guest.Kernel, feature, strings.Join(tests, ", "))
	}
	want := map[string][]string{}
	if series == vm.Linux61 && r.lacking61 != nil {
		want = r.lacking61
	}
	if diff := cmp.Diff(want, got.lacking); diff != "" {
		t.Errorf("what the kernel lacks (-known +found):\n%s", diff)
	}
	t.Logf("%d tests in %s", len(got.passed), time.Since(began).Round(time.Second))
}

// list returns the tests of a row by name, as the binary has them.
func (r row) list(t *testing.T, share, pattern string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(share, binary(r.pkg)), "-test.list", pattern).Output()
	if err != nil {
		t.Fatal(err)
	}
	// The order is that of the files; what else it may say is no test.
	names := regexp.MustCompile(`(?m)^Test\w*$`).FindAllString(string(out), -1)
	slices.Sort(names)
	if len(names) == 0 {
		t.Fatalf("no tests match %s", pattern)
	}
	return names
}

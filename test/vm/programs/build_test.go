// Package programs runs Longwire itself on Debian's stock kernels: the verifier,
// the packet table, attachment, the self-test, and pseudowires from end to end,
// all inside of virtual machines.
package programs

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"longwire/test/lab"
)

// root is the directory of the module.
const root = "../../.."

// commands are what tests start; testPackages are what the guests run.
var (
	commands     = []string{"longwire/cmd/longwire", "longwire/test/peer/rr"}
	testPackages = []string{
		"longwire/dataplane/maps", "longwire/dataplane/tc", "longwire/cmd/map_session", "longwire/test/packet", "longwire/test/scenario",
	}
)

// fixtures are the files that tests read, by their path in the module.
var fixtures = []string{"test/testdata", "bpf"}

// build fills the directory that every guest has: programs beside a tree that looks
// to tests like the module. Nothing in it needs a C library.
func build(t *testing.T, dir string) error {
	t.Setenv("CGO_ENABLED", "0")
	for _, pkg := range commands {
		if _, err := lab.Build(dir, pkg); err != nil {
			return err
		}
	}
	for _, pkg := range testPackages {
		out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(dir, binary(pkg)), pkg).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, out)
		}
		if err := os.MkdirAll(filepath.Join(dir, directory(pkg)), 0o755); err != nil {
			return err
		}
	}
	for _, fixture := range fixtures {
		if err := os.CopyFS(filepath.Join(dir, tree, fixture), os.DirFS(filepath.Join(root, fixture))); err != nil {
			return err
		}
	}
	return nil
}

// tree stands for the module in the shared directory.
const tree = "tree"

// binary is the name of the tests of a package, directory where they are run.
func binary(pkg string) string { return path.Base(pkg) + ".test" }
func directory(pkg string) string {
	return path.Join(tree, strings.TrimPrefix(pkg, "longwire/"))
}

package gobgpd

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// command is gobgpd's import path.
const command = "github.com/osrg/gobgp/v3/cmd/gobgpd"

// Build compiles gobgpd into dir and returns its path. It has a module of its
// own, tool/go.mod, for two reasons: Longwire's go.mod stays free of a dozen
// modules that only this command needs, and the command gets the versions of its
// dependencies that its own release asks for, as an operator's has.
func Build(dir string) (string, error) {
	tool, err := module()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gobgpd")
	out, err := exec.Command("go", "build", "-C", tool, "-o", path, command).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build gobgpd: %w\n%s", err, out)
	}
	return path, nil
}

// module returns the directory of the command's module.
func module() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "longwire").Output()
	if err != nil {
		return "", fmt.Errorf("find the module longwire: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "test/peer/gobgpd/tool"), nil
}

// Version asks a gobgpd for its version and returns it as Go writes it: v3.37.0.
func Version(binary string) (string, error) {
	out, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", binary, err)
	}
	version, found := strings.CutPrefix(strings.TrimSpace(string(out)), "gobgpd version ")
	if !found {
		return "", fmt.Errorf("%s --version says %q", binary, out)
	}
	return "v" + version, nil
}

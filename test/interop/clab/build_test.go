package clab

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	// users is the directory of the topologies, and of the module that pins
	// containerlab.
	users = "../../clab"
	// containerlabModule is its module.
	containerlabModule = "github.com/srl-labs/containerlab"
	// replaced is the function of containerlab that overlay/modules.go stands in
	// for, and replacedFile the file that it is in.
	replaced     = "isKernelModuleLoadable"
	replacedFile = "utils/kernel_module.go"
)

// tool is a built containerlab.
type tool struct {
	path    string
	version string // of its module, and what was changed: "v0.79.0"
	how     string // it was built, in words
}

// buildContainerlab builds the tool of test/clab, or finds it in Go's build cache.
// As it stands containerlab ends where the kernel has no /proc/modules, that is, no
// loadable modules. There one function of it is replaced.
func buildContainerlab() (tool, error) {
	t, changed := tool{how: "as released"}, ""
	args := []string{"tool"}
	if _, err := os.Stat("/proc/modules"); errors.Is(err, os.ErrNotExist) {
		flags, err := overlay()
		if err != nil {
			return t, fmt.Errorf("replace %s of containerlab: %w", replaced, err)
		}
		args = append(args, flags...)
		t.how = "this kernel has no /proc/modules, so overlay/modules.go is in place of its " + replaced
		changed = " (module check replaced)"
	}
	var err error
	if t.path, err = goCommand(append(args, "-n", "containerlab")...); err != nil {
		return t, err
	}
	t.version, err = goCommand("list", "-m", "-f", "{{.Version}}", containerlabModule)
	t.version += changed
	return t, err
}

// goCommand runs go in the module of the tool and returns what it prints.
func goCommand(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = users
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// overlay returns the flags that make go take overlay/modules.go in place of the
// function. Go replaces no file of its module cache, so it is told that the module
// lies elsewhere, which is a link to it. All of it is in a directory whose name
// depends on the content alone, since Go's build cache goes by names as well.
func overlay() ([]string, error) {
	if _, err := goCommand("mod", "download", containerlabModule); err != nil {
		return nil, err
	}
	module, err := goCommand("list", "-m", "-f", "{{.Dir}}", containerlabModule)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, path := range map[string]string{
		"go.mod": users + "/go.mod", "go.sum": users + "/go.sum",
		"modules.go": "overlay/modules.go", "rest.go": filepath.Join(module, replacedFile),
	} {
		if files[name], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	if files["rest.go"], err = without(files["rest.go"], replaced); err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "longwire", "containerlab", digest(module, files))
	files["go.mod"] = fmt.Appendf(files["go.mod"], "\nreplace %s => %s/module\n", containerlabModule, dir)
	if files["overlay.json"], err = json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(dir, "module", replacedFile):         filepath.Join(dir, "rest.go"),
		filepath.Join(dir, "module/utils/longwire_mod.go"): filepath.Join(dir, "modules.go"),
	}}); err != nil {
		return nil, err
	}
	if err := publish(dir, module, files); err != nil {
		return nil, err
	}
	return []string{"-modfile=" + dir + "/go.mod", "-overlay=" + dir + "/overlay.json"}, nil
}

// digest names a content: the module's directory, which has its version, and files.
func digest(module string, files map[string][]byte) string {
	sum := sha256.New()
	fmt.Fprintln(sum, module)
	for _, name := range []string{"go.mod", "go.sum", "modules.go", "rest.go"} {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(files[name]), files[name])
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8])
}

// publish makes the directory, with the files and a link to the module, unless it is
// there. Of several that do so at once the first one wins.
func publish(dir, module string, files map[string][]byte) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o600); err != nil {
			return err
		}
	}
	if err := os.Symlink(module, filepath.Join(fresh, "module")); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// without returns Go source without one of its functions.
func without(source []byte, function string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		from, to := f.Pos(), f.End()
		if f.Doc != nil {
			from = f.Doc.Pos()
		}
		return bytes.Join([][]byte{source[:fset.Position(from).Offset], source[fset.Position(to).Offset:]}, nil), nil
	}
	return nil, fmt.Errorf("there is no function %s", function)
}

func TestWithout(t *testing.T) {
	t.Parallel()
	const source = "package p\n\n// a is kept.\nfunc a() {}\n\n// b goes.\nfunc b() { a() }\n\nfunc c() {}\n"
	const want = "package p\n\n// a is kept.\nfunc a() {}\n\n\n\nfunc c() {}\n"
	got, err := without([]byte(source), "b")
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := without([]byte(source), "d"); err == nil {
		t.Error("a function that is not there is taken out")
	}
	if _, err := without([]byte("nonsense"), "a"); err == nil {
		t.Error("nonsense is taken for Go")
	}
}

func TestPublishKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	for _, content := range []string{"first", "second"} {
		if err := publish(dir, "/nowhere", map[string][]byte{"f": []byte(content)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "f"))
	if err != nil || string(got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
	if link, err := os.Readlink(filepath.Join(dir, "module")); err != nil || link != "/nowhere" {
		t.Errorf("link to %q, %v", link, err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// Package boundary holds the rooms of the project apart: who may import what.
// It says the same as the depguard rules of .golangci.yml and needs no linter.
package boundary

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// rule forbids imports outside the rooms that may have them.
type rule struct {
	name string
	// imports that are meant, with everything below them unless exact.
	imports []string
	exact   bool
	// rooms that are under the rule, empty for every package.
	rooms []string
	// except are rooms that may.
	except []string
	// tests says that test files are under it as well.
	tests bool
}

const (
	gobgp = "github.com/osrg/gobgp"
	ebpf  = "github.com/cilium/ebpf"
)

var rules = []rule{
	{name: "evpn knows nothing of the data plane", rooms: []string{"longwire/evpn"},
		imports: []string{"longwire/dataplane", "longwire/bpf", "longwire/cmd"}, tests: true},
	{name: "dataplane knows nothing of BGP", rooms: []string{"longwire/dataplane", "longwire/bpf"},
		imports: []string{"longwire/evpn", "longwire/cmd"}, tests: true},
	{name: "GoBGP stays in three packages", imports: []string{gobgp},
		except: []string{"longwire/evpn/wire", "longwire/evpn/speaker", "longwire/evpn/worker", "longwire/test"}, tests: true},
	{name: "the GoBGP server runs in the worker alone", imports: []string{gobgp + "/v3/pkg/server"},
		except: []string{"longwire/evpn/worker", "longwire/test"}},
	{name: "eBPF stays in bpf and dataplane", imports: []string{ebpf},
		except: []string{"longwire/bpf", "longwire/dataplane", "longwire/test"}, tests: true},
	{name: "only the BGP side starts processes", imports: []string{"os/exec"},
		except: []string{"longwire/evpn/worker", "longwire/evpn/speaker", "longwire/test"}},
	{name: "product code does not use test code", imports: []string{"longwire/test"},
		except: []string{"longwire/test"}},
	// net/netip is a type, net is a network.
	{name: "the plan is pure", rooms: []string{"longwire/cmd/longwire/internal/plan"}, exact: true,
		imports: []string{"os", "net", "syscall", "log", "log/slog", "context", "github.com/vishvananda/netlink"}},
	{name: "one way to do logs, flags and assertions",
		imports: []string{"github.com/stretchr/testify", "github.com/spf13/viper", "go.uber.org/zap", "github.com/sirupsen/logrus"}, tests: true},
}

// only lists what packages may import beside the standard library, with
// everything below it.
var only = map[string][]string{
	"longwire/evpn":            nil,
	"longwire/dataplane":       nil,
	"longwire/cmd/map_session": {"longwire/dataplane", "github.com/spf13/cobra"},
}

func TestImportBoundaries(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list names only %d packages", len(packages))
	}
	for _, p := range packages {
		for _, r := range rules {
			for _, bad := range r.violations(p) {
				t.Errorf("%s imports %s: %s", p.ImportPath, bad, r.name)
			}
		}
		for _, bad := range beyond(p) {
			t.Errorf("%s imports %s: it may import the standard library and %v only", p.ImportPath, bad, only[p.ImportPath])
		}
	}
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "longwire/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// violations returns the imports of p that the rule forbids.
func (r rule) violations(p pkg) []string {
	if len(r.rooms) > 0 && !within(p.ImportPath, r.rooms) || within(p.ImportPath, r.except) {
		return nil
	}
	imports := p.Imports
	if r.tests {
		imports = append(append(append([]string(nil), imports...), p.TestImports...), p.XTestImports...)
	}
	var bad []string
	for _, imported := range imports {
		if slices.Contains(r.imports, imported) || !r.exact && within(imported, r.imports) {
			bad = append(bad, imported)
		}
	}
	return bad
}

// beyond returns the imports of p that only does not allow it.
func beyond(p pkg) []string {
	allowed, limited := only[p.ImportPath]
	if !limited {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.Imports), func(imported string) bool {
		return isStandard(imported) || within(imported, allowed)
	})
}

// within says whether path is one of the rooms or below it.
func within(path string, rooms []string) bool {
	for _, room := range rooms {
		if path == room || strings.HasPrefix(path, room+"/") {
			return true
		}
	}
	return false
}

// isStandard says whether a path is of the standard library: only those have no
// dot in their first element, apart from ours.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "longwire"
}

func TestRulesSeeViolations(t *testing.T) {
	tests := []struct {
		p    pkg
		want int
	}{
		{pkg{ImportPath: "longwire/evpn", Imports: []string{"longwire/dataplane"}}, 1},
		{pkg{ImportPath: "longwire/evpn/wire", Imports: []string{gobgp + "/v3/pkg/packet/bgp"}}, 0},
		{pkg{ImportPath: "longwire/evpn/wire", Imports: []string{gobgp + "/v3/pkg/server"}}, 1},
		{pkg{ImportPath: "longwire/evpn", TestImports: []string{gobgp + "/v3/api"}}, 1},
		{pkg{ImportPath: "longwire/dataplane/tc", Imports: []string{ebpf, "longwire/bpf"}}, 0},
		{pkg{ImportPath: "longwire/dataplane/tc", XTestImports: []string{"longwire/evpn/wire"}}, 1},
		{pkg{ImportPath: "longwire/cmd/longwire", Imports: []string{ebpf + "/link", "os/exec"}}, 2},
		{pkg{ImportPath: "longwire/cmd/longwire", TestImports: []string{"os/exec"}}, 0},
		{pkg{ImportPath: "longwire/cmd/longwire", Imports: []string{"longwire/test/lab"}}, 1},
		{pkg{ImportPath: "longwire/cmd/longwire/internal/plan", Imports: []string{"net/netip", "longwire/evpn"}}, 0},
		{pkg{ImportPath: "longwire/cmd/longwire/internal/plan", Imports: []string{"net", "os"}}, 2},
		{pkg{ImportPath: "longwire/evpnext", Imports: []string{"longwire/dataplane"}}, 0},
		{pkg{ImportPath: "longwire/test/scenario", Imports: []string{"os/exec", gobgp, ebpf}}, 0},
	}
	for _, tt := range tests {
		got := 0
		for _, r := range rules {
			got += len(r.violations(tt.p))
		}
		if got != tt.want {
			t.Errorf("%+v: %d violations, want %d", tt.p, got, tt.want)
		}
	}
}

func TestOnlySeesViolations(t *testing.T) {
	tests := []struct {
		path     string
		imports  []string
		breaches int
	}{
		{"longwire/evpn", []string{"net/netip", "github.com/google/go-cmp/cmp"}, 1},
		{"longwire/evpn/wire", []string{gobgp}, 0},
		{"longwire/cmd/map_session", []string{"fmt", "longwire/dataplane", "longwire/dataplane/tc", "github.com/spf13/cobra"}, 0},
		{"longwire/cmd/map_session", []string{"longwire/bpf", "longwire/cmd/longwire/internal/api", "longwire/dataplanes"}, 3},
	}
	for _, tt := range tests {
		if got := beyond(pkg{ImportPath: tt.path, Imports: tt.imports}); len(got) != tt.breaches {
			t.Errorf("%s: %v, want %d", tt.path, got, tt.breaches)
		}
	}
}

package utils

import (
	"os"
	"path/filepath"
	"testing"
)

func TestIsKernelModuleLoadable(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "modules")
	const text = "ip6_tables 36864 1 - Live 0x0\nveth 45056 0 - Live 0x0\n"
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file, module string
		want, fails  bool
	}{
		{list, "veth", true, false},
		{list, "ip6-tables", true, false},
		{list, "ip_tables", false, false},
		{list, "36864", false, false},
		{list, "", false, false},
		{filepath.Join(dir, "absent"), "veth", false, false},
		{dir, "veth", false, true},
	}
	for _, tt := range tests {
		modulesFile = tt.file
		got, err := isKernelModuleLoadable(tt.module)
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%q in %s: %v, %v; want %v, error %v", tt.module, tt.file, got, err, tt.want, tt.fails)
		}
	}
}

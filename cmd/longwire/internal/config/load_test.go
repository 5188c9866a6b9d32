package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadPermissions(t *testing.T) {
	plain := staticHead + static("a", "e", "local_session: 1")
	secret := staticHead + static("a", "e", "local_session: 1, remote_cookie: 00112233")
	two := staticHead + static("a", "e", "local_session: 1, local_cookie: 00112233, previous_local_cookie: 00112234")
	tests := []struct {
		name, content string
		mode          os.FileMode
		problem       string // empty = loads
	}{
		{"no cookies, world-readable", plain, 0o644, ""},
		{"cookies, group-readable", secret, 0o640, ""},
		{"two cookies, world-readable", two, 0o604, "everyone may read it (mode 0604); chmod 0640 it"},
		{"cookies, world-readable", secret, 0o644, "everyone may read it (mode 0644); chmod 0640 it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "pe.yaml", tt.content, tt.mode)
			_, err := Load(path)
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("Load gives %v, want %q", err, tt.problem)
			}
			if err != nil && !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("%q does not begin with the file", err)
			}
		})
	}
}

func TestLoadPassword(t *testing.T) {
	tests := []struct {
		name, content string
		mode          os.FileMode
		want, problem string
	}{
		{"one line", "secret\n", 0o600, "secret", ""},
		{"no newline", "secret", 0o400, "secret", ""},
		{"group-readable", "secret", 0o640, "", "(mode 0640): chmod 0600 it"},
		{"world-readable", "secret", 0o604, "", "(mode 0604): chmod 0600 it"},
		{"empty", "\n", 0o600, "", "it is empty"},
		{"two lines", "a\nb\n", 0o600, "", "more than one line"},
		{"too long", strings.Repeat("x", 81), 0o600, "", "longer than 80 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := write(t, "key", tt.content, tt.mode)
			file := write(t, "pe.yaml", bgpFile("neighbors: [{address: 192.0.2.2, asn: 1, password_file: "+key+"}]"), 0o600)
			cfg, err := Load(file)
			if tt.problem == "" {
				if err != nil || cfg.BGP.Neighbors[0].Password != tt.want {
					t.Errorf("Load gives %v, want password %q", err, tt.want)
				}
				return
			}
			var errs Errors
			if !errors.As(err, &errs) || errs[0].Line != 2 || errs[0].Key != "bgp.neighbors[0].password_file" || !strings.Contains(errs[0].Problem, tt.problem) {
				t.Errorf("Load gives %v, want %q", err, tt.problem)
			}
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	for path, problem := range map[string]string{
		filepath.Join(dir, "none"): "none: cannot open it: no such file or directory",
		dir:                        "is a directory",
	} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("Load(%s) = %v, want %q", path, err, problem)
		}
	}
}

// A file without end is read up to the limit only.
func TestLoadEndless(t *testing.T) {
	if _, err := Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("Load(/dev/zero) = %v", err)
	}
}

func TestBombs(t *testing.T) {
	bombs := map[string]string{
		"billion laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nrouter: {source: *c}\n",
		"merge":          "router: &r {source: 192.0.2.1}\nbgp: {<<: *r}\n",
		"deep":           "router: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n",
	}
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("x", []byte(bomb), noSecret); err == nil {
				t.Error("no error")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Reference))
	for _, rows := range [][]mistake{syntaxMistakes, valueMistakes, bgpMistakes, conflictMistakes} {
		for _, row := range rows {
			f.Add([]byte(row.file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("x", data, testSecret)
		if (cfg == nil) == (err == nil) {
			t.Errorf("config %v and error %v", cfg, err)
		}
		for _, pw := range cfgOrEmpty(cfg).Pseudowires {
			if problem := broken(pw); problem != "" {
				t.Errorf("%s: %+v", problem, pw)
			}
		}
	})
}

func cfgOrEmpty(cfg *Config) *Config {
	if cfg == nil {
		return &Config{}
	}
	return cfg
}

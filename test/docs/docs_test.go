// Package docs holds the manual against the code: what the program can say is
// explained, and what the manual points to is there.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the repository.
const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManualExplainsEveryWord(t *testing.T) {
	manual := read(t, "docs/operations.md")
	tests := []struct {
		what, source string
		word         *regexp.Regexp
		row          string // prefix of the word in the manual
		atLeast      int
	}{
		{"reason of a route", "evpn/reason.go", regexp.MustCompile(`Reason\w+\s+Reason = "(\w+)"`), "| `", 10},
		{"reason of a pseudowire", "cmd/longwire/internal/plan/reason.go", regexp.MustCompile(`Reason\w+\s+Reason = "(\w+)"`), "| `", 9},
		{"reason to drop", "dataplane/dataplane.go", regexp.MustCompile(`Drop\w+\s+Drop = "(\w+)"`), "| `", 15},
		{"metric", "cmd/longwire/internal/metrics/metrics.go", regexp.MustCompile(`= desc\("(\w+)"`), "| `longwire_", 15},
		{"check of the self-test", "dataplane/selftest/checks.go", regexp.MustCompile(`\{name: "(\w+)"`), "| `", 13},
		{"safe mode", "dataplane/selftest/mode.go", regexp.MustCompile(`Mode\w+ Mode = "(\w+)"`), "| `", 4},
		{"state", "cmd/longwire/internal/plan/plan.go", regexp.MustCompile(`State\w+\s+State = "(\w+)"`), "| `", 4},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			words := tt.word.FindAllStringSubmatch(read(t, tt.source), -1)
			if len(words) < tt.atLeast {
				t.Fatalf("only %d words found in %s", len(words), tt.source)
			}
			for _, word := range words {
				if !strings.Contains(manual, tt.row+word[1]+"`") {
					t.Errorf("%s is not explained in docs/operations.md", word[1])
				}
			}
		})
	}
}

func TestManualShowsEveryKey(t *testing.T) {
	// The reference is the manual of the keys; the pages name the sections.
	reference, page := read(t, "cmd/longwire/internal/config/reference.yaml"), read(t, "docs/configuration.md")
	for _, m := range regexp.MustCompile(`(?m)^(\w+):`).FindAllStringSubmatch(reference, -1) {
		if !strings.Contains(page, m[1]) && !strings.Contains(read(t, "docs/operations.md"), m[1]+".") {
			t.Errorf("section %s of the configuration is not in the manual", m[1])
		}
	}
}

func TestLinksLead(t *testing.T) {
	pages := []string{"README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			pages = append(pages, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil || len(pages) < 4 {
		t.Fatalf("pages %v, error %v", pages, err)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

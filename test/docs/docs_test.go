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
		{"reason of a neighbour", "evpn/speaker/reason.go", regexp.MustCompile(`Reason\w+\s+Reason = "(\w+)"`), "| `", 17},
		{"reason to drop", "dataplane/drop.go", regexp.MustCompile(`Drop\w+\s+Drop = "(\w+)"`), "| `", 24},
		{"metric", "cmd/longwire/internal/metrics/metrics.go", regexp.MustCompile(`= desc\("(\w+)"`), "| `longwire_", 15},
		{"check of the self-test", "dataplane/selftest/checks.go", regexp.MustCompile(`\{name: "(\w+)"`), "| `", 13},
		{"safe mode", "dataplane/selftest/mode.go", regexp.MustCompile(`Mode\w+ Mode = "(\w+)"`), "| `", 4},
		{"metric of the slow path", "cmd/longwire/internal/metrics/slowpath.go", regexp.MustCompile(`= desc\("(\w+)"`), "| `longwire_", 3},
		{"counter of the slow path", "cmd/longwire/internal/api/slowpath.go", regexp.MustCompile(`json:"(\w+)"`), "| `", 6},
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

// The reference explains each key; the page says how they belong together, and so
// has each of them as code.
func TestManualExplainsEveryCounter(t *testing.T) {
	manual := read(t, "docs/operations.md")
	_, after, _ := strings.Cut(read(t, "cmd/longwire/internal/api/api.go"), "type Counters struct {")
	body, _, found := strings.Cut(after, "\n}")
	words := regexp.MustCompile(`uint64 +`+"`"+`json:"(\w+)`).FindAllStringSubmatch(body, -1)
	if !found || len(words) < 9 {
		t.Fatalf("only %d counters found", len(words))
	}
	for _, word := range words {
		if !strings.Contains(manual, "| `"+word[1]+"`") {
			t.Errorf("counter %s is not explained in docs/operations.md", word[1])
		}
	}
}

func TestManualShowsEveryKey(t *testing.T) {
	reference, page := read(t, "cmd/longwire/internal/config/reference.yaml"), read(t, "docs/configuration.md")
	page = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	var code strings.Builder
	for _, span := range regexp.MustCompile("`[^`]+`|(?m)^## .*").FindAllString(page, -1) {
		code.WriteString(span + "\n")
	}
	keys := regexp.MustCompile(`(?m)^ *(?:- |# )?([a-z]\w*): +\S|^ *(\w+):$`).FindAllStringSubmatch(reference, -1)
	if len(keys) < 60 {
		t.Fatalf("only %d keys found in the reference", len(keys))
	}
	for _, m := range keys {
		key := m[1] + m[2]
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(code.String()) {
			t.Errorf("%s is not in docs/configuration.md", key)
		}
	}
}

func TestManualShowsEveryFlag(t *testing.T) {
	manual := read(t, "docs/map_session.md")
	flag := regexp.MustCompile(`\.(?:String|Bool)(?:VarP|Var)?\((?:&[\w.]+, )?"([a-z-]+)"`)
	found := 0
	for _, file := range []string{"root.go", "del.go", "list.go"} {
		for _, m := range flag.FindAllStringSubmatch(read(t, "cmd/map_session/"+file), -1) {
			found++
			// Of list -o only the letter is shown.
			if !strings.Contains(manual, "--"+m[1]) && m[1] != "output" {
				t.Errorf("--%s is not in docs/map_session.md", m[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d flags found", found)
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

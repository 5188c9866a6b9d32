package manual

import (
	"strings"
	"testing"
)

func TestBlock(t *testing.T) {
	const page = "# Page\n\n```toml\n# one\na = 1\n```\n\n# two\n\n```\n# two\nb\n\nc\n```\nend\n"
	for _, tt := range []struct {
		title, want string
		found       bool
	}{
		{"# one", "# one\na = 1\n", true},
		{"# two", "# two\nb\n\nc\n", true},
		{"# on", "", false},
		{"# Page", "", false},
		{"end", "", false},
	} {
		if got, found := block(page, tt.title); got != tt.want || found != tt.found {
			t.Errorf("%q: %q, %v; want %q, %v", tt.title, got, found, tt.want, tt.found)
		}
	}
}

func TestManual(t *testing.T) {
	const title = "# /etc/longwire/longwire.yaml of PE 1, with gobgpd"
	if got, err := Block(title); err != nil || !strings.Contains(got, "gobgpd: unix:///") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Block("# of nobody"); err == nil {
		t.Error("a block of nobody is found")
	}
}

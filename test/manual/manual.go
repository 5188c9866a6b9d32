// Package manual reads configurations from the manual: what it tells operators to
// write is what the tests run.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fence begins and ends a block.
const fence = "```"

// Block returns the block of docs/interop.md whose first line is title, with that
// line.
func Block(title string) (string, error) {
	root, err := root()
	if err != nil {
		return "", err
	}
	page := filepath.Join(root, "docs/interop.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return "", err
	}
	block, found := block(string(text), title)
	if !found {
		return "", fmt.Errorf("%s has no block that begins with %q", page, title)
	}
	return block, nil
}

// block finds a block in a page.
func block(page, title string) (string, bool) {
	for i, part := range strings.Split(page, "\n"+fence) {
		_, body, _ := strings.Cut(part, "\n") // after the language
		if i%2 == 1 && strings.HasPrefix(body+"\n", title+"\n") {
			return body + "\n", true
		}
	}
	return "", false
}

// root is the directory of the module that the working directory is in.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", fmt.Errorf("no go.mod above the working directory")
	}
}

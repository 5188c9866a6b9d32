package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"longwire/test/lab"
)

// runner is a lab's runner that prints in colour.
type runner struct{ *lab.Runner }

func newRunner(ctx context.Context) *runner {
	return &runner{lab.NewRunner(ctx, "demo", redWriter{})}
}

// redWriter prints what the runner says, which is what went wrong.
type redWriter struct{}

func (redWriter) Write(p []byte) (int, error) {
	fmt.Println(paint(red, strings.TrimRight(string(p), "\n")))
	return len(p), nil
}

// Colours of a terminal.
const (
	red   = "31"
	green = "32"
	blue  = "1;34"
	plain = ""
)

// coloured is true when the output goes to a terminal that takes colours
// (https://no-color.org).
var coloured = isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func paint(colour, text string) string {
	if !coloured || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

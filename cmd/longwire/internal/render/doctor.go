package render

import (
	"io"
	"time"

	"longwire/dataplane/selftest"
)

// Doctor prints checks, and of those that have nothing to say what they prove.
func Doctor(w io.Writer, checks []selftest.Check) error {
	var rows [][]string
	for _, c := range checks {
		detail := c.Detail
		if detail == "" {
			detail = c.Proves
		}
		rows = append(rows, []string{c.Name, string(c.Result), string(c.Mode), c.Took.Round(time.Millisecond).String(), detail})
	}
	return table(w, []string{"CHECK", "RESULT", "MODE", "TOOK", "DETAIL"}, rows)
}

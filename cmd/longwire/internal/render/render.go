// Package render prints what the agent says, as aligned tables for people or as
// JSON for programs.
package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// JSON prints a value, indented.
func JSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// table prints rows under a header, each column as wide as its widest cell. An
// empty cell is shown as a dash, so that every line has the same number of
// words, whatever reads it; only the last column may hold spaces.
func table(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(header, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// age is how long something has been as it is, in its two largest units.
func age(since, now time.Time) string {
	if since.IsZero() {
		return ""
	}
	d := max(0, now.Sub(since))
	seconds := int(d / time.Second)
	minutes, hours := seconds/60, seconds/3600
	days := hours / 24
	switch {
	case minutes == 0:
		return fmt.Sprintf("%ds", seconds)
	case hours == 0:
		return fmt.Sprintf("%dm%02ds", minutes, seconds%60)
	case days == 0:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	case days < 100:
		return fmt.Sprintf("%dd%02dh", days, hours%24)
	}
	return fmt.Sprintf("%dd", days)
}

// number is empty for 0, which means that there is none.
func number[T ~uint16 | ~uint32 | ~uint64 | ~int](n T) string {
	if n == 0 {
		return ""
	}
	return count(uint64(n))
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

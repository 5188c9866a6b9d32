package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// series is the values of one variant under one measure, one for each round.
type series struct {
	variant string
	values  []float64
}

// outcome is everything that one measure found.
type outcome struct {
	title  string // what, its unit and which way is better
	digits int    // behind the point
	series []series
}

// table renders an outcome: medians, and ratios to the bases, which are the
// names of variants. A base that was not measured has no column.
func (o outcome) table(bases ...string) string {
	header := []string{"", "median", "min–max"}
	var against [][]float64
	for _, base := range bases {
		if values := o.find(base); values != nil {
			header = append(header, "÷ "+base, "min–max")
			against = append(against, values)
		}
	}
	rows := [][]string{{o.title}, header}
	for _, s := range o.series {
		row := append([]string{s.variant}, cells(summarise(s.values), o.digits)...)
		for _, base := range against {
			row = append(row, cells(summarise(ratios(s.values, base)), 2)...)
		}
		rows = append(rows, row)
	}
	return align(rows)
}

// beyond turns rates in millions per second into the nanoseconds that each
// packet takes more than with the base, round by round. Unlike a ratio that does
// not depend on how long the way is that all have in common.
func (o outcome) beyond(title, base string) outcome {
	perPacket := outcome{title: title}
	by := o.find(base)
	for _, s := range o.series {
		var values []float64
		for i := range min(len(s.values), len(by)) {
			values = append(values, 1000/s.values[i]-1000/by[i])
		}
		perPacket.series = append(perPacket.series, series{s.variant, values})
	}
	return perPacket
}

// find returns the values of a variant, nil when it was not measured.
func (o outcome) find(variant string) []float64 {
	for _, s := range o.series {
		if s.variant == variant {
			return s.values
		}
	}
	return nil
}

// cells writes a median and a range.
func cells(s summary, digits int) []string {
	return []string{number(s.median, digits), number(s.least, digits) + "–" + number(s.most, digits)}
}

// number writes a value, or a dash where there is none.
func number(v float64, digits int) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// align lines columns up, the first to the left and the others to the right. A
// row of one cell is a title, as long as it likes.
func align(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		if len(row) == 1 {
			continue
		}
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		if len(row) == 1 {
			b.WriteString(row[0] + "\n")
			continue
		}
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + space)
			} else {
				b.WriteString("  " + space + cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

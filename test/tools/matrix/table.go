package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longwire/test/matrix"
)

// The marks in the document. Everything between them is written anew.
const (
	begin = "<!-- Written by make interop: begin -->\n"
	end   = "<!-- Written by make interop: end -->\n"
)

// read returns the cells of all files of a directory.
func read(dir string) ([]matrix.Cell, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var cells []matrix.Cell
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for i, line := range bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n")) {
			var c matrix.Cell
			if err := json.Unmarshal(line, &c); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
			}
			cells = append(cells, c)
		}
	}
	return cells, nil
}

// table is one table: results by row and column.
type table map[string]map[string]matrix.Result

// render writes a heading and a table for each table of the cells, in
// alphabetical order, because tests that run in parallel come in any.
func render(cells []matrix.Cell) string {
	tables := map[string]table{}
	for _, c := range cells {
		if tables[c.Table] == nil {
			tables[c.Table] = table{}
		}
		tables[c.Table].add(c)
	}
	var out strings.Builder
	for i, name := range slices.Sorted(maps.Keys(tables)) {
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "### %s\n\n%s", name, tables[name])
	}
	return out.String()
}

// add enters a cell. Of several results for one place the worst stays.
func (t table) add(c matrix.Cell) {
	if t[c.Row] == nil {
		t[c.Row] = map[string]matrix.Result{}
	}
	badness := []matrix.Result{"", matrix.Pass, matrix.Skipped, matrix.Fail}
	if slices.Index(badness, c.Result) > slices.Index(badness, t[c.Row][c.Column]) {
		t[c.Row][c.Column] = c.Result
	}
}

// String returns the table in Markdown; a dash is what was not tried.
func (t table) String() string {
	columns := map[string]bool{}
	for _, row := range t {
		for column := range row {
			columns[column] = true
		}
	}
	head := slices.Sorted(maps.Keys(columns))
	var out strings.Builder
	fmt.Fprintf(&out, "| | %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&out, "| %s |", name)
		for _, column := range head {
			result := t[name][column]
			if result == "" {
				result = "–"
			}
			fmt.Fprintf(&out, " %s |", result)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// replace puts tables between the marks of a document.
func replace(document []byte, tables string) ([]byte, error) {
	before, rest, ok := strings.Cut(string(document), begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return nil, errors.New("the marks around the tables are missing: " + strings.TrimSpace(begin) + " and " + strings.TrimSpace(end))
	}
	return []byte(before + begin + "\n" + tables + "\n" + end + after), nil
}

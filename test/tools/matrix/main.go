// Command matrix joins the results of the interoperation tests into tables and
// prints them. With a document it also writes them there, between its two marks.
//
//	matrix DIRECTORY [docs/interop.md]
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return fmt.Errorf("usage: matrix DIRECTORY [DOCUMENT]")
	}
	cells, err := read(args[0])
	if err != nil {
		return err
	}
	if len(cells) == 0 {
		return fmt.Errorf("%s has no results: did the tests run?", args[0])
	}
	tables := render(cells)
	fmt.Print(tables)
	if len(args) == 1 {
		return nil
	}
	return enter(tables, args[1])
}

// enter writes tables into a document, with when and where they were made.
func enter(tables, document string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	made := fmt.Sprintf("Written by `make interop` on %s, on Linux %s. A dash is what a program does not do,\n"+
		"or what was not tried with it.", time.Now().UTC().Format(time.DateOnly), kernel)
	text, err = replace(text, made+"\n\n"+tables)
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	return os.WriteFile(document, text, 0o644)
}

// kernelRelease is what "uname -r" prints.
func kernelRelease() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	release, _, _ := strings.Cut(string(name.Release[:]), "\x00")
	return release, nil
}

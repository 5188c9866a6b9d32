// Command matrix joins the results of the interoperation tests into the tables
// of docs/interop.md, between its two marks.
//
//	matrix DIRECTORY docs/interop.md
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
	if len(args) != 2 {
		return fmt.Errorf("usage: matrix DIRECTORY DOCUMENT")
	}
	cells, err := read(args[0])
	if err != nil {
		return err
	}
	if len(cells) == 0 {
		return fmt.Errorf("%s has no results: did the tests run?", args[0])
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	made := fmt.Sprintf("Written by `make interop` on %s, on Linux %s.", time.Now().UTC().Format(time.DateOnly), kernel)
	text, err = replace(text, made+"\n\n"+render(cells))
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	if err := os.WriteFile(args[1], text, 0o644); err != nil {
		return err
	}
	fmt.Print(render(cells))
	return nil
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

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// facts says on what machine the figures were taken, and what they are worth.
func facts() string {
	var u unix.Utsname
	kernel := "unknown kernel"
	if err := unix.Uname(&u); err == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo") // absent: the model stays unknown
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf(`Longwire benchmark, %s
%s, %d CPUs (%s), load average %s at the start
Absolute numbers of a shared or virtual machine mean little, and differ from run
to run; the ratios are taken within each round, side by side, and mean more.
`, time.Now().UTC().Format("2006-01-02 15:04 MST"), kernel, runtime.NumCPU(), cpuModel(string(info)), firstField(string(load)))
}

// cpuModel finds the name of the first CPU in the text of /proc/cpuinfo.
func cpuModel(info string) string {
	for line := range strings.Lines(info) {
		name, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}

// firstField returns the first word of s, "?" when there is none.
func firstField(s string) string {
	for word := range strings.FieldsSeq(s) {
		return word
	}
	return "?"
}

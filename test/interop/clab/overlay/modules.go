// Package utils stands in for one function of containerlab's package of that name.
// The tests compile it into containerlab, by go build -overlay, where the kernel
// has no /proc/modules; see build_test.go beside this directory.
package utils

import (
	"errors"
	"os"
	"slices"
	"strings"
)

// modulesFile lists the modules that are loaded, one in a line, its name first. A
// kernel that cannot load any (CONFIG_MODULES=n) has no such file.
var modulesFile = "/proc/modules"

// isKernelModuleLoadable says whether a module is loaded. In a kernel without
// modules none is, which is no error: what containerlab wants may be built in, or
// not be needed.
func isKernelModuleLoadable(name string) (bool, error) {
	list, err := os.ReadFile(modulesFile)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wanted := strings.ReplaceAll(name, "-", "_")
	return slices.ContainsFunc(strings.Split(string(list), "\n"), func(line string) bool {
		loaded, _, _ := strings.Cut(line, " ")
		return loaded == wanted && loaded != ""
	}), nil
}

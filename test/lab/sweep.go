package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

const (
	// namePrefix begins the name of every namespace and directory of a lab.
	namePrefix = "lwlab"
	// keepMark is the file that says that a lab outlives its process.
	keepMark = "keep"
)

// labName matches the names that New and Namespace make and holds the process
// id of their maker.
var labName = regexp.MustCompile(`^` + namePrefix + `(\d+)-\d+(-.*)?$`)

// Sweep removes the labs whose process no longer exists: namespaces with the
// processes in them, directories and bpf file systems. Labs that were kept go
// only when kept is true. It returns the names of what it removed.
func Sweep(kept bool) []string {
	var gone []string
	for _, name := range leftovers(netnsDir) {
		if !kept && isKept(name) {
			continue
		}
		removeNamespace(name)
		gone = append(gone, name)
	}
	for _, name := range leftovers(os.TempDir()) {
		if !kept && isKept(name) {
			continue
		}
		dir := filepath.Join(os.TempDir(), name)
		// Not mounted is the usual case and no error.
		_ = syscall.Unmount(filepath.Join(dir, "bpf"), syscall.MNT_DETACH)
		if err := os.RemoveAll(dir); err == nil {
			gone = append(gone, dir)
		}
	}
	return gone
}

// leftovers lists the entries of dir that belong to labs of dead processes.
func leftovers(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		m := labName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		if _, err := os.Stat("/proc/" + m[1]); os.IsNotExist(err) {
			names = append(names, e.Name())
		}
	}
	return names
}

// isKept says whether the lab that a name belongs to was kept.
func isKept(name string) bool {
	id := strings.Join(strings.SplitN(name, "-", 3)[:2], "-")
	_, err := os.Stat(filepath.Join(os.TempDir(), id, keepMark))
	return err == nil
}

// removeNamespace kills the processes in a namespace of a lab and deletes it.
// The devices in it go with it.
func removeNamespace(name string) error {
	ctx := context.Background()
	if out, err := run(ctx, "ip", "netns", "pids", name); err == nil {
		for _, field := range strings.Fields(out) {
			if pid, err := strconv.Atoi(field); err == nil && pid != os.Getpid() {
				// It may have ended by itself since.
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	if _, err := run(ctx, "ip", "netns", "delete", name); err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	return nil
}

package clab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longwire/test/matrix"
)

// TestStatic deploys two PEs without BGP. Nobody destroys them: the engine ends
// under them, as it does when a test fails, and nothing may be left of them either.
func TestStatic(t *testing.T) {
	t.Parallel()
	var id, dir string
	t.Run("forwards", func(t *testing.T) {
		e := newEngine(t)
		id, dir = e.ID(), e.Dir()
		e.images(t)
		column, err := e.column()
		if err != nil {
			t.Fatal(err)
		}
		matrix.Record(t, table, "static pseudowire, without BGP", column)
		tp, err := e.deploy("static")
		if err != nil {
			t.Fatal(err)
		}
		up := pseudowire{Name: "customer", State: "up"}
		tp.await(t, "pe1", up)
		tp.await(t, "pe2", up)
		for _, size := range []int{64, 1500} {
			tp.ping(t, "ce1", "198.18.0.2", size)
			tp.ping(t, "ce2", "198.18.0.1", size)
		}
		if t.Failed() {
			tp.show(t)
		}
		if left, err := leftovers(id, dir); err != nil || len(left) < 4 {
			t.Errorf("of a running engine only %v is seen, %v", left, err)
		}
	})
	left, err := leftovers(id, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range left {
		t.Errorf("after the engine's end there is %s", what)
	}
}

// leftovers lists what is there of a lab: processes, mounts, network namespaces,
// cgroups and its directory.
func leftovers(id, dir string) ([]string, error) {
	left, err := cgroups(id)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{dir, "/run/netns/" + id + "-docker"} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			left = append(left, path)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir+"/") {
			left = append(left, "mount "+line)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, process := range processes {
		// Files that cannot be read are of processes that have ended.
		command, _ := os.ReadFile(process + "/cmdline")
		groups, _ := os.ReadFile(process + "/cgroup")
		if strings.Contains(string(command), dir) || strings.Contains(string(groups), "/"+id+"/") {
			left = append(left, fmt.Sprintf("process %s %q", process, command))
		}
	}
	return left, nil
}

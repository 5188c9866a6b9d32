package clab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"longwire/test/lab"
)

// labCgroup matches the name of a lab, after which its cgroups are called, and
// holds the process id of its maker.
var labCgroup = regexp.MustCompile(`^lwlab(\d+)-\d+$`)

// cgroupRoots are the places where hierarchies of cgroups are mounted.
func cgroupRoots() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var roots []string
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 2 && strings.HasPrefix(fields[2], "cgroup") {
			roots = append(roots, fields[1])
		}
	}
	if len(roots) == 0 {
		return nil, errors.New("no cgroups are mounted, which Docker needs")
	}
	return roots, nil
}

// cgroups returns the directories of a lab's cgroups, parents first.
func cgroups(id string) ([]string, error) {
	roots, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, id), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it may go while we look
			}
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// removeCgroups removes a lab's cgroups as soon as no process is in them.
func removeCgroups(id string) error {
	return lab.Await(endTime, func() error {
		dirs, err := cgroups(id)
		if err != nil {
			return err
		}
		for _, dir := range slices.Backward(dirs) {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove the cgroups of %s: %w", id, err)
			}
		}
		return nil
	})
}

// sweepCgroups removes the cgroups of labs whose process no longer exists. Their
// containers have gone with their namespaces, which package lab sees to.
func sweepCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		entries, err := os.ReadDir(root)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			m := labCgroup.FindStringSubmatch(entry.Name())
			if m == nil {
				continue
			}
			if _, err := os.Stat("/proc/" + m[1]); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := removeCgroups(entry.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestSweepCgroups(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	roots, err := cgroupRoots()
	if err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("lwlab%d-7", dead.Process.Pid)
	alive := fmt.Sprintf("lwlab%d-9999", os.Getpid())
	t.Cleanup(func() { removeCgroups(alive) })
	for _, id := range []string{left, alive} {
		if err := os.MkdirAll(filepath.Join(roots[0], id, "container"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweepCgroups(); err != nil {
		t.Fatal(err)
	}
	if dirs, err := cgroups(left); err != nil || len(dirs) != 0 {
		t.Errorf("of a dead process %v is left, %v", dirs, err)
	}
	if dirs, err := cgroups(alive); err != nil || len(dirs) != 2 {
		t.Errorf("of this process %v is left, %v; want two", dirs, err)
	}
}

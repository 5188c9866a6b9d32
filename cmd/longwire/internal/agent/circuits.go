package agent

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"longwire/cmd/longwire/internal/plan"
)

// circuitsFile is where the agent remembers the interfaces that it has put in
// promiscuous mode, so that they can be put back after a restart with another
// configuration and by longwire uninstall.
const circuitsFile = "circuits"

// circuits keeps attachment circuits in promiscuous mode: a port delivers
// frames for every address, as the other end of a cable does.
type circuits struct {
	file    string
	set     func(ifindex int, on bool) error
	on      map[string]int // ifindex by name; 0 = not set by this process
	checked time.Time      // when all were last set
}

func newCircuits(dir string, set func(int, bool) error) circuits {
	return circuits{file: filepath.Join(dir, circuitsFile), set: set, on: map[string]int{}}
}

// load remembers what an earlier agent has set.
func (c *circuits) load() {
	for _, name := range readCircuits(c.file) {
		c.on[name] = 0
	}
}

// readCircuits returns the names in a circuits file, none if there is no file.
func readCircuits(file string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// apply makes exactly the wanted interfaces promiscuous. Those that are already
// so are only set again once a minute. It returns failed with its own failures
// added, by ifindex.
func (c *circuits) apply(links map[string]plan.Link, wanted []int, now time.Time, failed map[int]error) map[int]error {
	full := !now.Before(c.checked.Add(fullPass))
	if full {
		c.checked = now
	}
	want := map[int]bool{}
	for _, index := range wanted {
		want[index] = true
	}
	before := maps.Clone(c.on)
	for name, l := range links {
		index, ours := c.on[name]
		on := want[l.Index]
		if on && (full || index != l.Index) || !on && ours {
			if err := c.switchTo(name, l.Index, on); err != nil {
				failed = joinAt(failed, l.Index, err)
			}
		}
	}
	maps.DeleteFunc(c.on, func(name string, _ int) bool {
		_, exists := links[name]
		return !exists
	})
	if !maps.EqualFunc(before, c.on, func(int, int) bool { return true }) {
		if err := c.save(); err != nil {
			failed = joinAt(failed, 0, err)
		}
	}
	return failed
}

// switchTo sets one interface. One that has just gone is no failure: its
// notification follows.
func (c *circuits) switchTo(name string, index int, on bool) error {
	if err := c.set(index, on); err != nil && !errors.Is(err, syscall.ENODEV) {
		return err
	}
	if on {
		c.on[name] = index
	} else {
		delete(c.on, name)
	}
	return nil
}

// save writes the names aside and renames the file into place.
func (c *circuits) save() error {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(c.on)) {
		fmt.Fprintln(&b, name)
	}
	aside := c.file + ".new"
	if err := os.WriteFile(aside, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("remember the circuits: %w", err)
	}
	if err := os.Rename(aside, c.file); err != nil {
		return fmt.Errorf("remember the circuits: %w", err)
	}
	return nil
}

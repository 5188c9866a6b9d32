package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"longwire/dataplane/link"
	"longwire/dataplane/maps"
	"longwire/dataplane/tc"
)

const defaultPins = "/sys/fs/bpf/longwire"

// thisHost is the host that we run on.
var thisHost = host{netns: netnsInode, interfaces: interfaceNames, promiscuous: link.Promiscuous, setPromiscuous: link.SetPromiscuous}

// change opens the data plane, making it if need be, and lets f change it. When
// f fails and there was no data plane before, there is none afterwards.
func change(dir string, f func(editor) error) error {
	// Opening would already take the data plane over from another namespace.
	if err := checkHere(dir, thisHost); err != nil {
		return err
	}
	// Nobody but SIGKILL ends us half-way.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	fresh := !exists(dir)
	p, err := tc.Open(tc.Options{PinDir: dir, Capacity: capacity(dir)})
	if err == nil {
		err = errors.Join(f(editor{p, thisHost}), p.Close())
	}
	if err != nil && fresh && !errors.Is(err, tc.ErrBusy) {
		err = errors.Join(err, tc.Uninstall(dir))
	}
	return err
}

// checkHere fails when the sessions that are pinned are of another network
// namespace. Whether they are ours at all is asked later.
func checkHere(dir string, h host) error {
	netns, err := h.netns()
	if err != nil {
		return err
	}
	marks, _ := ourMarks(dir)
	return here(marks, netns)
}

// capacity is that of the maps which are there, whoever made them; 0 is the
// default.
func capacity(dir string) uint32 {
	view, err := maps.OpenReadOnly(dir)
	if err != nil {
		return 0
	}
	defer func() { _ = view.Close() }()
	return view.Capacity()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// removeAll takes away everything that map_session has made, and the data plane
// with it.
func removeAll(dir string, h host) error {
	marks, err := ourMarks(dir)
	if err != nil {
		return err
	}
	netns, err := h.netns()
	if err != nil {
		return err
	}
	if err := tc.Uninstall(dir); err != nil {
		return err
	}
	e := editor{host: h}
	var errs []error
	for _, m := range marks {
		errs = append(errs, perform([]step{e.promiscuous(m.circuit, false, m.promiscuous && m.netns == netns)}))
	}
	return errors.Join(errs...)
}

// ourMarks returns the marks in the pinned maps, and fails when other names are
// among them.
func ourMarks(dir string) ([]mark, error) {
	view, err := maps.OpenReadOnly(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = view.Close() }()
	counters, err := view.Counters()
	if err != nil {
		return nil, fmt.Errorf("read the names of the pseudowires: %w", err)
	}
	var names []string
	var marks []mark
	for name := range counters {
		names = append(names, name)
		if m, ours := parseMark(name); ours {
			marks = append(marks, m)
		}
	}
	return marks, foreign(names)
}

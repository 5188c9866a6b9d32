package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"longwire/cmd/longwire/internal/config"
)

// workerSocket is what the speaker's worker leaves in the runtime directory
// when it is killed.
const workerSocket = "bgp-worker.sock"

// Uninstall takes away everything that an agent with this state has made:
// programs, maps, helper interfaces, promiscuous mode, sockets and files. The
// parts that belong to the data plane are removed by remove, which is given the
// pin directory. It fails with ErrRunning while an agent runs, and succeeds when
// nothing is there.
func Uninstall(state config.State, remove func(pins string) error, setPromiscuous func(ifindex int, on bool) error) error {
	var errs []error
	if _, err := os.Stat(state.Runtime); errors.Is(err, os.ErrNotExist) {
		return remove(state.Pins)
	}
	held, err := acquire(state.Runtime)
	if err != nil {
		return err
	}
	errs = append(errs, remove(state.Pins))
	file := filepath.Join(state.Runtime, circuitsFile)
	for _, name := range readCircuits(file) {
		errs = append(errs, restore(name, setPromiscuous))
	}
	tested := filepath.Join(state.Runtime, selfTestFile)
	for _, path := range []string{file, file + ".new", tested, tested + ".new", state.Socket, state.Socket + ".new", filepath.Join(state.Runtime, workerSocket)} {
		errs = append(errs, removeFile(path))
	}
	errs = append(errs, held.remove())
	errs = append(errs, removeEmpty(state.Runtime))
	return errors.Join(errs...)
}

// restore takes an interface that still exists out of promiscuous mode.
func restore(name string, setPromiscuous func(int, bool) error) error {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		// The interface is gone, and its mode with it.
		return nil
	}
	if err := setPromiscuous(iface.Index, false); err != nil && !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// removeEmpty removes a directory unless somebody else has something in it.
func removeEmpty(dir string) error {
	err := os.Remove(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EBUSY) {
		return nil
	}
	return err
}

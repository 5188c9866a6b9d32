package worker

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// dropPrivileges leaves this process, all its threads and all that it could
// execute with no capability but CAP_NET_BIND_SERVICE, and that only if it is
// there to keep.
func dropPrivileges() error {
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := dropBounding(); err != nil {
		return err
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	keep, err := cap.GetProc().GetFlag(cap.Permitted, cap.NET_BIND_SERVICE)
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	return setCapabilities(keep)
}

// dropBounding empties the bounding set. Without CAP_SETPCAP that is not
// allowed, and not needed: no_new_privs already keeps an execve from gaining
// anything.
func dropBounding() error {
	for c := range cap.MaxBits() {
		if held, err := cap.GetBound(c); err != nil || !held {
			continue
		}
		if err := cap.DropBound(c); err != nil {
			if errors.Is(err, unix.EPERM) {
				return nil
			}
			return fmt.Errorf("drop %s from the bounding set: %w", c, err)
		}
	}
	return nil
}

// dropLowPorts gives up CAP_NET_BIND_SERVICE too.
func dropLowPorts() error { return setCapabilities(false) }

func setCapabilities(bindLowPorts bool) error {
	set := cap.NewSet()
	if bindLowPorts {
		for _, flag := range []cap.Flag{cap.Permitted, cap.Effective} {
			if err := set.SetFlag(flag, true, cap.NET_BIND_SERVICE); err != nil {
				return fmt.Errorf("keep CAP_NET_BIND_SERVICE: %w", err)
			}
		}
	}
	if err := set.SetProc(); err != nil {
		return fmt.Errorf("set capabilities %q: %w", set, err)
	}
	return nil
}

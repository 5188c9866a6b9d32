package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"longwire/test/vm/port"
)

// environment is that of every script.
var environment = map[string]string{
	"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME": "/root", "TMPDIR": "/tmp", "LC_ALL": "C",
}

// mounts makes the directories that programs expect, mounts the kernel's file
// systems and sets the environment.
func mounts() error {
	var errs []error
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"devpts", "/dev/pts"},
		{"tmpfs", "/run"}, {"tmpfs", "/tmp"}, {"bpf", "/sys/fs/bpf"}, {"cgroup2", "/sys/fs/cgroup"},
		{"tracefs", "/sys/kernel/tracing"}, {"debugfs", "/sys/kernel/debug"},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := unix.Mount(m.kind, m.path, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.path, err))
		}
	}
	for name, value := range environment {
		errs = append(errs, os.Setenv(name, value))
	}
	return errors.Join(append(errs, os.MkdirAll("/root", 0o700), os.MkdirAll("/var/run", 0o755))...)
}

// modules loads what the host has listed.
func modules() error {
	list, err := os.ReadFile(port.Modules)
	if err != nil {
		return err
	}
	for _, path := range strings.Fields(string(list)) {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(file.Fd()), "", 0)
		file.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

// settings are those of a host that was just installed, but that addresses are
// there at once, on devices that are yet to come, and that loopback is up.
func settings() error {
	for path, value := range map[string]string{
		"/proc/sys/net/ipv6/conf/all/accept_dad":     "0",
		"/proc/sys/net/ipv6/conf/default/accept_dad": "0",
		"/proc/sys/kernel/printk":                    "4",
		"/proc/sys/kernel/hostname":                  "guest",
	} {
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return err
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// share mounts the directory of the host, if the command line says that there
// is one.
func share() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil || !strings.Contains(string(line), port.ShareTag) {
		return err
	}
	if err := os.MkdirAll(port.Share, 0o755); err != nil {
		return err
	}
	// Files of the host are read by page, and may be programs.
	const options = "trans=virtio,version=9p2000.L,msize=512000,cache=mmap"
	if err := unix.Mount(port.ShareTag, port.Share, "9p", 0, options); err != nil {
		return fmt.Errorf("mount %s: %w", port.Share, err)
	}
	return nil
}

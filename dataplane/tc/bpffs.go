package tc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const bpffsRoot = "/sys/fs/bpf"

// ensureBPFFS checks that dir will be on a bpffs. The usual place is mounted
// when nobody has done so; for any other the user is told.
func ensureBPFFS(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("pin directory %q is not absolute", dir)
	}
	if onBPFFS(dir) {
		return nil
	}
	if dir != bpffsRoot && !strings.HasPrefix(dir, bpffsRoot+"/") {
		return fmt.Errorf("pin directory %s is on no bpffs: mount one there (mount -t bpf bpf %s)", dir, dir)
	}
	if ownMounts("self", strconv.Itoa(os.Getppid())) {
		return fmt.Errorf("no bpffs is mounted on %s, and one mounted now would end with this command, and with it all forwarding, since it has mounts of its own (ip netns exec does that): use nsenter --net=/run/netns/NAME instead", bpffsRoot)
	}
	if err := unix.Mount("bpf", bpffsRoot, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a bpffs on %s: %w (CAP_SYS_ADMIN is needed; or run: mount -t bpf bpf %s)", bpffsRoot, err, bpffsRoot)
	}
	return nil
}

// ownMounts tells whether a process has a mount namespace that its parent does
// not share. A parent that cannot be seen, as that of a container's first
// process, is no sign of it.
func ownMounts(process, parent string) bool {
	own, err := os.Readlink("/proc/" + process + "/ns/mnt")
	if err != nil {
		return false
	}
	shared, err := os.Readlink("/proc/" + parent + "/ns/mnt")
	return err == nil && own != shared
}

// lockDir makes the pin directory and takes it for this process alone; the
// kernel gives it back when the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the pin directory: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the pin directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is in use", ErrBusy, dir)
		}
		return nil, fmt.Errorf("lock the pin directory: %w", err)
	}
	return f, nil
}

// onBPFFS looks at dir, or at the closest parent that exists.
func onBPFFS(dir string) bool {
	for {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err == nil {
			return fs.Type == unix.BPF_FS_MAGIC
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}

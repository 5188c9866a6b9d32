package tc

import (
	"fmt"
	"path/filepath"
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
	if err := unix.Mount("bpf", bpffsRoot, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a bpffs on %s: %w (CAP_SYS_ADMIN is needed; or run: mount -t bpf bpf %s)", bpffsRoot, err, bpffsRoot)
	}
	return nil
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

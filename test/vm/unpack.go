package vm

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// kept are the directories of modules that a network's tests may need, a quarter
// of all by size.
var kept = []string{"kernel/arch/", "kernel/crypto/", "kernel/drivers/char/", "kernel/drivers/net/",
	"kernel/drivers/virtio/", "kernel/fs/", "kernel/lib/", "kernel/net/"}

// dropped are parts of these that are of no use without the hardware.
var dropped = []string{"kernel/drivers/net/ethernet/", "kernel/drivers/net/wireless/"}

// unpack takes the kernel and its modules out of a package into dir.
func unpack(ctx context.Context, deb, dir string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	found, err := unpackTar(out, dir)
	// dpkg-deb must not wait for somebody to read the rest.
	_, copyErr := io.Copy(io.Discard, out)
	if err := errors.Join(err, copyErr, cmd.Wait()); err != nil {
		return err
	}
	if !found {
		return errors.New("no kernel in it")
	}
	return nil
}

// unpackTar does so with the package's files, and says whether the kernel was
// among them.
func unpackTar(r io.Reader, dir string) (found bool, err error) {
	files := tar.NewReader(r)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		target, isKernel := place(header.Name)
		if target == "" {
			continue
		}
		content, err := io.ReadAll(files)
		if err == nil && isKernel {
			found = true
			content, err = vmlinux(content)
		}
		if err == nil {
			err = write(filepath.Join(dir, target), content)
		}
		if err != nil {
			return found, fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// place says where a file of the package goes, "" for nowhere, and whether it is
// the kernel.
func place(name string) (target string, isKernel bool) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if strings.HasPrefix(name, "boot/vmlinuz-") {
		return imageName, true
	}
	// Merged systems have lib below usr.
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "usr/"), "lib/modules/")
	if !ok {
		return "", false
	}
	_, file, _ := strings.Cut(rest, "/") // behind the release
	if file == builtinList || hasPrefix(file, kept) && !hasPrefix(file, dropped) {
		return path.Join(modulesName, file), false
	}
	return "", false
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

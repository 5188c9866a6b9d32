package vm

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"longwire/test/vm/port"
)

// guestPackage is the first process of a guest.
const guestPackage = "longwire/test/vm/guest"

// busybox is a static program of Debian's package busybox-static. It stands for
// all tools that the guest has from nowhere else.
const busybox = "/bin/busybox"

// buildInitramfs writes the initial file system of a guest, which is all that it
// has.
func buildInitramfs(ctx context.Context, image string, kernel Kernel, o Options) error {
	out, err := os.Create(image)
	if err != nil {
		return err
	}
	defer out.Close()
	buffer := bufio.NewWriterSize(out, 1<<20)
	a := newArchive(buffer)
	for _, add := range []func() error{
		func() error { return a.addInit(ctx, filepath.Dir(image)) },
		func() error { return a.addModules(kernel, append(slices.Clone(baseModules), o.Modules...)) },
		func() error { return a.addTools(ctx, append(slices.Clone(baseTools), o.Tools...)) },
		func() error { return a.addFiles(o.Files) },
		a.close, buffer.Flush,
	} {
		if err := add(); err != nil {
			return err
		}
	}
	return nil
}

// addInit compiles the first process, statically.
func (a *archive) addInit(ctx context.Context, dir string) error {
	path := filepath.Join(dir, "guest-init")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, guestPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", guestPackage, err, out)
	}
	return a.addFiles(map[string]string{"/init": path})
}

// addModules adds modules and what they depend on, and the list of them in the
// order to load them.
func (a *archive) addModules(kernel Kernel, names []string) error {
	tree, err := openModules(kernel.Modules)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := tree.choose(name); err != nil {
			return fmt.Errorf("%s: %w", kernel, err)
		}
	}
	var list strings.Builder
	for _, m := range tree.chosen {
		path := "/lib/modules/" + m.name + ".ko"
		a.file(path, 0o644, m.content)
		fmt.Fprintln(&list, path)
	}
	a.file(port.Modules, 0o644, []byte(list.String()))
	return a.err
}

// addTools adds programs of the host with the libraries that they need, and
// busybox for the rest.
func (a *archive) addTools(ctx context.Context, names []string) error {
	files := map[string]string{busybox: busybox}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("a tool of the guest: %w", err)
		}
		libraries, err := libraries(ctx, path)
		if err != nil {
			return err
		}
		files["/bin/"+name] = path
		for _, library := range libraries {
			files[library] = library
		}
	}
	applets, err := run(ctx, "", busybox, "--list")
	if err != nil {
		return fmt.Errorf("busybox: %w: install Debian's package busybox-static", err)
	}
	for _, applet := range strings.Fields(applets) {
		if path := "/bin/" + applet; files[path] == "" {
			a.link(path, busybox)
		}
	}
	// What scripts begin with.
	a.link("/usr/bin/env", busybox)
	a.file("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/bash\n"))
	a.file("/etc/group", 0o644, []byte("root:x:0:\n"))
	return a.addFiles(files)
}

// libraries returns the shared libraries of a program, its loader among them.
func libraries(ctx context.Context, program string) ([]string, error) {
	out, err := run(ctx, "", "ldd", program)
	if err != nil {
		if strings.Contains(out+err.Error(), "not a dynamic executable") {
			return nil, nil
		}
		return nil, err
	}
	return parseLDD(out), nil
}

// parseLDD returns the files that ldd names: "libc.so.6 => /lib/libc.so.6 (0x…)"
// and "/lib64/ld-linux-x86-64.so.2 (0x…)".
func parseLDD(out string) []string {
	var files []string
	for _, line := range strings.Split(out, "\n") {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
				break
			}
		}
	}
	return files
}

// addFiles adds files of the host, by the path in the guest.
func (a *archive) addFiles(files map[string]string) error {
	for path, source := range files {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		a.file(path, 0o755, content)
	}
	return a.err
}

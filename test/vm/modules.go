package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// module is a kernel module, not compressed.
type module struct {
	name    string
	content []byte
}

// moduleTree finds modules in the files of a kernel package, on which no depmod
// has run.
type moduleTree struct {
	files   map[string]string // by module name
	builtin map[string]bool
	chosen  []module // in the order to load them
	seen    map[string]bool
}

// openModules lists the modules of a directory as Fetch leaves it.
func openModules(dir string) (*moduleTree, error) {
	t := &moduleTree{files: map[string]string{}, builtin: map[string]bool{}, seen: map[string]bool{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".ko") {
			t.files[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(dir, builtinList))
	for _, path := range strings.Fields(string(list)) {
		t.builtin[moduleName(path)] = true
	}
	return t, err
}

// moduleName is the name of the module in a file: "l2tp_ip" of
// ".../l2tp_ip.ko.xz". The kernel takes - and _ for the same.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// choose adds a module behind all that it depends on.
func (t *moduleTree) choose(name string) error {
	name = moduleName(name)
	if t.seen[name] || t.builtin[name] {
		return nil
	}
	t.seen[name] = true
	path, ok := t.files[name]
	if !ok {
		return fmt.Errorf("the kernel has no module %s", name)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
		if content, err = decompress(content); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	needed, err := dependencies(content)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	for _, n := range needed {
		if err := t.choose(n); err != nil {
			return fmt.Errorf("%s, which %s needs: %w", n, name, err)
		}
	}
	t.chosen = append(t.chosen, module{name, content})
	return nil
}

// dependencies returns what a module says that it depends on.
func dependencies(content []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no module information")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	var needed []string
	for _, line := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(line, "depends="); ok && list != "" {
			needed = append(needed, strings.Split(list, ",")...)
		}
	}
	slices.Sort(needed)
	return slices.Compact(needed), nil
}

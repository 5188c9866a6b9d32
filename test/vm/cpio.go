package vm

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// archive writes an initial file system: cpio in the format "newc", which is all
// that a kernel takes (Linux, Documentation/driver-api/early-userspace).
type archive struct {
	w     io.Writer
	inode uint32
	dirs  map[string]bool // that are in it
	err   error           // the first one
}

func newArchive(w io.Writer) *archive { return &archive{w: w, dirs: map[string]bool{"": true}} }

// file adds a regular file with all directories above it.
func (a *archive) file(path string, mode uint32, content []byte) {
	a.parents(path)
	a.entry(path, unix.S_IFREG|mode, content)
}

// link adds a symbolic link with all directories above it.
func (a *archive) link(path, target string) {
	a.parents(path)
	a.entry(path, unix.S_IFLNK|0o777, []byte(target))
}

func (a *archive) parents(path string) {
	path = strings.Trim(path, "/")
	for i, c := range path {
		if dir := path[:i]; c == '/' && !a.dirs[dir] {
			a.dirs[dir] = true
			a.entry(dir, unix.S_IFDIR|0o755, nil)
		}
	}
}

func (a *archive) entry(path string, mode uint32, content []byte) {
	a.inode++
	a.write(a.inode, mode, strings.Trim(path, "/"), content)
}

// close writes the mark of the end and returns the first error of all.
func (a *archive) close() error {
	a.write(0, 0, "TRAILER!!!", nil)
	return a.err
}

func (a *archive) write(inode, mode uint32, name string, content []byte) {
	if a.err != nil {
		return
	}
	// Magic, inode, mode, owner, group, links, time, size, four device numbers,
	// length of the name, checksum.
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0) + name + "\x00"
	for _, part := range [][]byte{[]byte(header), content} {
		if a.err == nil {
			_, a.err = a.w.Write(append(part[:len(part):len(part)], make([]byte, -len(part)&3)...))
		}
	}
}

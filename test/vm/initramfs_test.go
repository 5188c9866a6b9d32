package vm

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestArchive reads an archive by a program that is not ours.
func TestArchive(t *testing.T) {
	var out bytes.Buffer
	a := newArchive(&out)
	a.file("/init", 0o755, []byte("first"))
	a.file("/lib/modules/a.ko", 0o644, []byte("four"))
	a.file("/lib/modules/b.ko", 0o644, nil)
	a.link("/usr/bin/env", "/bin/busybox")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(busybox, "cpio", "-idm")
	cmd.Dir, cmd.Stdin = dir, &out
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	said, err := exec.Command("find", dir, "-mindepth", "1", "-printf", "%P %M %s %l\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(said)), "\n") {
		if !strings.Contains(line, " d") { // whose sizes are the file system's
			got[strings.TrimSpace(line)] = true
		}
	}
	want := map[string]bool{
		"init -rwxr-xr-x 5": true, "lib/modules/a.ko -rw-r--r-- 4": true, "lib/modules/b.ko -rw-r--r-- 0": true,
		"usr/bin/env lrwxrwxrwx 12 /bin/busybox": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestArchiveError keeps the first error of a disk that is full.
func TestArchiveError(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	a := newArchive(near)
	a.file("/init", 0o755, []byte("first"))
	a.link("/b", "/init")
	if err := a.close(); err == nil {
		t.Error("nothing was written, and no error")
	}
}

func TestParseLDD(t *testing.T) {
	out := "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n"
	want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if diff := cmp.Diff(want, parseLDD(out)); diff != "" {
		t.Error(diff)
	}
}

func TestLibraries(t *testing.T) {
	for _, tt := range []struct {
		program string
		some    bool
	}{{"/bin/bash", true}, {busybox, false}} {
		got, err := libraries(context.Background(), tt.program)
		if err != nil || (len(got) > 1) != tt.some {
			t.Errorf("%s needs %v, error %v", tt.program, got, err)
		}
	}
}

package vm

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewest(t *testing.T) {
	names := strings.Fields(`linux-image-6.1.0-9-amd64 linux-image-6.1.0-10-amd64 linux-image-6.1.0-99-cloud-amd64
		linux-image-6.1.0-98-rt-amd64 linux-image-6.1.0-97-amd64-unsigned linux-image-6.1.0-96-amd64-dbg linux-image-6.1.0-95-686
		linux-image-6.12.9+deb12-amd64 linux-image-6.12.100+deb12-amd64 linux-image-6.12.101+deb13-amd64 linux-image-6.12-amd64`)
	for _, tt := range []struct {
		series Series
		names  []string
		want   string
	}{
		{Linux61, names, "linux-image-6.1.0-10-amd64"},
		{Linux612, names, "linux-image-6.12.100+deb12-amd64"},
		{Linux612, nil, ""},
	} {
		if got := tt.series.newest(tt.names); got != tt.want {
			t.Errorf("newest of %v: %q, want %q", tt.series, got, tt.want)
		}
	}
}

func TestCandidate(t *testing.T) {
	for _, tt := range []struct{ policy, want string }{
		{"p:\n  Installed: 1-1\n  Candidate: 6.1.192-2\n", "6.1.192-2"},
		{"p:\n  Installed: (none)\n  Candidate: (none)\n", ""},
		{"", ""},
	} {
		if got, err := candidate(tt.policy); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q: %q, error %v, want %q", tt.policy, got, err, tt.want)
		}
	}
}

// TestFetch has a kernel from the cache the second time.
func TestFetch(t *testing.T) {
	first, err := Fetch(t.Context(), Linux61)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first.Image)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Fetch(t.Context(), Linux61)
	if err != nil || second != first {
		t.Fatalf("%+v, then %+v, error %v", first, second, err)
	}
	if after, err := os.Stat(second.Image); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was fetched again, error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(first.Image)), "*", "*.deb"))
	if err != nil || len(left) > 0 {
		t.Errorf("packages are left: %v, error %v", left, err)
	}
}

// TestSweep leaves downloads alone that may still run.
func TestSweep(t *testing.T) {
	cache := t.TempDir()
	for name, age := range map[string]time.Duration{".incomplete-1": 2 * abandoned, ".incomplete-2": 0, "linux_1": 2 * abandoned} {
		dir := filepath.Join(cache, name)
		if err := write(filepath.Join(dir, "file"), nil); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(dir, then, then); err != nil {
			t.Fatal(err)
		}
	}
	sweep(cache)
	want := map[string]bool{".incomplete-2/file": true, "linux_1/file": true}
	if diff := cmp.Diff(want, tree(t, cache)); diff != "" {
		t.Error(diff)
	}
}

// bzImage makes one of a kernel, compressed by a program.
func bzImage(t *testing.T, setup byte, kernel []byte, compress ...string) []byte {
	t.Helper()
	cmd := exec.Command(compress[0], compress[1:]...)
	cmd.Stdin = bytes.NewReader(kernel)
	packed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	size := len(kernel)
	packed = append(packed, byte(size), byte(size>>8), byte(size>>16), byte(size>>24))
	sectors := int(setup)
	if sectors == 0 {
		sectors = 4
	}
	const gap = 100 // from the end of the setup code to the payload
	image := make([]byte, (sectors+1)*512+gap, (sectors+1)*512+gap+len(packed)+50)
	image[0x1f1] = setup
	copy(image[0x202:], "HdrS")
	image[0x248] = gap
	image[0x24c], image[0x24d] = byte(len(packed)), byte(len(packed)>>8)
	return append(append(image, packed...), make([]byte, 50)...)
}

func TestVmlinux(t *testing.T) {
	kernel := bytes.Repeat([]byte("kernel"), 1000)
	for _, compress := range [][]string{{"xz", "-c"}, {"zstd", "-cq"}} {
		for _, setup := range []byte{0, 4, 27} {
			got, err := vmlinux(bzImage(t, setup, kernel, compress...))
			if err != nil || !bytes.Equal(got, kernel) {
				t.Errorf("%s, %d sectors: %d bytes, error %v", compress[0], setup, len(got), err)
			}
		}
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"no bzImage":                       func(b []byte) []byte { b[0x202] = 'h'; return b },
		"with its kernel at":               func(b []byte) []byte { return b[:len(b)-60] },
		"compressed in an unknown format":  func(b []byte) []byte { b[5*512+100] = 0; return b },
		"of 6000 bytes in a bzImage that":  func(b []byte) []byte { b[len(b)-54]++; return b },
		"xz: exit status 1: xz: (stdin): ": func(b []byte) []byte { b[5*512+100+20] ^= 0xff; return b },
	} {
		if _, err := vmlinux(spoil(bzImage(t, 4, kernel, "xz", "-c"))); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
	if _, err := vmlinux(nil); err == nil {
		t.Error("nothing is taken for a kernel")
	}
}

// TestUnpack keeps the kernel and the modules of networks, wherever a package
// has them.
func TestUnpack(t *testing.T) {
	kernel := []byte("kernel")
	files := map[string]string{
		"./boot/vmlinuz-6.1.0-56-amd64":                                string(bzImage(t, 4, kernel, "xz", "-c")),
		"./boot/config-6.1.0-56-amd64":                                 "",
		"./lib/modules/6.1.0-56-amd64/kernel/net/l2tp/l2tp_eth.ko":     "a",
		"./usr/lib/modules/6.1/kernel/drivers/net/veth.ko.xz":          "b",
		"./lib/modules/6.1/kernel/drivers/net/ethernet/intel/e1000.ko": "",
		"./lib/modules/6.1/kernel/sound/core/snd.ko":                   "",
		"./lib/modules/6.1/modules.builtin":                            "c",
		"./usr/share/doc/changelog":                                    "",
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if found, err := unpackTar(&packed, dir); err != nil || !found {
		t.Fatalf("found %v, error %v", found, err)
	}
	got := map[string]string{}
	for name := range tree(t, dir) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(content)
	}
	want := map[string]string{
		"vmlinux": "kernel", "modules/kernel/net/l2tp/l2tp_eth.ko": "a",
		"modules/kernel/drivers/net/veth.ko.xz": "b", "modules/modules.builtin": "c",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// tree lists the files below a directory.
func tree(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			names[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestModules loads nothing before what it needs, in both kernels.
func TestModules(t *testing.T) {
	for _, s := range []Series{Linux61, Linux612} {
		kernel, err := Fetch(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		modules, err := openModules(kernel.Modules)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"l2tp_ip6", "l2tp-eth", "l2tp_eth", "8021q", "ipv6"} {
			if err := modules.choose(name); err != nil {
				t.Fatal(err)
			}
		}
		var order []string
		for _, m := range modules.chosen {
			order = append(order, m.name)
		}
		for _, pair := range [][2]string{{"udp_tunnel", "l2tp_core"}, {"l2tp_core", "l2tp_ip6"}, {"l2tp_ip", "l2tp_ip6"}, {"l2tp_netlink", "l2tp_eth"}, {"llc", "8021q"}} {
			first, second := slices.Index(order, pair[0]), slices.Index(order, pair[1])
			if first < 0 || second < first {
				t.Errorf("%v: %s and %s in %v", kernel, pair[0], pair[1], order)
			}
		}
		// ipv6 is built in.
		if slices.Contains(order, "ipv6") || len(slices.Compact(slices.Sorted(slices.Values(order)))) != len(order) {
			t.Errorf("%v: built in or twice in %v", kernel, order)
		}
	}
}

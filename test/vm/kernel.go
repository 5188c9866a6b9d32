package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Series is a line of Debian's kernels for amd64, of which there is always one
// newest.
type Series struct {
	name    string         // "6.1"
	prefix  string         // of the packages' names
	pattern *regexp.Regexp // of their whole names; its group rises with each release
}

// The kernels that Debian 12 has: its own, and the newer one of its updates. The
// patterns leave out those for clouds, for real time and without a signature.
var (
	Linux61  = series("6.1", `linux-image-6.1.`, `^linux-image-6\.1\.0-(\d+)-amd64$`)
	Linux612 = series("6.12", `linux-image-6.12.`, `^linux-image-6\.12\.(\d+)\+deb12-amd64$`)
)

func series(name, prefix, pattern string) Series {
	return Series{name: name, prefix: prefix, pattern: regexp.MustCompile(pattern)}
}

// String returns the version that all kernels of the series have in common.
func (s Series) String() string { return s.name }

// Kernel is a Debian kernel that was fetched.
type Kernel struct {
	Package string // "linux-image-6.1.0-56-amd64"
	Version string // of the package, "6.1.192-2"
	Image   string // the file that QEMU starts, a vmlinux
	Modules string // the directory of its modules
}

// String names the kernel as tables do: "Linux 6.1.192-2 (Debian)".
func (k Kernel) String() string { return fmt.Sprintf("Linux %s (Debian)", k.Version) }

// Names in the cache.
const (
	imageName   = "vmlinux"
	modulesName = "modules"
	builtinList = "modules.builtin"
	incomplete  = ".incomplete-" // begins the name of a download
)

// abandoned is how long nothing has happened in a download that was killed.
const abandoned = time.Hour

// Fetch returns the newest kernel of a series that Debian offers. It is
// downloaded, about 70 MB, unless the cache in the user's cache directory
// (XDG_CACHE_HOME) has that version already. Processes that fetch at the same
// time do not disturb each other.
func Fetch(ctx context.Context, s Series) (Kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Kernel{}, fmt.Errorf("fetch Linux %s: no cache directory: %w", s, err)
	}
	kernel, err := fetch(ctx, s, filepath.Join(cache, "longwire", "kernels"))
	if err == nil {
		return kernel, nil
	}
	// The lists of a fresh machine are empty, others are out of date.
	if _, updateErr := run(ctx, "", "apt-get", "update", "-qq"); updateErr != nil {
		return Kernel{}, fmt.Errorf("fetch Linux %s: %w", s, errors.Join(err, updateErr))
	}
	if kernel, err = fetch(ctx, s, filepath.Join(cache, "longwire", "kernels")); err != nil {
		err = fmt.Errorf("fetch Linux %s: %w", s, err)
	}
	return kernel, err
}

func fetch(ctx context.Context, s Series, cache string) (Kernel, error) {
	names, err := run(ctx, "", "apt-cache", "pkgnames", s.prefix)
	if err != nil {
		return Kernel{}, err
	}
	kernel := Kernel{Package: s.newest(strings.Fields(names))}
	if kernel.Package == "" {
		return Kernel{}, fmt.Errorf("apt knows no package %s", s.pattern)
	}
	policy, err := run(ctx, "", "apt-cache", "policy", kernel.Package)
	if err != nil {
		return Kernel{}, err
	}
	if kernel.Version, err = candidate(policy); err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", kernel.Package, err)
	}
	// Only a complete directory has this name.
	dir := filepath.Join(cache, kernel.Package+"_"+kernel.Version)
	kernel.Image, kernel.Modules = filepath.Join(dir, imageName), filepath.Join(dir, modulesName)
	if _, err := os.Stat(dir); err == nil {
		return kernel, nil
	}
	return kernel, download(ctx, kernel, dir)
}

// newest returns the package of the series with the highest number, "" for none.
func (s Series) newest(names []string) string {
	newest, highest := "", -1
	for _, name := range names {
		m := s.pattern.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		if number, err := strconv.Atoi(m[1]); err == nil && number > highest {
			newest, highest = name, number
		}
	}
	return newest
}

// candidate returns the version that apt would install, by "apt-cache policy".
func candidate(policy string) (string, error) {
	for _, line := range strings.Split(policy, "\n") {
		version, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: ")
		if ok && version != "(none)" {
			return version, nil
		}
	}
	return "", errors.New("apt has no version of it")
}

// download fetches a kernel into a directory beside dir, which becomes dir when
// all is there.
func download(ctx context.Context, kernel Kernel, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	sweep(filepath.Dir(dir))
	work, err := os.MkdirTemp(filepath.Dir(dir), incomplete)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	// As root apt would download as another user, who cannot write here.
	if _, err := run(ctx, work, "apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root",
		kernel.Package+"="+kernel.Version); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("apt-get download left %d packages: %w", len(packages), err)
	}
	if err := unpack(ctx, packages[0], work); err != nil {
		return fmt.Errorf("unpack %s: %w", kernel.Package, err)
	}
	if err := os.Remove(packages[0]); err != nil {
		return err
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	err = os.Rename(work, dir)
	if _, statErr := os.Stat(dir); err != nil && statErr == nil {
		return nil // somebody else was faster
	}
	return err
}

// sweep removes what downloads have left that were killed.
func sweep(cache string) {
	left, err := filepath.Glob(filepath.Join(cache, incomplete+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > abandoned {
			// What cannot be removed is in nobody's way.
			_ = os.RemoveAll(dir)
		}
	}
}

// run runs a command of the host in a directory and returns its standard output;
// the error holds what it wrote to standard error.
func run(ctx context.Context, dir string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

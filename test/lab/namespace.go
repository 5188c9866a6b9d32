package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// netnsDir is where ip(8) keeps the named namespaces.
const netnsDir = "/run/netns"

// Namespace is one network namespace of a lab: a customer's host, a PE, a
// router.
type Namespace struct {
	lab *Lab
	// Role is its name in the lab: "ce1", "pe1", "p".
	Role string
	// Name is its name in the system.
	Name   string
	ns     netns.NsHandle
	handle *netlink.Handle
}

// Namespace makes a namespace, with loopback up and without IPv6 duplicate
// address detection, which would delay every address by a second.
func (l *Lab) Namespace(role string) *Namespace {
	l.tb.Helper()
	n := &Namespace{lab: l, Role: role, Name: l.id + "-" + role}
	if _, err := run(l.tb.Context(), "ip", "netns", "add", n.Name); err != nil {
		l.tb.Fatalf("%v", err)
	}
	l.tb.Cleanup(n.remove)
	var err error
	if n.ns, err = netns.GetFromPath(n.Path()); err != nil {
		l.tb.Fatalf("open namespace %s: %v", n.Name, err)
	}
	if n.handle, err = netlink.NewHandleAt(n.ns); err != nil {
		l.tb.Fatalf("netlink in %s: %v", n.Name, err)
	}
	n.Sysctl("net/ipv6/conf/all/accept_dad", "0")
	n.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	// Packets may come by another link than the one that answers leave by.
	n.Sysctl("net/ipv4/conf/all/rp_filter", "0")
	n.Sysctl("net/ipv4/conf/default/rp_filter", "0")
	n.Up("lo")
	return n
}

func (n *Namespace) remove() {
	if n.handle != nil {
		n.handle.Close()
	}
	if n.ns.IsOpen() {
		n.ns.Close()
	}
	if err := removeNamespace(n.Name); err != nil {
		n.lab.tb.Errorf("%v", err)
	}
}

// Lab returns the lab that the namespace is in.
func (n *Namespace) Lab() *Lab { return n.lab }

// Path returns the file that stands for the namespace.
func (n *Namespace) Path() string { return netnsDir + "/" + n.Name }

// Do runs f on a thread that is in the namespace. Sockets that f opens stay in
// the namespace; goroutines that f starts do not.
func (n *Namespace) Do(f func() error) error {
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			errs <- err
			return
		}
		defer home.Close()
		if err := netns.Set(n.ns); err != nil {
			errs <- fmt.Errorf("enter %s: %w", n.Name, err)
			return
		}
		err = f()
		// A thread that cannot come home stays locked and ends here.
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		errs <- err
	}()
	return <-errs
}

// Command returns a command that will run in the namespace. It keeps the mounts
// of the host, so that pins in a bpf file system are seen.
func (n *Namespace) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + n.Path(), "--"}, argv...)...)
}

// Try runs a command in the namespace and returns its standard output; the
// error holds its standard error.
func (n *Namespace) Try(argv ...string) (string, error) {
	cmd := n.Command(n.lab.tb.Context(), argv...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w: %s", n.Role, strings.Join(argv, " "), err,
			strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// Run is Try for commands that must succeed.
func (n *Namespace) Run(argv ...string) string {
	n.lab.tb.Helper()
	out, err := n.Try(argv...)
	if err != nil {
		n.lab.tb.Fatalf("%v", err)
	}
	return out
}

// Sysctl sets a value under /proc/sys.
func (n *Namespace) Sysctl(key, value string) {
	n.lab.tb.Helper()
	err := n.Do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) })
	if err != nil {
		n.lab.tb.Fatalf("%s: sysctl: %v", n.Role, err)
	}
}

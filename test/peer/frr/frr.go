// Package frr runs the bgpd of FRR, as Debian packages it, in a namespace of a
// lab and in whatever role its configuration says.
package frr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longwire/test/lab"
)

// program is where Debian puts the daemon.
const program = "/usr/lib/frr/bgpd"

// startTime is how long bgpd may take to start, on a busy machine.
const startTime = 20 * time.Second

// advice is what to do when the package is missing.
const advice = "install Debian's package frr (apt-get install --no-install-recommends frr)"

// installed returns an error unless the program is there.
func installed() error {
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return nil
}

// Version returns the version of the package, which says more than the program
// does: 8.4.4-1.1~deb12u2.
func Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "frr").Output()
	if err != nil {
		return "", fmt.Errorf("dpkg-query -W frr: %w; %s", err, advice)
	}
	return string(out), nil
}

// Router is a bgpd. Without a zebra it speaks BGP and leaves the kernel's routes
// alone.
type Router struct {
	*lab.Daemon
	// Dir is its own directory: configuration, process id, sockets.
	Dir       string
	lab       *lab.Lab
	namespace *lab.Namespace
	argv      []string
}

// Start starts a bgpd in a namespace with a configuration in the words of
// frr.conf, and returns when it has read it. name, unique in the lab, names its
// directory and log; flags are more flags of bgpd. It has no zebra unless they
// name the socket of one: "-z", path.
func Start(n *lab.Namespace, name, config string, flags ...string) *Router {
	l := n.Lab()
	r := &Router{Dir: l.Mkdir(name), lab: l, namespace: n}
	l.Write(filepath.Join(name, "frr.conf"), config)
	// vtysh complains when it has none.
	l.Write(filepath.Join(name, "vtysh.conf"), "no service integrated-vtysh-config\n")
	// As root, for the directories are root's: -S. No telnet.
	r.argv = append([]string{program, "-S", "-P", "0", "--log", "stdout", "--vty_socket", r.Dir,
		"-f", filepath.Join(r.Dir, "frr.conf"), "-i", filepath.Join(r.Dir, "bgpd.pid")}, flags...)
	if !slices.Contains(flags, "-z") {
		r.argv = append(r.argv, "-Z")
	}
	r.launch(name)
	return r
}

func (r *Router) launch(name string) {
	r.Daemon = r.namespace.Start(name, r.argv...)
	r.lab.Poll(startTime, "bgpd "+name, func() error {
		_, err := r.Vtysh("show version")
		return errors.Join(err, r.Running(), installed())
	})
}

// Restart starts bgpd again after it was killed or stopped, with the
// configuration that it was started with.
func (r *Router) Restart() { r.launch(r.Name) }

// Vtysh runs commands, as typed into vtysh one after the other, and returns what
// they print.
func (r *Router) Vtysh(commands ...string) (string, error) {
	argv := []string{"vtysh", "--vty_socket", r.Dir, "--config_dir", r.Dir, "-d", "bgpd"}
	for _, command := range commands {
		argv = append(argv, "-c", command)
	}
	out, err := r.namespace.Try(argv...)
	if err != nil {
		return out, fmt.Errorf("%w: %s", err, strings.TrimSpace(out))
	}
	return out, nil
}

// Configure changes the running configuration line by line, beginning at the
// top level.
func (r *Router) Configure(lines ...string) error {
	_, err := r.Vtysh(append([]string{"configure terminal"}, lines...)...)
	return err
}

// JSON runs a show command, to which it adds the word json, and decodes what it
// prints into.
func (r *Router) JSON(into any, command string) error {
	out, err := r.Vtysh(command + " json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s json: %w: %s", command, err, out)
	}
	return nil
}

// Established returns how many of bgpd's neighbours have a session.
func (r *Router) Established() (int, error) {
	var neighbors map[string]struct {
		State string `json:"bgpState"`
	}
	if err := r.JSON(&neighbors, "show bgp neighbors"); err != nil {
		return 0, err
	}
	count := 0
	for _, n := range neighbors {
		if n.State == "Established" {
			count++
		}
	}
	return count, nil
}

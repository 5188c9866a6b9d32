// Package frr runs the bgpd of FRR, as Debian packages it, in a namespace of a
// lab and in whatever role its configuration says: alone, or with the zebra that
// tells it which next hops are reachable.
package frr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// Router is a bgpd.
type Router struct {
	*lab.Daemon
	// Dir is its own directory: configuration, process id, sockets.
	Dir       string
	lab       *lab.Lab
	namespace *lab.Namespace
	argv      []string
	zebra     *lab.Daemon // nil if bgpd is alone
}

// Start starts a bgpd without a zebra: it takes every next hop as reachable, and
// leaves the kernel's routes alone. The configuration is in the words of
// frr.conf. name, unique in the lab, names its directory and log; flags are more
// flags of bgpd. It returns when the configuration is in force.
func Start(n *lab.Namespace, name, config string, flags ...string) *Router {
	r := prepare(n, name, config)
	r.argv = append(r.common(program, "frr.conf"), append([]string{"-S", "-Z"}, flags...)...)
	r.launch(name)
	return r
}

// StartWithZebra starts zebra and bgpd, as Debian's service does, and has vtysh
// load the configuration into both.
func StartWithZebra(n *lab.Namespace, name, config string, flags ...string) *Router {
	r := prepare(n, name, config)
	r.startZebra(name + "-zebra")
	r.argv = append(r.common(program, "bgpd.conf"), append([]string{"-S", "-z", r.zserv()}, flags...)...)
	r.launch(name)
	return r
}

func prepare(n *lab.Namespace, name, config string) *Router {
	l := n.Lab()
	r := &Router{Dir: l.Mkdir(name), lab: l, namespace: n}
	l.Write(filepath.Join(name, "frr.conf"), config)
	// vtysh complains when it has none, and the daemons when theirs are not there.
	for _, file := range []string{"vtysh.conf", "bgpd.conf", "zebra.conf"} {
		l.Write(filepath.Join(name, file), "")
	}
	return r
}

// common is the beginning of a daemon's command line. Telnet is off.
func (r *Router) common(program, config string) []string {
	return []string{program, "-P", "0", "--log", "stdout", "--vty_socket", r.Dir,
		"-f", filepath.Join(r.Dir, config), "-i", filepath.Join(r.Dir, filepath.Base(program)+".pid")}
}

// launch starts bgpd. As root, for the directories are root's: hence -S above.
func (r *Router) launch(name string) {
	r.Daemon = r.namespace.Start(name, r.argv...)
	r.lab.Poll(startTime, "bgpd "+name, func() error {
		_, err := r.Vtysh("show version")
		if err == nil && r.zebra != nil {
			_, err = r.vtysh("-b")
		}
		return errors.Join(err, r.Running(), installed())
	})
}

// Restart starts bgpd again after it was killed or stopped, with the
// configuration that it was started with.
func (r *Router) Restart() { r.launch(r.Name) }

// Vtysh runs commands of bgpd, as typed into vtysh one after the other, and
// returns what they print.
func (r *Router) Vtysh(commands ...string) (string, error) {
	argv := []string{"-d", "bgpd"}
	for _, command := range commands {
		argv = append(argv, "-c", command)
	}
	return r.vtysh(argv...)
}

func (r *Router) vtysh(argv ...string) (string, error) {
	out, err := r.namespace.Try(append([]string{"vtysh", "--vty_socket", r.Dir, "--config_dir", r.Dir}, argv...)...)
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

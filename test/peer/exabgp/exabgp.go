// Package exabgp starts ExaBGP in a namespace: a BGP speaker that sends routes
// as they are written, right or wrong, and prints those that it receives.
package exabgp

import (
	_ "embed" // of the Python programs
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"longwire/test/lab"
)

// python is the interpreter that Debian's ExaBGP belongs to. Another one in the
// path would not find it.
const python = "/usr/bin/python3"

// adroutes is ExaBGP with a word for Ethernet A-D routes in its configuration.
//
//go:embed adroutes.py
var adroutes string

// receiver is the process to which ExaBGP gives what it receives.
//
//go:embed receiver.py
var receiver string

// environment keeps ExaBGP as root, since it writes into the lab's directory,
// and without its command line, whose pipes are of the host.
const environment = `[exabgp.daemon]
user = 'root'
drop = false
[exabgp.log]
level = INFO
destination = 'stdout'
[exabgp.api]
cli = false
`

// Speaker is a running ExaBGP.
type Speaker struct {
	*lab.Daemon
	tb       testing.TB
	lab      *lab.Lab
	name     string
	receiver string // path of the program
	output   string // what it has received, in JSON
}

// Start starts ExaBGP in a namespace of a lab.
func Start(tb testing.TB, l *lab.Lab, n *lab.Namespace, c Config) *Speaker {
	tb.Helper()
	name := "exabgp-" + n.Role
	s := &Speaker{tb: tb, lab: l, name: name, output: l.Path(name + ".json")}
	program, env := l.Write("adroutes.py", adroutes), l.Write(name+".env", environment)
	s.receiver = l.Write("receiver.py", receiver)
	s.Daemon = n.Start(name, python, program, "--env", env, s.write(c))
	return s
}

// write writes the configuration file and returns its path.
func (s *Speaker) write(c Config) string {
	return s.lab.Write(s.name+".conf", c.text(s.receiver, s.output))
}

// Change gives it another configuration, as a reload does: sessions stay, and of
// routes only what differs is sent.
func (s *Speaker) Change(c Config) {
	s.tb.Helper()
	s.write(c)
	s.Signal(syscall.SIGUSR1)
}

// Column returns the name and version of the installed ExaBGP, as it says
// itself: "ExaBGP 4.2.21". The error says what to install.
func Column() (string, error) {
	out, err := exec.Command("exabgp", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask ExaBGP for its version (Debian's package is exabgp): %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	_, version, found := strings.Cut(line, ":")
	if !found {
		return "", fmt.Errorf("ExaBGP says nothing of its version: %q", line)
	}
	return "ExaBGP " + strings.TrimSpace(version), nil
}

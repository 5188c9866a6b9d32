package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ProgramsVariable is the environment variable that names a directory where the
// commands have been built already, for machines without Go.
const ProgramsVariable = "LONGWIRE_PROGRAMS"

// Build compiles a command of this module into dir and returns its path.
func Build(dir, pkg string) (string, error) {
	if built := os.Getenv(ProgramsVariable); built != "" {
		return filepath.Join(built, filepath.Base(pkg)), nil
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// Agent is a longwire agent on a PE.
type Agent struct {
	*PE
	// Binary is the program.
	Binary string
	// File, Runtime, Socket and Pins are the paths of its configuration, its
	// runtime directory, its control socket and its directory in a bpf file
	// system.
	File, Runtime, Socket, Pins string
	// Wrapper is a command, with its arguments, that starts the agent: setpriv,
	// for example.
	Wrapper []string
	daemon  *Daemon
}

// Agent prepares an agent on a PE without starting it. The configuration's
// state section is filled in.
func (t *Topology) Agent(binary string, pe *PE, config Config) *Agent {
	t.tb.Helper()
	a := &Agent{
		PE: pe, Binary: binary, Runtime: t.Path(pe.Role + ".run"),
		Socket: t.Path(pe.Role + ".run/longwire.sock"),
		Pins:   t.BPFFS() + "/" + pe.Role,
	}
	a.Configure(config)
	return a
}

// Configure writes the agent's configuration file.
func (a *Agent) Configure(config Config) {
	a.lab.tb.Helper()
	config.State = State{Runtime: a.Runtime, Pins: a.Pins}
	text, err := config.YAML()
	if err != nil {
		a.lab.tb.Fatalf("configuration of %s: %v", a.Role, err)
	}
	a.File = a.lab.Write(a.Role+".yaml", text)
}

// launchTime is how long an agent may take to start: its self-test makes
// namespaces and sends packets, on a machine that may be busy or emulated.
const launchTime = 3 * time.Minute

// Launch starts the agent and waits until its control socket answers.
func (a *Agent) Launch() {
	a.lab.tb.Helper()
	argv := append(append([]string(nil), a.Wrapper...), a.Binary, "agent", "-c", a.File)
	a.daemon = a.Start("agent-"+a.Role, argv...)
	a.lab.Poll(launchTime, "agent of "+a.Role, func() error {
		if err := a.daemon.Running(); err != nil {
			a.lab.tb.Fatalf("agent of %s: %v", a.Role, err)
		}
		_, err := a.Show("pseudowires")
		return err
	})
}

// Daemon returns the running agent's process.
func (a *Agent) Daemon() *Daemon { return a.daemon }

// Longwire runs a verb of longwire on the PE and returns what it prints.
func (a *Agent) Longwire(verb ...string) (string, error) {
	return a.Try(append([]string{a.Binary}, verb...)...)
}

// Show runs "longwire show" and returns the table that a person would see.
func (a *Agent) Show(what string) (string, error) {
	return a.Longwire("show", what, "--socket", a.Socket)
}

// Read runs "longwire show -o json" with more flags and decodes it into.
func (a *Agent) Read(what string, into any, flags ...string) error {
	out, err := a.Longwire(append([]string{"show", what, "-o", "json", "--socket", a.Socket}, flags...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("show %s -o json: %w: %s", what, err, out)
	}
	return nil
}

// Reload makes the agent read its configuration again.
func (a *Agent) Reload() error {
	_, err := a.Longwire("reload", "--socket", a.Socket)
	return err
}

// Uninstall stops the agent if it runs and removes everything that longwire put
// into the kernel.
func (a *Agent) Uninstall() error {
	if a.daemon != nil && a.daemon.Running() == nil {
		a.daemon.Stop()
	}
	_, err := a.Longwire("uninstall", "-c", a.File)
	return err
}

// Leftovers lists what is still there after an uninstall: pins, helper devices,
// tc programs and qdiscs.
func (a *Agent) Leftovers() []string {
	a.lab.tb.Helper()
	var left []string
	// The directory itself is gone, or empty.
	if entries, err := os.ReadDir(a.Pins); err == nil {
		for _, e := range entries {
			left = append(left, "pin "+e.Name())
		}
	}
	for _, dev := range a.Links() {
		if dev != "lo" && !strings.HasPrefix(dev, "ac") && !strings.HasPrefix(dev, "ul") {
			left = append(left, "device "+dev)
		}
	}
	for _, line := range strings.Split(a.Run("tc", "qdisc", "show"), "\n") {
		if strings.Contains(line, "clsact") || strings.Contains(line, "ingress") {
			left = append(left, "qdisc "+line)
		}
	}
	for _, dev := range a.Links() {
		if n := a.TCX(dev); n > 0 {
			left = append(left, fmt.Sprintf("%d TCX programs on %s", n, dev))
		}
	}
	return left
}

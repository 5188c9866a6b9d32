package clab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"longwire/test/lab"
)

const (
	// engineTime is how long dockerd may take to answer, on a busy machine.
	engineTime = time.Minute
	// commandTime is how long a command may take, a deployment included.
	commandTime = 3 * time.Minute
	// endTime is how long the processes of an engine may take to be gone.
	endTime = 20 * time.Second
)

// packagePath is where Debian's packages put their programs. Another docker in
// the PATH of the user is not the one that is meant.
const packagePath = "/usr/sbin:/usr/bin:/sbin:/bin"

// engine is a dockerd in namespaces of its own.
type engine struct {
	*lab.Lab
	daemon *lab.Daemon
	pid    int // of the first process in the namespaces, as the host sees it
}

// newEngine starts an engine that ends with the test, and everything in it.
func newEngine(t *testing.T) *engine {
	t.Helper()
	for _, program := range []string{"dockerd", "containerd", "runc", "docker"} {
		if _, err := exec.LookPath("/usr/bin/" + program); err == nil {
			continue
		}
		if _, err := exec.LookPath("/usr/sbin/" + program); err != nil {
			t.Fatalf("there is no %s in %s: apt-get install docker.io", program, packagePath)
		}
	}
	script, err := filepath.Abs("testdata/engine.sh")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Lab: lab.New(t)}
	if err := sweepCgroups(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeCgroups(e.ID()); err != nil {
			t.Error(err)
		}
	})
	network := e.Namespace("docker")
	e.daemon = network.Start("dockerd", "env", "PATH="+packagePath,
		"unshare", "--mount", "--pid", "--fork", "--kill-child", "--", script, e.Dir(), "/"+e.ID())
	t.Cleanup(func() {
		if err := e.end(); err != nil {
			t.Error(err)
		}
	})
	e.Poll(engineTime, "dockerd", func() error {
		if err := e.daemon.Running(); err != nil {
			return err
		}
		if err := e.find(); err != nil {
			return err
		}
		_, err := e.try("docker", "version")
		return err
	})
	return e
}

// find looks for the first process in the namespaces, which is the only child of
// unshare.
func (e *engine) find() error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", e.daemon.PID()))
	if err != nil {
		return err
	}
	if e.pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("the children of unshare are %q", text)
	}
	return nil
}

// end kills the first process in the namespaces and waits until the kernel has
// ended the others for it. Stopping them in order would keep nothing that is
// wanted, and take the time that processes have which do not obey.
func (e *engine) end() error {
	if e.pid == 0 {
		e.daemon.Kill()
		return nil
	}
	if err := syscall.Kill(e.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return lab.Await(endTime, func() error {
		if e.daemon.Running() == nil {
			return fmt.Errorf("dockerd with process id %d does not end", e.pid)
		}
		return nil
	})
}

// socket is what DOCKER_HOST says of the engine.
func (e *engine) socket() string { return "unix://" + e.Path("docker.sock") }

// command returns a command that will run where dockerd runs. Of the host's
// environment it has nothing.
func (e *engine) command(ctx context.Context, argv ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(e.pid), "--net", "--mount", "--pid", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
	cmd.Env = []string{"PATH=" + packagePath, "HOME=" + e.Dir(), "DOCKER_HOST=" + e.socket(),
		"CLAB_VERSION_CHECK=disable", "NO_COLOR=1"}
	// nsenter forks; what it has started ends with the engine at the latest.
	cmd.WaitDelay = time.Second
	return cmd
}

// try runs a command where dockerd runs and returns its standard output; the error
// holds its standard error.
func (e *engine) try(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	return output(e.command(ctx, argv...), strings.Join(argv, " "))
}

func output(cmd *exec.Cmd, what string) (string, error) {
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", what, err, strings.TrimSpace(errOut.String()+out.String()))
	}
	return out.String(), nil
}

// imaging lets the first test find the packages, and the others find what it kept.
var imaging sync.Mutex

// images lets the user's script make the images.
func (e *engine) images(t *testing.T) {
	t.Helper()
	imaging.Lock()
	defer imaging.Unlock()
	cmd := exec.CommandContext(t.Context(), users+"/images.sh")
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.socket())
	if path, err := exec.LookPath("go"); err == nil {
		cmd.Env = append(cmd.Env, "PATH="+packagePath+":"+filepath.Dir(path))
	}
	out, err := output(cmd, "images.sh")
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Fields(out); len(names) != 3 {
		t.Fatalf("the script made %v, want three images", names)
	}
}

// Command guest is the first process of a virtual machine of package vm: it
// mounts the kernel's file systems, loads modules and runs what the host asks
// for.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"longwire/test/vm/port"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the first process of a virtual machine, and nothing else")
		os.Exit(2)
	}
	// The end of the first process is a kernel panic, which ends the machine: the
	// host sees that, and this as the last line of the console.
	fmt.Fprintln(os.Stderr, "guest:", serve())
}

// serve prepares the guest and answers requests until the port fails.
func serve() error {
	prepared := errors.Join(mounts(), settings(), modules(), share())
	file, err := openPort()
	if err != nil {
		return errors.Join(prepared, err)
	}
	p := &answers{to: json.NewEncoder(file)}
	ready := port.Answer{}
	if prepared != nil {
		ready.Error = prepared.Error()
	}
	if err := p.send(ready); err != nil {
		return err
	}
	requests := json.NewDecoder(bufio.NewReader(file))
	for {
		var r port.Request
		if err := requests.Decode(&r); err != nil {
			return fmt.Errorf("read the port: %w", err)
		}
		if r.ID == 0 {
			unix.Sync()
			return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
		go func() {
			if err := p.send(run(r)); err != nil {
				fmt.Fprintln(os.Stderr, "guest: answer:", err)
			}
		}()
	}
}

// answers writes one answer at a time.
type answers struct {
	mu sync.Mutex
	to *json.Encoder
}

func (p *answers) send(a port.Answer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to.Encode(a)
}

// openPort finds the port by its name, which appears some time after its
// driver. It is opened once: bytes are lost while it is closed.
func openPort() (*os.File, error) {
	const patience = 10 * time.Second
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(5 * time.Millisecond) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err == nil && strings.TrimSpace(string(text)) == port.Name {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(name)), os.O_RDWR, 0)
			}
		}
	}
	return nil, fmt.Errorf("no port %s within %v", port.Name, patience)
}

// run runs a script. Its output goes to a file, so that it may leave processes
// behind.
func run(r port.Request) port.Answer {
	a := port.Answer{ID: r.ID, Code: -1}
	out, err := os.CreateTemp("", "output-")
	if err != nil {
		a.Error = err.Error()
		return a
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.Command("/bin/bash", "-c", r.Script)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		a.Error = err.Error()
		return a
	}
	killer := time.AfterFunc(r.Within, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	_ = cmd.Wait() // the exit status is in its state
	if !killer.Stop() {
		a.Error = fmt.Sprintf("killed after %v", r.Within)
	}
	a.Code = cmd.ProcessState.ExitCode()
	if _, err = out.Seek(0, io.SeekStart); err == nil {
		a.Output, err = io.ReadAll(out)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

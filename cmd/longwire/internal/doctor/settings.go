package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/cmd/longwire/internal/agent"
	"longwire/cmd/longwire/internal/config"
)

// config reads the configuration. Without a valid one the rest looks at the
// defaults.
func (h *host) config() finding {
	h.cfg = &config.Config{State: config.DefaultState(), Underlay: config.Underlay{Auto: true}}
	if _, err := os.Stat(h.file); errors.Is(err, os.ErrNotExist) && !h.asked {
		return ok(fmt.Sprintf("there is no %s; the rest looks at the defaults", h.file))
	}
	cfg, err := config.Load(h.file)
	if err != nil {
		return failed(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	h.cfg = cfg
	return ok(fmt.Sprintf("%s: %d pseudowires, %d BGP neighbors", h.file, len(cfg.Pseudowires), len(cfg.BGP.Neighbors)))
}

// capabilities looks at those of this process; a service may have others.
func (h *host) capabilities() finding {
	if err := agent.CheckCapabilities(); err != nil {
		return failed(err.Error())
	}
	var notes []string
	for _, c := range []struct {
		value cap.Value
		use   string
	}{
		{cap.SYS_ADMIN, "to mount a bpf file system and for the whole self-test"},
		{cap.NET_BIND_SERVICE, "to listen on port 179"},
	} {
		if has, err := cap.GetProc().GetFlag(cap.Effective, c.value); err != nil || !has {
			notes = append(notes, fmt.Sprintf("%s is missing, which is wanted %s", strings.ToUpper(c.value.String()), c.use))
		}
	}
	return ok(notes...)
}

// bpffs looks at the place of the pins. The agent mounts the usual one itself.
func (h *host) bpffs() finding {
	const usual = "/sys/fs/bpf"
	pins := h.cfg.State.Pins
	if onBPFFS(pins) {
		return ok(pins)
	}
	if pins != usual && !strings.HasPrefix(pins, usual+"/") {
		return failed(fmt.Sprintf("%s is on no bpf file system: mount one there", pins))
	}
	if has, err := cap.GetProc().GetFlag(cap.Effective, cap.SYS_ADMIN); err != nil || !has {
		return failed(fmt.Sprintf("nothing is mounted on %s: mount -t bpf bpf %s", usual, usual))
	}
	return ok(fmt.Sprintf("nothing is mounted on %s yet; an agent with CAP_SYS_ADMIN does it", usual))
}

// onBPFFS looks at a path, or at its closest parent that exists.
func onBPFFS(path string) bool {
	for {
		var fs unix.Statfs_t
		if err := unix.Statfs(path, &fs); err == nil {
			return fs.Type == unix.BPF_FS_MAGIC
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// agent looks for the process in the pid file. The lock of the file is not
// tried: an agent that starts at that moment would find it taken.
func (h *host) agent() finding {
	data, err := os.ReadFile(filepath.Join(h.cfg.State.Runtime, agent.PIDFile))
	pid := strings.TrimSpace(string(data))
	if err != nil || pid == "" {
		return ok("none runs")
	}
	if args := h.command(pid); len(args) > 1 && args[1] == "agent" {
		return ok("runs with pid " + pid)
	}
	return ok("none runs; the last one had pid " + pid)
}

// rpFilter says when the kernel is strict about where packets come in. Programs
// see them before it does, so only what needs the stack is lost.
func (h *host) rpFilter() finding {
	dir := filepath.Join(h.proc, "sys/net/ipv4/conf")
	all := h.setting(filepath.Join(dir, "all/rp_filter"))
	var notes []string
	for _, name := range h.underlays() {
		// The larger one is in force (ip-sysctl).
		if max(all, h.setting(filepath.Join(dir, name, "rp_filter"))) == "1" {
			notes = append(notes, fmt.Sprintf("%s is strict (rp_filter 1): outer fragments that come by another way than answers would leave are lost; 2 is loose", name))
		}
	}
	return ok(notes...)
}

// setting reads a value of one digit; "0" when there is none.
func (h *host) setting(path string) string {
	data, err := os.ReadFile(path)
	if value := strings.TrimSpace(string(data)); err == nil && value != "" {
		return value
	}
	return "0"
}

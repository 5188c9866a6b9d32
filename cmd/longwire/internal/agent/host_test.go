package agent

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/cmd/longwire/internal/config"
)

func TestLockIsExclusive(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = acquire(dir)
	if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "with pid "+strconv.Itoa(os.Getpid())+" on "+dir) {
		t.Errorf("the second: %v", err)
	}
	first.release()
	second, err := acquire(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := second.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, pidFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file is left: %v", err)
	}
}

// A longer pid of an earlier agent does not shine through.
func TestLockReplacesThePID(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, pidFile), []byte("99999999999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	if got := readPID(filepath.Join(dir, pidFile)); got != strconv.Itoa(os.Getpid()) {
		t.Errorf("pid %q", got)
	}
}

func TestLockWithoutDirectory(t *testing.T) {
	if _, err := acquire(filepath.Join(t.TempDir(), "none")); err == nil || errors.Is(err, ErrRunning) {
		t.Errorf("acquire: %v", err)
	}
}

func TestClaimMakesTheDirectories(t *testing.T) {
	dir := t.TempDir()
	state := config.State{Runtime: filepath.Join(dir, "run"), Socket: filepath.Join(dir, "control", "s.sock")}
	l, err := claim(state)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	for _, d := range []string{state.Runtime, filepath.Dir(state.Socket)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: %v, %v", d, info, err)
		}
	}
}

func TestCapabilities(t *testing.T) {
	tests := []struct {
		have string
		want string
	}{
		{"cap_net_admin,cap_bpf,cap_perfmon=ep", ""},
		{"cap_net_admin,cap_perfmon=ep", "CAP_BPF missing: run longwire as root, or give its service AmbientCapabilities=CAP_BPF"},
		{"cap_bpf,cap_perfmon=ep cap_net_admin+p", "CAP_NET_ADMIN missing: run longwire as root, or give its service AmbientCapabilities=CAP_NET_ADMIN"},
		{"cap_net_admin,cap_sys_admin=ep", ""},
		{"cap_sys_admin=ep", "CAP_NET_ADMIN missing: run longwire as root, or give its service AmbientCapabilities=CAP_NET_ADMIN"},
		{"cap_net_admin=ep cap_sys_admin+p", "CAP_BPF and CAP_PERFMON missing: run longwire as root, or give its service AmbientCapabilities=CAP_BPF CAP_PERFMON"},
		{"=", "CAP_NET_ADMIN and CAP_BPF and CAP_PERFMON missing: run longwire as root, or give its service AmbientCapabilities=CAP_NET_ADMIN CAP_BPF CAP_PERFMON"},
	}
	for _, tt := range tests {
		set, err := cap.FromText(tt.have)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := checkCapabilities(set); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("with %s: %q, want %q", tt.have, got, tt.want)
		}
	}
}

// uninstallScene makes what an agent leaves behind.
func uninstallScene(t *testing.T) config.State {
	t.Helper()
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o750); err != nil {
		t.Fatal(err)
	}
	state := config.State{Runtime: run, Socket: filepath.Join(run, "longwire.sock"), Pins: "/pins"}
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{selfTestFile: "{}", selfTestFile + ".new": "", circuitsFile: lo.Name + "\ngone0\n", pidFile: "1\n", workerSocket: "", "longwire.sock": ""}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(run, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

func TestUninstall(t *testing.T) {
	state := uninstallScene(t)
	var pins string
	modes := map[int]bool{}
	remove := func(p string) error { pins = p; return nil }
	promiscuous := func(ifindex int, on bool) error { modes[ifindex] = on; return nil }
	if err := Uninstall(state, remove, promiscuous); err != nil {
		t.Fatal(err)
	}
	if on, set := modes[1]; pins != "/pins" || !set || on || len(modes) != 1 {
		t.Errorf("removed %q, modes %v", pins, modes)
	}
	if _, err := os.Stat(state.Runtime); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the runtime directory is left: %v", err)
	}
	pins = ""
	if err := Uninstall(state, remove, promiscuous); err != nil || pins != "/pins" {
		t.Errorf("when nothing is there: %v, removed %q", err, pins)
	}
}

func TestUninstallWhileAnAgentRuns(t *testing.T) {
	state := uninstallScene(t)
	l, err := acquire(state.Runtime)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	remove := func(string) error { t.Error("the data plane was removed"); return nil }
	if err := Uninstall(state, remove, nil); !errors.Is(err, ErrRunning) {
		t.Errorf("Uninstall: %v", err)
	}
	if _, err := os.Stat(filepath.Join(state.Runtime, circuitsFile)); err != nil {
		t.Errorf("files are gone: %v", err)
	}
}

// What fails is told, and the rest is done all the same. Other people's files
// stay.
func TestUninstallGoesOn(t *testing.T) {
	state := uninstallScene(t)
	mine := filepath.Join(state.Runtime, "notes.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Uninstall(state, func(string) error { return errors.New("pins stay") }, func(int, bool) error { return syscall.EPERM })
	if err == nil || !strings.Contains(err.Error(), "pins stay") || !strings.Contains(err.Error(), "restore lo: operation not permitted") {
		t.Errorf("Uninstall: %v", err)
	}
	left, _ := os.ReadDir(state.Runtime)
	if len(left) != 1 || left[0].Name() != "notes.txt" {
		t.Errorf("left: %v", left)
	}
}

func TestMetricsListener(t *testing.T) {
	if l, err := listenMetrics(config.Metrics{}); l != nil || err != nil {
		t.Errorf("without metrics: %v, %v", l, err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().(*net.TCPAddr).AddrPort()
	if _, err := listenMetrics(config.Metrics{Listen: at}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("on a port in use: %v", err)
	}
}

package vm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestBoot starts each kernel and does with it what a test may. One is powered
// off in the end, the other panics.
func TestBoot(t *testing.T) {
	for _, tt := range []struct {
		series Series
		end    func(*testing.T, *Guest)
	}{{Linux61, die}, {Linux612, powerOff}} {
		t.Run(tt.series.String(), func(t *testing.T) {
			kernel, err := Fetch(t.Context(), tt.series)
			if err != nil {
				t.Fatal(err)
			}
			share, l := t.TempDir(), lab.New(t)
			ns := l.Namespace("host")
			program := l.Write("hello", "#!/usr/bin/env bash\necho hello $1\n")
			g := Boot(t, l, kernel, Options{
				Namespace: ns, Cards: []Card{{Tap: "tap0", MTU: 1600}}, Share: share,
				Files: map[string]string{"/opt/hello": program}, Modules: L2TPModules, Tools: []string{"tcpdump"},
			})
			if out := g.Must("uname -v"); !strings.Contains(out, "Debian "+kernel.Version) {
				t.Errorf("%v calls itself %s", kernel, out)
			}
			scripts(t, g, share)
			network(t, g, ns)
			tt.end(t, g)
			if _, err := g.Run(time.Second, "true"); !errors.Is(err, ErrHarness) {
				t.Errorf("a guest that is gone answers with error %v", err)
			}
		})
	}
}

// scripts runs some that succeed and some that do not.
func scripts(t *testing.T, g *Guest, share string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(share, "in"), []byte("from the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		script, want string
		code         int
		reason       string
	}{
		{"echo out; echo error >&2", "out\nerror\n", 0, ""},
		{"/opt/hello there", "hello there\n", 0, ""},
		{"echo before; exit 7", "before\n", 7, ""},
		{"kill -KILL $$", "", -1, ""},
		{"echo slow; sleep 100", "slow\n", -1, "killed after 3s"},
		{"sleep 100 & echo left behind", "left behind\n", 0, ""},
		{"cat /share/in; echo -n from the guest >/share/out", "from the host", 0, ""},
		{"ip l2tp show tunnel && tcpdump --version >/dev/null 2>&1", "", 0, ""},
		{"ip netns add a && ip -n a link set lo up && nsenter --net=/run/netns/a ping -c 1 ::1 | grep -o ' 0% packet loss'", " 0% packet loss\n", 0, ""},
	}
	for _, tt := range tests {
		out, err := g.Run(patience(tt.reason), tt.script)
		var exit *ExitError
		if errors.As(err, &exit) != (tt.code != 0) || out != tt.want {
			t.Errorf("%q: output %q, error %v, want output %q", tt.script, out, err, tt.want)
		} else if exit != nil && (exit.Code != tt.code || exit.Reason != tt.reason) {
			t.Errorf("%q: %v, want status %d and reason %q", tt.script, exit, tt.code, tt.reason)
		}
	}
	if got, err := os.ReadFile(filepath.Join(share, "out")); err != nil || string(got) != "from the guest" {
		t.Errorf("the guest wrote %q, error %v", got, err)
	}
}

// patience is how long a script may run: longer when nothing is to kill it, for
// the machine may have much else to do.
func patience(killed string) time.Duration {
	if killed == "" {
		return 30 * time.Second
	}
	return 3 * time.Second
}

// network pings the guest by its card, up to the MTU.
func network(t *testing.T, g *Guest, ns *lab.Namespace) {
	t.Helper()
	g.Must("ip address add 192.0.2.2/24 dev eth0 && ip link set eth0 up")
	ns.Address("tap0", "192.0.2.1/24")
	out, err := ns.Try("ping", "-n", "-c", "1", "-w", "10", "-M", "do", "-s", "1572", "192.0.2.2")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func powerOff(t *testing.T, g *Guest) {
	t.Helper()
	if err := g.PowerOff(time.Minute); err != nil {
		t.Error(err)
	}
}

// die shows the last lines of the console of a guest that panics.
func die(t *testing.T, g *Guest) {
	t.Helper()
	_, err := g.Run(time.Minute, "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
	if !errors.Is(err, ErrHarness) || !strings.Contains(err.Error(), "sysrq: Trigger a crash") {
		t.Errorf("error %v, want the panic", err)
	}
	g.daemon.Exit(time.Minute)
}

// TestNotReady names what is wrong with a guest that cannot be prepared.
func TestNotReady(t *testing.T) {
	kernel, err := Fetch(t.Context(), Linux61)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		options    Options
	}{
		{"no module", "Linux " + kernel.Version + " (Debian): the kernel has no module of_the_moon", Options{Modules: []string{"of-the-moon"}}},
		{"no tool", `"of-the-moon": executable file not found`, Options{Tools: []string{"of-the-moon"}}},
		{"no time", "boot: " + ErrHarness.Error(), Options{BootTime: 10 * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out lab.LogBuffer
			r := lab.NewRunner(t.Context(), t.Name(), &out)
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer r.Clean()
				Boot(r, lab.New(r), kernel, tt.options)
			}()
			<-done
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("said %q, want %q", out.String(), tt.want)
			}
		})
	}
}

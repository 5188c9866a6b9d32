package gobgpd

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// binary is the gobgpd that all tests use.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "longwire-gobgpd-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// config is a gobgpd at 10.0.0.own; with other it has the neighbour
// 10.0.0.other. Only 10.0.0.2 connects: two gobgpds that connect to each other at
// the same time can close each other's connections for long.
func config(own, other int) string {
	text := fmt.Sprintf("[global.config]\n  as = 65000\n  router-id = \"10.0.0.%d\"\n", own)
	if other == 0 {
		return text
	}
	return text + fmt.Sprintf(`[[neighbors]]
  [neighbors.config]
    neighbor-address = "10.0.0.%d"
    peer-as = 65000
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
  [neighbors.transport.config]
    passive-mode = %t
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "l2vpn-evpn"
`, other, own == 1)
}

func await(l *lab.Lab, s *Server, want int) {
	l.Poll(30*time.Second, fmt.Sprintf("%s has %d sessions", s.Name, want), func() error {
		got, err := s.Established()
		if err == nil && got != want {
			err = fmt.Errorf("%d", got)
		}
		return err
	})
}

func TestServer(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	left, right := l.Namespace("a"), l.Namespace("b")
	l.Veth(left, "eth0", right, "eth0", lab.DefaultMTU)
	left.Address("eth0", "10.0.0.1/24")
	right.Address("eth0", "10.0.0.2/24")
	a := Start(left, "gobgpd-a", binary, config(1, 2))
	b := Start(right, "gobgpd-b", binary, config(2, 1))
	await(l, a, 1)
	b.Reload(config(2, 0))
	await(l, a, 0)
	b.Reload(config(2, 1))
	await(l, a, 1)
	b.Kill()
	await(l, a, 0)
	b.Restart("--graceful-restart")
	await(l, a, 1)
	if status := b.Stop(); status != 0 {
		t.Errorf("gobgpd ended with status %d", status)
	}
}

// TestVersion holds the command against the GoBGP that Longwire is built with.
func TestVersion(t *testing.T) {
	t.Parallel()
	version, err := Version(binary)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/osrg/gobgp/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(out)); version != want {
		t.Errorf("gobgpd is %s, Longwire has GoBGP %s", version, want)
	}
	if version, err := Version("/bin/echo"); err == nil {
		t.Errorf("echo passes as gobgpd %s", version)
	}
}

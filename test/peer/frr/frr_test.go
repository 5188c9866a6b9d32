package frr

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// config is a bgpd at 10.0.0.own whose neighbour is 10.0.0.other.
func config(own, other int) string {
	return fmt.Sprintf(`router bgp 65000
 bgp router-id 10.0.0.%d
 no bgp default ipv4-unicast
 neighbor 10.0.0.%d remote-as 65000
 neighbor 10.0.0.%[2]d timers connect 1
 address-family l2vpn evpn
  neighbor 10.0.0.%[2]d activate
 exit-address-family
`, own, other)
}

// two starts two neighbours.
func two(t *testing.T) (l *lab.Lab, a, b *Router) {
	t.Helper()
	l = lab.New(t)
	left, right := l.Namespace("a"), l.Namespace("b")
	l.Veth(left, "eth0", right, "eth0", lab.DefaultMTU)
	left.Address("eth0", "10.0.0.1/24")
	right.Address("eth0", "10.0.0.2/24")
	a = Start(left, "bgpd-a", config(1, 2))
	b = Start(right, "bgpd-b", config(2, 1))
	return l, a, b
}

func await(l *lab.Lab, r *Router, want int) {
	l.Poll(20*time.Second, fmt.Sprintf("%s has %d sessions", r.Name, want), func() error {
		got, err := r.Established()
		if err == nil && got != want {
			err = fmt.Errorf("%d", got)
		}
		return err
	})
}

func TestRouter(t *testing.T) {
	t.Parallel()
	l, a, b := two(t)
	await(l, a, 1)
	if err := b.Configure("router bgp 65000", "neighbor 10.0.0.1 shutdown"); err != nil {
		t.Fatal(err)
	}
	await(l, a, 0)
	// A restart forgets what was changed meanwhile.
	b.Kill()
	b.Restart()
	await(l, a, 1)
	if status := b.Stop(); status != 0 {
		t.Errorf("bgpd ended with status %d", status)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	r := Start(l.Namespace("a"), "bgpd", config(1, 2))
	if err := r.Configure("router nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") && !strings.Contains(err.Error(), "Unknown command") {
		t.Errorf("a line of nonsense: %v", err)
	}
	if err := r.JSON(new(int), "show bgp neighbors"); err == nil {
		t.Error("neighbours pass as a number")
	}
}

// TestFlags has bgpd listen at a port of the caller's choice.
func TestFlags(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	n := l.Namespace("a")
	Start(n, "bgpd", config(1, 2), "-l", "127.0.0.1", "-p", "1790")
	err := n.Do(func() error {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:1790", 5*time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	version, err := Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	upstream, _, _ := strings.Cut(version, "-")
	out, err := exec.CommandContext(context.Background(), program, "--version").Output()
	if err != nil || upstream == "" || !strings.HasPrefix(string(out), "bgpd version "+upstream) {
		t.Errorf("the package is %s, the program says %q (%v)", version, out, err)
	}
}

// TestZebra has bgpd learn the addresses of its namespace: one of them is no
// neighbour.
func TestZebra(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	n := l.Namespace("a")
	n.Address("lo", "10.0.0.1/32")
	r := Start(n, "bgpd", config(1, 2), "-z", StartZebra(n, "zebra"))
	l.Poll(10*time.Second, "bgpd knows its address", func() error {
		err := r.Configure("router bgp 65000", "neighbor 10.0.0.1 remote-as 65000")
		if err == nil || !strings.Contains(err.Error(), "local system as neighbor") {
			return fmt.Errorf("a neighbour with our own address: %v", err)
		}
		return nil
	})
}

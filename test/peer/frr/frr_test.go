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

// TestZebra shows that bgpd asks zebra, and that both have the configuration: a
// next hop behind the default route counts only if it is told so.
func TestZebra(t *testing.T) {
	t.Parallel()
	for nht, want := range map[string]bool{"": false, "ip nht resolve-via-default\n": true} {
		t.Run(nht, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			left, right := l.Namespace("a"), l.Namespace("b")
			l.Veth(left, "eth0", right, "eth0", lab.DefaultMTU)
			left.Address("eth0", "10.0.0.1/24")
			left.Route("0.0.0.0/0", "10.0.0.2")
			right.Address("eth0", "10.0.0.2/24")
			a := StartWithZebra(left, "frr-a", nht+strings.ReplaceAll(config(1, 2), "l2vpn evpn", "ipv4 unicast"))
			// A static route's next hop is tracked like that of a peer's route.
			far := strings.ReplaceAll(config(2, 1), "l2vpn evpn", "ipv4 unicast")
			far += " address-family ipv4 unicast\n  network 198.51.100.0/24 route-map away\n exit-address-family\n" +
				"exit\nroute-map away permit 10\n set ip next-hop 192.0.2.99\nexit\n"
			Start(right, "frr-b", far)
			await(l, a, 1)
			l.Poll(20*time.Second, "the next hop's state", func() error {
				out, err := a.Vtysh("show bgp nexthop")
				if err == nil && strings.Contains(out, "192.0.2.99 valid") != want || !strings.Contains(out, "192.0.2.99") {
					err = fmt.Errorf("%s", out)
				}
				return err
			})
		})
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

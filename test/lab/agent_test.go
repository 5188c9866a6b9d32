package lab

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
)

func TestConfigYAML(t *testing.T) {
	t.Parallel()
	cookie := 4
	config := Config{
		Router: Router{ID: PE1Source4, ASN: 65000, Source: []netip.Addr{PE1Source4, PE1Source6}},
		BGP:    &BGP{Neighbors: []Neighbor{{Address: RRSource4, ASN: 65000, HoldTime: "9s"}}},
		State:  State{Runtime: "/r", Pins: "/p"},
		Pseudowires: []Pseudowire{{Name: "a", Interface: "ac0", Cookie: &cookie,
			EVPN: &EVPN{RouteTarget: "65000:1", LocalService: 1, RemoteService: 2}}},
	}
	got, err := config.YAML()
	if err != nil {
		t.Fatal(err)
	}
	const want = `router:
    id: 192.0.2.1
    asn: 65000
    source:
        - 192.0.2.1
        - 2001:db8::1
bgp:
    neighbors:
        - address: 192.0.2.254
          asn: 65000
          hold_time: 9s
state:
    runtime: /r
    pins: /p
pseudowires:
    - name: a
      interface: ac0
      cookie: 4
      evpn:
        route_target: "65000:1"
        local_service: 1
        remote_service: 2
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestLeftoversSeesWhatIsLeft(t *testing.T) {
	t.Parallel()
	topo := NewTopology(t, Options{})
	agent := topo.Agent("/bin/true", topo.PE1, Config{Router: Router{ID: PE1Source4, Source: []netip.Addr{PE1Source4}}})
	if left := agent.Leftovers(); len(left) != 0 {
		t.Errorf("left before anything was done: %v", left)
	}
	agent.Run("tc", "qdisc", "add", "dev", Circuit(0), "clsact")
	agent.Run("ip", "link", "add", "helper0", "type", "veth", "peer", "name", "helper1")
	if err := os.MkdirAll(agent.Pins+"/links", 0o700); err != nil {
		t.Fatal(err)
	}
	attachTCX(t, topo.PE1.Namespace, Uplink)
	left := strings.Join(agent.Leftovers(), "\n")
	for _, want := range []string{"qdisc clsact", "device helper0", "pin links", "1 TCX programs on ul0"} {
		if !strings.Contains(left, want) {
			t.Errorf("left is %q, want %q in it", left, want)
		}
	}
}

// attachTCX puts a program that does nothing on a device until the test ends.
func attachTCX(t *testing.T, n *Namespace, dev string) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	index := n.Index(dev)
	var attached link.Link
	err = n.Do(func() (err error) {
		attached, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: program, Attach: ebpf.AttachTCXIngress})
		return err
	})
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("this kernel has no TCX: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { attached.Close() })
}

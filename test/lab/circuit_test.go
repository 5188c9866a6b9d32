package lab

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// eachCircuit runs a test on a topology with circuits of each kind, with and
// without offloads.
func eachCircuit(t *testing.T, test func(t *testing.T, topo *Topology, o Options)) {
	t.Helper()
	for _, kind := range CircuitKinds {
		for _, off := range []bool{false, true} {
			o := Options{CircuitKind: kind, NoCircuitOffloads: off}
			t.Run(fmt.Sprintf("%v-off=%v", kind, off), func(t *testing.T) {
				t.Parallel()
				test(t, NewTopology(t, o), o)
			})
		}
	}
}

// hostOf puts an address of the customer's network on the PE, where a frame
// that nobody takes from the circuit ends up.
func hostOf(topo *Topology, kind CircuitKind) {
	dev := Circuit(0)
	if kind == CircuitBridgePort {
		dev = Bridge(0)
	}
	topo.PE1.Address(dev, Host4(9, 0).String()+"/24")
}

func TestCircuitsCarryEveryFrameBothWays(t *testing.T) {
	t.Parallel()
	qinq := []Tag{{EtherTypeQinQ, 0x6001}, {EtherTypeVLAN, 2}, {EtherTypeVLAN, 3}}
	eachCircuit(t, func(t *testing.T, topo *Topology, _ Options) {
		type place struct {
			n   *Namespace
			dev string
		}
		ends := []place{{topo.CE1, HostPort(0)}, {topo.PE1.Namespace, Circuit(0)}}
		for i, from := range ends {
			port, to := from.n.Port(from.dev), ends[1-i]
			far := to.n.Sniff(to.dev)
			// The kernel takes no tagged frame with less than two bytes of payload.
			for number, size := range []int{2, 3, 46, 333, 1488} {
				for tags := range len(qinq) + 1 {
					sent := Frame{Destination: Broadcast, Source: [6]byte{2, byte(i), byte(number), byte(tags)},
						Tags: qinq[:tags], EtherType: EtherTypeTest, Payload: Pattern(uint32(size), size)}.Bytes()
					if err := port.Send(sent); err != nil {
						t.Fatal(err)
					}
					got, err := far.Await(5*time.Second, func(f []byte) bool { return bytes.HasPrefix(f, sent[:12]) })
					if err != nil {
						t.Fatalf("%d bytes, %d tags from %s: %v", size, tags, from.dev, err)
					}
					if diff := cmp.Diff(sent, got); diff != "" {
						t.Errorf("%d bytes, %d tags from %s (-sent +received):\n%s", size, tags, from.dev, diff)
					}
				}
			}
		}
	})
}

// TestCircuitsOffloads wants super-frames of a host's TCP to reach the PE whole
// exactly when offloads are on.
func TestCircuitsOffloads(t *testing.T) {
	t.Parallel()
	eachCircuit(t, func(t *testing.T, topo *Topology, o Options) {
		hostOf(topo, o.CircuitKind)
		// Enough of a frame to tell that it is too long for one of the wire.
		capture := topo.PE1.Capture(Circuit(0), "tcp", "-s", "2048")
		for _, way := range [][2]*Namespace{{topo.CE1, topo.PE1.Namespace}, {topo.PE1.Namespace, topo.CE1}} {
			to := Host4(9, 0)
			if way[1] == topo.CE1 {
				to = Host4(1, 0)
			}
			if _, err := topo.Transfer(way[0], way[1], to, 4<<20, 10*time.Second); err != nil {
				t.Error(err)
			}
		}
		if missed := capture.Stop(); missed != 0 {
			t.Errorf("the capture missed %d packets", missed)
		}
		in, out := 0, 0
		mac := topo.PE1.MAC(Circuit(0))
		if err := capture.Each(func(p []byte) {
			if bytes.Equal(p[:6], mac) {
				in = max(in, len(p))
			} else {
				out = max(out, len(p))
			}
		}); err != nil {
			t.Error(err)
		}
		for way, largest := range map[string]int{"in": in, "out": out} {
			if largest == 0 || (largest > DefaultMTU+14) == o.NoCircuitOffloads {
				t.Errorf("the largest frame that came %s has %d bytes", way, largest)
			}
		}
	})
}

// TestBridgeForwardsWhatNobodyTakes shows that a bridge port would be seen to
// lose frames to its bridge: without a program the bridge learns the customer.
func TestBridgeForwardsWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	topo := NewTopology(t, Options{CircuitKind: CircuitBridgePort})
	hostOf(topo, CircuitBridgePort)
	if master := topo.PE1.Run("ip", "-o", "link", "show", "master", Bridge(0)); !strings.Contains(master, Circuit(0)) {
		t.Errorf("ports of %s: %q", Bridge(0), master)
	}
	if err := topo.CE1.Ping(Host4(9, 0), 56, 5*time.Second); err != nil {
		t.Error(err)
	}
	want := []string{topo.CE1.MAC(HostPort(0)).String()}
	if diff := cmp.Diff(want, topo.PE1.Learned(Bridge(0))); diff != "" {
		t.Errorf("addresses learned (-want +got):\n%s", diff)
	}
}

// TestTapsSurviveTheirDevices sets a tap's far end down and up again, and takes
// it away and makes it anew.
func TestTapsSurviveTheirDevices(t *testing.T) {
	t.Parallel()
	topo := NewTopology(t, Options{CircuitKind: CircuitTap, CircuitMTU: 1400})
	hostOf(topo, CircuitTap)
	reachable := func(when string) {
		t.Helper()
		if err := topo.CE1.Ping(Host4(9, 0), 56, 5*time.Second); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	reachable("new")
	topo.PE1.Down(Circuit(0))
	if err := topo.CE1.Ping(Host4(9, 0), 56, 0); err == nil {
		t.Error("a tap that is down answers")
	}
	topo.PE1.Up(Circuit(0))
	reachable("up again")
	topo.PE1.DeleteLink(Circuit(0))
	topo.CE1.DeleteLink(HostPort(0))
	topo.AddCircuit(1, 0)
	hostOf(topo, CircuitTap)
	reachable("made again")
	if out := topo.PE1.Run("ip", "-o", "link", "show", Circuit(0)); !strings.Contains(out, "mtu 1400") {
		t.Errorf("another MTU than asked for: %q", out)
	}
}

func TestCircuitKindNames(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, kind := range CircuitKinds {
		names[kind.String()] = true
	}
	if len(names) != 3 || names[CircuitKind(9).String()] {
		t.Errorf("names %v", names)
	}
}

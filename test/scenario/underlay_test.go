package scenario

import (
	"fmt"
	"net"
	"testing"
	"time"

	"longwire/test/lab"
)

// followTime is how long the data plane may take to notice by itself that the
// underlay changed, with the neighbour timers of quickNeighbours.
const followTime = 20 * time.Second

// TestUnderlayChanges holds the data plane to the kernel's routing: the first
// packet is delivered with no neighbour known, and a next hop's new address or a
// new route is followed, while the agent lives and while it is dead.
func TestUnderlayChanges(t *testing.T) {
	for _, dead := range []bool{false, true} {
		name := "agent alive"
		if dead {
			name = "agent killed"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wires := encapsulations(0)
			for i := range wires {
				wires[i].static, wires[i].cookie = true, 8
			}
			p := newPair(t, lab.Options{Circuits: len(wires), SecondUplink: true}, wires, nil)
			quickNeighbours(p.PE1.Namespace)
			p.launch()
			if dead {
				p.agents[1].Daemon().Kill()
				p.agents[2].Daemon().Kill()
				p.leasesEnd()
			}
			for _, w := range wires {
				t.Run(w.String()+" cold neighbour", func(t *testing.T) { p.coldNeighbour(t, w) })
			}
			t.Run("next hop's address", func(t *testing.T) { p.newAddress(t, wires) })
			t.Run("route", func(t *testing.T) { p.newRoute(t, wires) })
		})
	}
}

// leasesEnd keeps traffic flowing until the next hops that a dead agent leased
// to the programs, for three seconds each, are no longer believed.
func (p *pair) leasesEnd() {
	const every, frames = 10 * time.Millisecond, 400
	flow := p.Stream(p.CE1, lab.HostPort(0), p.CE2, lab.HostPort(0), every)
	p.flowing([]*lab.Stream{flow}, frames)
	if sent, lost := flow.Stop(); lost != 0 {
		p.t.Errorf("%d of %d frames lost when the leases ended", lost, sent)
	}
}

// quickNeighbours shortens the timers by which the kernel notices that a
// neighbour no longer answers, from half a minute to a second or two.
func quickNeighbours(n *lab.Namespace) {
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, dev := range []string{lab.Uplink, lab.Uplink2} {
			dir := fmt.Sprintf("net/%s/neigh/%s/", family, dev)
			n.Sysctl(dir+"base_reachable_time_ms", "1000")
			n.Sysctl(dir+"delay_first_probe_time", "1")
			n.Sysctl(dir+"retrans_time_ms", "200")
			n.Sysctl(dir+"ucast_solicit", "1")
		}
	}
}

// coldNeighbour empties PE1's neighbour tables and wants the next frame to
// arrive, the very first.
func (p *pair) coldNeighbour(t *testing.T, w wire) {
	p.PE1.FlushNeighbours(lab.Uplink)
	tries, err := p.arrives(w, followTime)
	if err != nil {
		t.Fatal(err)
	}
	if tries != 1 {
		t.Errorf("frame %d was the first to arrive", tries)
	}
}

// newAddress gives the router's port another MAC address without a word.
func (p *pair) newAddress(t *testing.T, wires []wire) {
	p.P.SetMAC("pe1", net.HardwareAddr{0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee})
	for _, w := range wires {
		tries, err := p.arrives(w, followTime)
		if err != nil {
			t.Errorf("%v: %v", w, err)
		}
		t.Logf("%v: frame %d arrived", w, tries)
	}
}

// newRoute moves PE1's routes to its second uplink and takes the first away.
func (p *pair) newRoute(t *testing.T, wires []wire) {
	second := p.P.Sniff("pe1b")
	p.PE1.Route("0.0.0.0/0", "10.0.4.254")
	p.PE1.Route("::/0", "fd00:0:0:4::fe")
	for _, w := range wires {
		second.Reset()
		p.Poll(followTime, "packets by the second uplink", func() error {
			if _, err := p.arrives(w, time.Second); err != nil {
				return err
			}
			_, err := second.Await(0, func(packet []byte) bool {
				_, err := w.tunnel(1).Inner(packet)
				return err == nil
			})
			return err
		})
	}
	p.PE1.Down(lab.Uplink)
	for _, w := range wires {
		if tries, err := p.arrives(w, followTime); err != nil {
			t.Errorf("%v: the first uplink is still needed after %d frames: %v", w, tries, err)
		}
	}
}

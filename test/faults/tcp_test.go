package faults

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"longwire/test/lab"
)

// transferTime is how long one TCP transfer may take.
const transferTime = 10 * time.Second

// exchange is what one kind of TCP transfers is about.
type exchange struct {
	size   int64 // bytes of each transfer
	leased []bool
	tags   func(pseudowire) []lab.Tag // nil: none
}

// transfers moves bytes by TCP over every pseudowire, enough for a hundred
// super-frames: both families, both ways, with and without a leased next hop.
func transfers(t *testing.T, w *world) {
	exchange{size: 4 << 20, leased: []bool{false, true}}.run(t, w)
}

// taggedTransfers does so for hosts whose frames carry tags beside them. Over the
// matrix every stack of tags meets every encapsulation on every kind of circuit.
func taggedTransfers(t *testing.T, w *world) {
	stacks := [][]lab.Tag{{dot1q(0x6064)}, {dot1ad(200), dot1q(100)}, {dot1ad(200), dot1q(300), dot1q(100)}}
	first := 0
	if w.device.circuitOff {
		first = 1
	}
	if w.device.underlayOff {
		first = 2
	}
	tags := func(p pseudowire) []lab.Tag { return stacks[(first+p.number)%len(stacks)] }
	exchange{1 << 20, []bool{false}, tags}.run(t, w)
}

// run makes the transfers of each pseudowire, and wants every packet behind the
// router to be right: to its last length and checksum where no later device
// would see to it.
func (x exchange) run(t *testing.T, w *world) {
	final := w.device.final()
	// Over UDP a super-frame stays whole if the underlay can cut it; over IP alone,
	// and with tags, it is cut before it is encapsulated.
	whole := func(p pseudowire) bool { return !final && x.tags == nil && p.udp }
	// A long snap length costs buffer for every packet, so only super-frames have it.
	captures := []*lab.Capture{
		w.P.Capture("pe2", fmt.Sprintf("(%s) and greater %d", pcap, w.mtu+15), "-s", "70000"),
		w.P.Capture("pe2", fmt.Sprintf("(%s) and less %d", pcap, w.mtu+14), "-s", fmt.Sprint(w.mtu+14)),
	}
	for _, p := range pseudowires {
		t.Run(p.String(), func(t *testing.T) { x.move(t, w, p) })
	}
	var bytes int64
	longest := map[lab.Key]int{}
	for i, capture := range captures {
		defer os.Remove(capture.Path)
		if missed := capture.Stop(); missed != 0 {
			t.Errorf("capture %d missed %d packets", i, missed)
		}
		tally, err := lab.CheckWire(capture, tunnels(!final)...)
		if err != nil {
			t.Error(err)
		}
		bytes += tally.Bytes
		for key, size := range tally.Longest {
			longest[key] = max(longest[key], size)
		}
	}
	// Both families, both ways.
	if moved := 4 * x.size * int64(len(x.leased)*len(pseudowires)); bytes < moved {
		t.Errorf("%d bytes behind the router, want %d", bytes, moved)
	}
	for _, p := range pseudowires {
		for side := 1; side <= 2; side++ {
			size := longest[lab.Key{Destination: p.source(side), Session: p.session(side)}]
			if got := size > w.mtu+14; size == 0 || got != whole(p) {
				t.Errorf("%v to PE%d: the longest packet has %d bytes; super-frames should stay whole: %v", p, side, size, whole(p))
			}
		}
	}
}

// tunnels lists what the packets of every pseudowire look like, both ways.
func tunnels(super bool) []lab.Tunnel {
	var all []lab.Tunnel
	for _, p := range pseudowires {
		for side := 1; side <= 2; side++ {
			tunnel := p.tunnel(side)
			tunnel.Super = super
			all = append(all, tunnel)
		}
	}
	return all
}

// move makes the transfers of one pseudowire and compares what arrives. Nothing
// may be dropped.
func (x exchange) move(t *testing.T, w *world, p pseudowire) {
	w.speak(t, p)
	if x.tags != nil {
		for side := 1; side <= 2; side++ {
			ce, _ := w.Side(side)
			defer w.spare(side, p)()
			defer ce.Tagged(lab.HostPort(p.number), x.tags(p)...)()
		}
	}
	before := [2]totals{w.count(t, 1), w.count(t, 2)}
	var moved uint64
	for _, leased := range x.leased {
		for _, host := range []func(side, port int) netip.Addr{lab.Host4, lab.Host6} {
			moved += uint64(x.size)
			for side := 1; side <= 2; side++ {
				w.lease(t, leased, 1, p)
				w.lease(t, leased, 2, p)
				from, _ := w.Side(side)
				far, _ := w.Side(3 - side)
				to := host(3-side, p.number)
				if _, err := w.Transfer(from, far, to, x.size, transferTime); err != nil {
					t.Fatalf("from CE%d to %v, leased %v: %v\nPE1 %+v\nPE2 %+v", side, to, leased, err, w.count(t, 1), w.count(t, 2))
				}
			}
		}
	}
	for side := 1; side <= 2; side++ {
		counted := w.count(t, side).since(before[side-1])
		if c := counted[p.String()]; c.EncapBytes < moved || c.DecapBytes < moved {
			t.Errorf("PE%d counted %+v, want %d bytes each way", side, c, moved)
		}
		for name, c := range counted {
			if c.Drops != nil {
				t.Errorf("PE%d dropped of %q: %v", side, name, c.Drops)
			}
		}
	}
}

// speak lets the hosts of a pseudowire speak IPv6 until the test ends.
func (w *world) speak(t *testing.T, p pseudowire) {
	for side := 1; side <= 2; side++ {
		ce, _ := w.Side(side)
		dev := lab.HostPort(p.number)
		ce.Sysctl("net/ipv6/conf/"+dev+"/disable_ipv6", "0")
		ce.Address(dev, netip.PrefixFrom(lab.Host6(side, p.number), 64).String())
		t.Cleanup(func() { silence(ce, dev) })
		w.Poll(patience, "addresses of "+dev, func() error {
			if out := ce.Run("ip", "-6", "-o", "address", "show", "dev", dev, "tentative"); out != "" {
				return errors.New(out)
			}
			return nil
		})
	}
}

// spare makes a host leave room for tags in what it sends, until the returned
// function is called. Its port takes frames of every length as before.
func (w *world) spare(side int, p pseudowire) (restore func()) {
	ce, _ := w.Side(side)
	dev := lab.HostPort(p.number)
	set := func(verb string) {
		// Half of the network goes before the whole of it.
		for _, half := range []netip.Prefix{netip.PrefixFrom(lab.Host4(side, p.number), 25), netip.PrefixFrom(lab.Host6(side, p.number), 65)} {
			ce.Run("ip", "route", verb, half.Masked().String(), "dev", dev, "mtu", fmt.Sprint(lab.DefaultMTU))
		}
	}
	set("add")
	return func() { set("delete") }
}

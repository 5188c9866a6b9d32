package scenario

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"longwire/test/lab"
)

// fit is what "longwire show pseudowires -o json" says of sizes.
type fit struct {
	Name        string `json:"name"`
	Detail      string `json:"detail"`
	MTU         int    `json:"mtu"`
	UnderlayMTU int    `json:"underlay_mtu"`
	MaxPayload  int    `json:"max_payload"`
	NeedMTU     int    `json:"need_mtu"`
	NeedMTU1500 int    `json:"need_mtu_1500"`
	TooBig      string `json:"too_big"`
}

// fits returns what a side says of sizes, by pseudowire.
func (p *pair) fits(side int) map[string]fit {
	p.t.Helper()
	var rows []fit
	if err := p.agents[side].Read("pseudowires", &rows); err != nil {
		p.t.Fatal(err)
	}
	byName := map[string]fit{}
	for _, row := range rows {
		byName[row.Name] = row
	}
	return byName
}

// awaitFit waits until a side knows the underlay's MTU for a wire.
func (p *pair) awaitFit(side int, w wire, mtu int) fit {
	p.t.Helper()
	var f fit
	p.Poll(10*time.Second, fmt.Sprintf("%s knows an underlay MTU of %d", w.name(), mtu), func() error {
		if f = p.fits(side)[w.name()]; f.UnderlayMTU != mtu {
			return fmt.Errorf("%+v", f)
		}
		return nil
	})
	return f
}

// TestShownSizesAreExact holds the sizes that are shown to the wire: the largest
// payload crosses in one packet, one byte more is dropped and counted, and the
// underlay that is said to be needed is just large enough.
func TestShownSizesAreExact(t *testing.T) {
	t.Parallel()
	wires := matrix()
	for i := range wires {
		wires[i].static = true
	}
	// Longer frames than any circuit here may send leave a packet socket, too.
	p := newPair(t, lab.Options{Circuits: len(wires), CircuitMTU: 1600, UnderlayMTU: 1500}, wires, nil)
	p.configure(func(_ int, c *lab.Config) {
		for i := range c.Pseudowires {
			c.Pseudowires[i].More = lab.Keys{"too_big": "drop"}
			if i%2 == 1 {
				c.Pseudowires[i].More["vlan"] = 100
			}
		}
	}).launch()
	for i, w := range wires {
		t.Run(fmt.Sprintf("%v vlan %v", w, i%2 == 1), func(t *testing.T) {
			var tags []lab.Tag
			if i%2 == 1 {
				tags = []lab.Tag{c(100)}
			}
			f := p.awaitFit(1, w, 1500)
			if f.MTU != 1600 || f.NeedMTU-f.NeedMTU1500 != 100 || f.NeedMTU-f.MTU != 1500-f.MaxPayload || f.TooBig != "drop" {
				t.Errorf("%+v", f)
			}
			want := fmt.Sprintf("underlay MTU 1500 is less than the %d that full frames need: payloads above %d bytes are dropped", f.NeedMTU, f.MaxPayload)
			if f.Detail != want {
				t.Errorf("detail %q, want %q", f.Detail, want)
			}
			if err := p.payload(w, tags, f.MaxPayload, 3*time.Second); err != nil {
				t.Errorf("%d bytes: %v", f.MaxPayload, err)
			}
			if err := p.payload(w, tags, f.MaxPayload+1, 0); err == nil {
				t.Errorf("%d bytes crossed", f.MaxPayload+1)
			}
			p.Poll(5*time.Second, "it is counted", func() error {
				if n := p.counters(1)[w.name()].Drops["too_big"]; n != 1 {
					return fmt.Errorf("%d frames counted", n)
				}
				return nil
			})
			p.underlayMTU(f.NeedMTU)
			p.awaitFit(1, w, f.NeedMTU)
			if err := p.payload(w, tags, 1600, 3*time.Second); err != nil {
				t.Errorf("1600 bytes with an underlay of %d: %v", f.NeedMTU, err)
			}
			p.underlayMTU(1500)
			p.awaitFit(1, w, 1500)
		})
	}
}

// underlayMTU sets the MTU of all links between the PEs.
func (p *pair) underlayMTU(mtu int) {
	p.t.Helper()
	for _, n := range []*lab.Namespace{p.PE1.Namespace, p.PE2.Namespace} {
		n.MTU(lab.Uplink, mtu)
		p.P.MTU(n.Role, mtu)
	}
}

// payload sends a frame with a payload of some bytes from CE1 and waits for it at
// CE2.
func (p *pair) payload(w wire, tags []lab.Tag, bytesLong int, within time.Duration) error {
	port, far := p.CE1.Port(lab.HostPort(w.number)), p.CE2.Sniff(lab.HostPort(w.number))
	defer far.Close()
	sent := lab.Frame{
		Destination: unicast, Source: [6]byte{2, 8, byte(bytesLong >> 8), byte(bytesLong), 0, byte(w.number)}, Tags: tags,
		EtherType: lab.EtherTypeTest, Payload: lab.Pattern(uint32(bytesLong), bytesLong),
	}.Bytes()
	if err := port.Send(sent); err != nil {
		return err
	}
	_, err := far.Await(max(within, 300*time.Millisecond), func(f []byte) bool { return bytes.HasPrefix(f, sent[:12]) && len(f) == len(sent) })
	return err
}

// TestPathMTUIsNoticed lets the kernel of a PE learn that a router on the way
// carries less, and then lets an operator change a route: both are shown, and
// bound TCP, within seconds.
func TestPathMTUIsNoticed(t *testing.T) {
	t.Parallel()
	wires := []wire{{number: 0, static: true, cookie: 8}, {number: 1, static: true, cookie: 8, v6: true, udp: true}}
	p := newPair(t, lab.Options{Circuits: len(wires)}, wires, nil)
	p.configure(func(_ int, c *lab.Config) {
		for i := range c.Pseudowires {
			c.Pseudowires[i].More = lab.Keys{"mss_clamp": true}
		}
	}).launch()
	for _, w := range wires {
		p.awaitFit(1, w, lab.UnderlayMTU)
	}
	p.P.MTU("pe2", 1400)
	p.PE2.MTU(lab.Uplink, 1400)
	for _, w := range wires {
		// The router tells the PE's own stack, which asks on its behalf.
		_, _ = p.PE1.Try("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1500", "-I", w.source(1).String(), w.source(2).String())
		f := p.awaitFit(1, w, 1400)
		if err := contains(f.Detail, "underlay MTU 1400", fmt.Sprintf("payloads above %d bytes are fragmented", f.MaxPayload)); err != nil {
			t.Error(err)
		}
		p.clampedTo(1, w, f.MaxPayload)
	}
	p.PE1.Run("ip", "route", "replace", lab.PE2Source4.String()+"/32", "via", "10.0.1.254", "mtu", "1300")
	p.clampedTo(1, wires[0], p.awaitFit(1, wires[0], 1300).MaxPayload)
}

// clampedTo waits until both directions of a wire bound TCP by an MTU.
func (p *pair) clampedTo(side int, w wire, mtu int) {
	p.t.Helper()
	want := fmt.Sprintf("clamp=%d", mtu)
	p.Poll(10*time.Second, w.name()+" "+want, func() error {
		var rows []struct {
			Pseudowire string   `json:"pseudowire"`
			Options    []string `json:"options"`
		}
		if err := p.agents[side].Read("sessions", &rows); err != nil {
			return err
		}
		n := 0
		for _, row := range rows {
			for _, option := range row.Options {
				if row.Pseudowire == w.name() && option == want {
					n++
				}
			}
		}
		if n != 2 {
			return fmt.Errorf("%d of 2 entries: %+v", n, rows)
		}
		return nil
	})
}

package packet

import (
	"testing"

	"longwire/dataplane"
	"longwire/dataplane/maps"
)

// TestOldKernelSent sends what has to be summed through the helper pair first
// where programs cannot read the skb (before 6.2), which fills its checksum in;
// behind it the packet is the same as elsewhere.
func TestOldKernelSent(t *testing.T) {
	m := openOld(t, maps.Safe{NoKernelContext: true})
	programs, p, nh := m.Programs(), newPort(t), lease(1500)
	for _, f := range carriers() {
		for _, row := range []struct {
			name   string
			change func(*dataplane.Transmit)
			helped bool
		}{
			{"fragment", func(*dataplane.Transmit) {}, f.v6 && f.udp},
			{"answer", func(tx *dataplane.Transmit) { tx.TooBig = dataplane.TooBigAnswer }, true},
		} {
			tx := f.transmit(t)
			row.change(&tx)
			must(t, m.PutTransmit(tx))
			for name, tags := range stacks {
				if name == "four" {
					continue
				}
				t.Run(f.name+"/"+row.name+"/"+name, func(t *testing.T) {
					must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
					inner := tagged(frame(101, 0x88b5), tags...)
					want := f.sent(t, nh, inner)
					got := p.run(t, programs.Encap, inner, skb{})
					if row.helped {
						if diff := diffOf(inner, got.packet); got.verdict != redirect || got.mark != circuit || diff != "" {
							t.Errorf("to the helper pair: verdict %d, mark %d (-want +got):\n%s", got.verdict, got.mark, diff)
						}
						got = p.run(t, programs.Segment, inner, skb{Mark: got.mark})
					}
					if diff := diffOf(want, got.packet); got.verdict != redirect || got.mark != 0 || diff != "" {
						t.Errorf("verdict %d, mark %d (-want +got):\n%s", got.verdict, got.mark, diff)
					}
				})
			}
		}
		inner := customerFrame(t, true, 1514)
		nextTick(t, m)
		got := p.run(t, programs.Segment, inner, skb{Mark: circuit})
		if diff := diffOf(tooBig(t, inner, 1500-f.overhead()), got.packet); got.verdict != redirect || diff != "" {
			t.Errorf("%s: answer with verdict %d (-want +got):\n%s", f.name, got.verdict, diff)
		}
	}
}

// TestOldKernelReceived takes any UDP checksum there, since one that a local
// sender has yet to fill in cannot be told from a wrong one, but none at all
// over IPv6 only where it is agreed on.
func TestOldKernelReceived(t *testing.T) {
	m := openOld(t, maps.Safe{NoKernelContext: true})
	decap := m.Programs().Decap
	for _, f := range carriers() {
		must(t, m.PutReceive(f.receive(t)))
		for name, checksum := range map[string][]byte{"right": nil, "wrong": {0xba, 0xad}, "none": {0, 0}} {
			if !f.udp && name != "right" {
				continue
			}
			packet := f.outer(t, nearSession, frame(100, 0x88b5))
			copy(packet[f.l4()+6:f.l4()+8], checksum)
			got := run(t, decap, packet, skb{})
			if want := name != "none" || !f.v6; want != (got.verdict == redirect) {
				t.Errorf("%s, checksum %s: verdict %d", f.name, name, got.verdict)
			}
		}
	}
	wantDrops(t, m, map[dataplane.Drop]uint64{dataplane.DropBadChecksum: 1})
}

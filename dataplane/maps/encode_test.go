package maps

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"longwire/bpf"
	"longwire/dataplane"
)

var compare = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateComparable(dataplane.Cookie{})}

func drawAddress(t *rapid.T, v6 bool, name string) netip.Addr {
	n := 4
	if v6 {
		n = 16
	}
	b := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name)
	a, _ := netip.AddrFromSlice(b)
	return a
}

func drawCookie(t *rapid.T) dataplane.Cookie {
	n := rapid.SampledFrom([]int{0, 4, 8}).Draw(t, "cookie length")
	c, err := dataplane.NewCookie(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "cookie"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	drawSession  = rapid.Uint32Min(1)
	drawPort     = rapid.Uint16()
	drawSublayer = rapid.SampledFrom([]dataplane.Sublayer{dataplane.SublayerNone, dataplane.SublayerDefault})
	drawCircuit  = rapid.IntRange(1, 1<<30)
)

// TestReceiveRoundTrip reads back exactly what was written.
func TestReceiveRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "v6")
		want := dataplane.Receive{
			Session: dataplane.SessionID(drawSession.Draw(t, "session")), Pseudowire: "p",
			Circuit: drawCircuit.Draw(t, "circuit"), Local: drawAddress(t, v6, "local"),
			AcceptIP: rapid.Bool().Draw(t, "ip"), AcceptUDP: rapid.Bool().Draw(t, "udp"),
			LocalPort: drawPort.Draw(t, "local port"), RemotePort: drawPort.Draw(t, "remote port"),
			Cookie: drawCookie(t), Sublayer: drawSublayer.Draw(t, "sublayer"),
		}
		if rapid.Bool().Draw(t, "remote known") {
			want.Remote = drawAddress(t, v6, "remote")
		}
		if want.AcceptPrevious = rapid.Bool().Draw(t, "previous"); want.AcceptPrevious {
			var err error
			if want.Previous, err = dataplane.NewCookie(rapid.SliceOfN(rapid.Byte(), want.Cookie.Len(), want.Cookie.Len()).Draw(t, "previous cookie")); err != nil {
				t.Fatal(err)
			}
		}
		want.Sequencing = want.Sublayer == dataplane.SublayerDefault && rapid.Bool().Draw(t, "sequencing")
		want.ZeroChecksum, want.ClampMTU = rapid.Bool().Draw(t, "zero checksum"), rapid.Uint16().Draw(t, "clamp")
		switch rapid.IntRange(0, 3).Draw(t, "tags") {
		case 1:
			want.Tags.Pop = 1
		case 2:
			want.Tags.Set = drawTags(t, "set")
		case 3:
			want.Tags.Push = drawTags(t, "push")
		}
		v, err := encodeReceive(want, 7)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeReceive(uint32(want.Session), v, "p")
		if diff := cmp.Diff(want, got, compare); err != nil || diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

// drawTag draws a tag, or none.
func drawTag(t *rapid.T, label string) dataplane.Tag {
	if rapid.Bool().Draw(t, "no "+label) {
		return dataplane.Tag{}
	}
	return dataplane.Tag{
		Type: rapid.SampledFrom([]uint16{0x8100, 0x88a8, 0x9100}).Draw(t, label+" type"),
		VID:  rapid.Uint16Range(1, dataplane.MaxVID).Draw(t, label),
	}
}

// drawTags draws none, one or two tags.
func drawTags(t *rapid.T, label string) (tags [2]dataplane.Tag) {
	if tags[0] = drawTag(t, label); tags[0].Type != 0 {
		tags[1] = drawTag(t, "second "+label)
	}
	return tags
}

// TestTransmitRoundTrip reads everything back from the packet template.
func TestTransmitRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "v6")
		want := dataplane.Transmit{
			Circuit: dataplane.Port(drawCircuit.Draw(t, "circuit")), Pseudowire: "p",
			Session: dataplane.SessionID(drawSession.Draw(t, "session")),
			Local:   drawAddress(t, v6, "local"), Remote: drawAddress(t, v6, "remote"),
			Cookie: drawCookie(t), Sublayer: drawSublayer.Draw(t, "sublayer"),
			TTL: rapid.Byte().Draw(t, "ttl"), DontFragment: !v6 && rapid.Bool().Draw(t, "df"),
			DSCP: rapid.Uint8Range(0, 63).Draw(t, "dscp"), CopyDSCP: rapid.Bool().Draw(t, "copy dscp"),
			CopyECN: rapid.Bool().Draw(t, "copy ecn"), Entropy: rapid.Bool().Draw(t, "entropy"),
			ZeroChecksum: rapid.Bool().Draw(t, "zero checksum"), ClampMTU: rapid.Uint16().Draw(t, "clamp"),
			TooBig:   dataplane.TooBig(rapid.Uint8Range(0, 2).Draw(t, "too big")),
			DropL2CP: dataplane.L2CP(rapid.Uint8Range(0, uint8(dataplane.L2CPAll)).Draw(t, "l2cp")),
			Shared:   rapid.Bool().Draw(t, "shared"), ToHost: rapid.Bool().Draw(t, "to host"),
			Tags: dataplane.Imposition{Pop: rapid.Uint8Range(0, 2).Draw(t, "pop"), Push: drawTag(t, "push")},
		}
		want.Sequencing = want.Sublayer == dataplane.SublayerDefault && rapid.Bool().Draw(t, "sequencing")
		if rapid.Bool().Draw(t, "udp") {
			want.Encapsulation = dataplane.EncapsulationUDP
			want.LocalPort, want.RemotePort = drawPort.Draw(t, "local port"), drawPort.Draw(t, "remote port")
		}
		v, err := encodeTransmit(want, 7, 9)
		if err != nil {
			t.Fatal(err)
		}
		if v.Slot != 7 || v.NextHop != 9 {
			t.Errorf("slot %d, next hop %d", v.Slot, v.NextHop)
		}
		got, err := decodeTransmit(want.Circuit, v, "p")
		if diff := cmp.Diff(want, got, compare); err != nil || diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

// TestEncodeRefuses fails closed on sessions that cannot be right.
func TestEncodeRefuses(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	eight, err := dataplane.NewCookie(make([]byte, 8))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]dataplane.Receive{
		"session 0":          {Local: four, Remote: four},
		"mixed families":     {Session: 1, Local: four, Remote: six},
		"no local address":   {Session: 1, Remote: four},
		"two cookie lengths": {Session: 1, Local: four, AcceptPrevious: true, Previous: eight},
		"sequencing alone":   {Session: 1, Local: four, Sequencing: true},
	} {
		if _, err := encodeReceive(r, 1); err == nil {
			t.Errorf("receive with %s: no error", name)
		}
	}
	for name, tx := range map[string]dataplane.Transmit{
		"mixed families":    {Session: 1, Local: six, Remote: four},
		"no local address":  {Session: 1, Remote: four},
		"no remote address": {Session: 1, Local: four},
		"sequencing alone":  {Session: 1, Local: four, Remote: four, Sequencing: true},
	} {
		if _, err := encodeTransmit(tx, 1, 1); err == nil {
			t.Errorf("transmit with %s: no error", name)
		}
	}
}

// TestEveryDropHasAWord holds the list of the C source and ours together.
func TestEveryDropHasAWord(t *testing.T) {
	words := map[dataplane.Drop]bool{}
	for reason := range bpf.LongwireDropReasonDROP_REASONS {
		word, ok := drops[reason]
		if !ok || word == "" || words[word] {
			t.Errorf("reason %d has the word %q", reason, word)
		}
		words[word] = true
	}
	if len(drops) != len(words) {
		t.Errorf("%d reasons here, %d in the C source", len(drops), len(words))
	}
}

// TestLayout pins the sizes that live sessions have in the kernel: a change
// here is a change of the layout version as well.
func TestLayout(t *testing.T) {
	spec, err := bpf.LoadLongwire()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]uint32{}
	for name, m := range spec.Maps {
		if name[0] != '.' {
			got[name] = [2]uint32{m.KeySize, m.ValueSize}
		}
	}
	want := map[string][2]uint32{
		"receives": {4, 80}, "transmits": {4, 112}, "next_hops": {4, 32}, "counters": {4, 32}, "events": {4, 40},
		"receive_copies": {4, 88}, "transmit_copies": {4, 120},
		"drops": {8, 8}, "identities": {64, 32}, "settings": {4, 16},
		"vlans": {8, 4}, "endpoints": {20, 4}, "sequences": {4, 32}, "ports": {4, 16},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key and value sizes (-want +got):\n%s", diff)
	}
}

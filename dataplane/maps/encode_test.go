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

// TestTransmitRoundTrip reads everything back from the packet template.
func TestTransmitRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "v6")
		want := dataplane.Transmit{
			Circuit: drawCircuit.Draw(t, "circuit"), Pseudowire: "p",
			Session: dataplane.SessionID(drawSession.Draw(t, "session")),
			Local:   drawAddress(t, v6, "local"), Remote: drawAddress(t, v6, "remote"),
			Cookie: drawCookie(t), Sublayer: drawSublayer.Draw(t, "sublayer"),
			TTL: rapid.Byte().Draw(t, "ttl"), DontFragment: !v6 && rapid.Bool().Draw(t, "df"),
		}
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
		got, err := decodeTransmit(uint32(want.Circuit), v, "p")
		if diff := cmp.Diff(want, got, compare); err != nil || diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

// TestEncodeRefuses fails closed on sessions that cannot be right.
func TestEncodeRefuses(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for name, r := range map[string]dataplane.Receive{
		"session 0":        {Local: four, Remote: four},
		"mixed families":   {Session: 1, Local: four, Remote: six},
		"no local address": {Session: 1, Remote: four},
	} {
		if _, err := encodeReceive(r, 1); err == nil {
			t.Errorf("receive with %s: no error", name)
		}
	}
	for name, tx := range map[string]dataplane.Transmit{
		"session 0":         {Local: four, Remote: four},
		"mixed families":    {Session: 1, Local: six, Remote: four},
		"no local address":  {Session: 1, Remote: four},
		"no remote address": {Session: 1, Local: four},
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
		"receives": {4, 64}, "transmits": {4, 104}, "next_hops": {4, 32}, "counters": {4, 32},
		"drops": {8, 8}, "identities": {64, 16}, "settings": {4, 12},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key and value sizes (-want +got):\n%s", diff)
	}
}

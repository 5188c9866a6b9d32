package lab

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPacketBytes holds one packet of each encapsulation against bytes written
// down by hand.
func TestPacketBytes(t *testing.T) {
	t.Parallel()
	const (
		ethernet4 = "000000000000" + "000000000000" + "0800"
		ethernet6 = "000000000000" + "000000000000" + "86dd"
		session   = "000003e9" + "deadbeefcafef00d"
		source6   = "20010db8000000000000000000000001"
		far6      = "20010db8000000000000000000000002"
		frame     = "aabbcc"
	)
	tests := []struct {
		name   string
		tunnel Tunnel
		want   string
	}{
		{"IPv4", tunnels()[0], ethernet4 + "4500002300004000" + "4073" + "b664" + "c0000201" + "c0000202" + session + frame},
		{"IPv4 and UDP", tunnels()[1], ethernet4 + "4500002f00004000" + "4011" + "b6ba" + "c0000201" + "c0000202" +
			"06a506a5001b" + "9b17" + "00030000" + session + frame},
		{"IPv6", tunnels()[2], ethernet6 + "60000000000f7340" + source6 + far6 + session + frame},
		{"IPv6 and UDP", tunnels()[3], ethernet6 + "60000000001b1140" + source6 + far6 +
			"06a506a5001b" + "c3a6" + "00030000" + session + frame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tunnelPacket(t, tt.tunnel, []byte{0xaa, 0xbb, 0xcc})
			if diff := cmp.Diff(tt.want, hex.EncodeToString(got)); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeaderOfSublayer(t *testing.T) {
	t.Parallel()
	tunnel := Tunnel{Source: PE1Source4, Destination: PE2Source4, Session: 0x01020304, Cookie: "a1b2c3d4", Sublayer: true}
	const want = "01020304" + "a1b2c3d4" + "00000000"
	if got := hex.EncodeToString(tunnel.Header()); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
}

func TestSetIPLength(t *testing.T) {
	t.Parallel()
	for _, tunnel := range tunnels() {
		packet := tunnelPacket(t, tunnel, make([]byte, 60))
		whole := len(packet)
		if _, err := tunnel.Inner(packet); err != nil {
			t.Fatal(err)
		}
		tunnel.SetIPLength(packet, whole-15)
		if _, err := tunnel.Inner(packet); err == nil {
			t.Errorf("%+v: a length that is one byte short is accepted", tunnel)
		}
		tunnel.SetIPLength(packet, whole-14)
		if _, err := tunnel.Inner(packet); err != nil {
			t.Errorf("%+v: with its length back: %v", tunnel, err)
		}
	}
}

package wire

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The EVPN family is found in each way that an OPEN may offer it, and nothing
// else passes for it.
func TestOffersEVPN(t *testing.T) {
	const fixed = "04fde8005ac00002fe"
	for _, test := range []struct {
		name, hex string
		want      bool
	}{
		{"alone", fixed + "08 0206 0104 0019 00 46", true},
		{"behind another capability in one parameter", fixed + "0a 0208 0200 0104 0019 00 46", true},
		{"behind another parameter", fixed + "10 0206 0104 0001 00 01 0206 0104 0019 00 46", true},
		{"with extended lengths (RFC 9072)", fixed + "ff ff 0009 02 0006 0104 0019 00 46", true},
		{"IPv4 unicast", fixed + "08 0206 0104 0001 00 01", false},
		{"VPLS, the other family of L2VPN", fixed + "08 0206 0104 0019 00 41", false},
		{"another capability with such a value", fixed + "08 0206 4104 0019 00 46", false},
		{"another parameter with such a value", fixed + "08 0106 0104 0019 00 46", false},
		{"no parameters", fixed + "00", false},
		{"cut in the family", fixed + "08 0206 0104 0019 00", false},
		{"a capability that is too long", fixed + "08 0206 0105 0019 00 46", false},
		{"nothing", "", false},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(test.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := offersEVPN(b); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

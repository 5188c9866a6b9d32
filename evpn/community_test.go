package evpn_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"longwire/evpn"
)

func TestParseRouteTarget(t *testing.T) {
	for _, test := range []struct {
		in   string
		want evpn.RouteTarget
		text string // when it differs from in
	}{
		{in: "65000:1", want: evpn.RouteTarget{0, 2, 0xfd, 0xe8, 0, 0, 0, 1}},
		{in: "0:0", want: evpn.RouteTarget{0, 2}},
		{in: "65535:4294967295", want: evpn.RouteTarget{0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{in: "65536:1", want: evpn.RouteTarget{2, 2, 0, 1, 0, 0, 0, 1}},
		{in: "4200000000:65535", want: evpn.RouteTarget{2, 2, 0xfa, 0x56, 0xea, 0, 0xff, 0xff}},
		{in: "100L:7", want: evpn.RouteTarget{2, 2, 0, 0, 0, 100, 0, 7}},
		{in: "65536L:1", want: evpn.RouteTarget{2, 2, 0, 1, 0, 0, 0, 1}, text: "65536:1"},
		{in: "192.0.2.1:300", want: evpn.RouteTarget{1, 2, 192, 0, 2, 1, 1, 44}},
	} {
		got, err := evpn.ParseRouteTarget(test.in)
		if err != nil || got != test.want {
			t.Errorf("ParseRouteTarget(%q) = %x, %v; want %x", test.in, got, err, test.want)
		}
		if test.text == "" {
			test.text = test.in
		}
		if s := got.String(); s != test.text {
			t.Errorf("ParseRouteTarget(%q).String() = %q, want %q", test.in, s, test.text)
		}
	}
}

func TestParseRouteTargetErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "want ADMINISTRATOR:NUMBER",
		"65000":             "want ADMINISTRATOR:NUMBER",
		"1:2:3":             "want ADMINISTRATOR:NUMBER",
		":1":                `AS number ""`,
		"65000:":            `number ""`,
		"-1:1":              `AS number "-1"`,
		"+1:1":              `AS number "+1"`,
		"4294967296:1":      `AS number "4294967296"`,
		"65000:4294967296":  "between 0 and 4294967295",
		"65536:65536":       "between 0 and 65535",
		"100L:65536":        "between 0 and 65535",
		"192.0.2.1:65536":   "between 0 and 65535",
		"192.0.2:1":         "no IPv4 address",
		"192.0.2.1.5:1":     "no IPv4 address",
		" 65000:1":          "AS number",
		"65000:0x10":        "number",
		"1_0:1":             "AS number",
		"LL:1":              "AS number",
		"192.0.2.1 :1":      "no IPv4 address",
		"::ffff:192.0.2.1:": "want ADMINISTRATOR:NUMBER",
	} {
		got, err := evpn.ParseRouteTarget(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRouteTarget(%q) = %v, %v; want an error with %q", in, got, err, want)
		}
		if _, err := evpn.ParseRD(in); err == nil {
			t.Errorf("ParseRD(%q) takes what ParseRouteTarget refuses", in)
		}
	}
}

func TestRouteTargetOfAnotherKind(t *testing.T) {
	encapsulation := evpn.RouteTarget{3, 0x0c, 0, 0, 0, 0, 0, 1}
	if encapsulation.IsRouteTarget() {
		t.Error("an encapsulation community passes as a route target")
	}
	if got := encapsulation.String(); got != "030c000000000001" {
		t.Errorf("String() = %q", got)
	}
}

func TestRD(t *testing.T) {
	rd := evpn.NewRD1(netip.MustParseAddr("192.0.2.1"), 7)
	if want := (evpn.RD{0, 1, 192, 0, 2, 1, 0, 7}); rd != want {
		t.Errorf("NewRD1 = %x, want %x", rd, want)
	}
	for text, want := range map[string]evpn.RD{
		"192.0.2.1:7":  rd,
		"65000:99":     {0, 0, 0xfd, 0xe8, 0, 0, 0, 99},
		"4200000000:5": {0, 2, 0xfa, 0x56, 0xea, 0, 0, 5},
	} {
		got, err := evpn.ParseRD(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseRD(%q) = %x (%s), %v; want %x", text, got, got, err, want)
		}
	}
	if got := (evpn.RD{0x12, 0x34, 5}).String(); got != "1234050000000000" {
		t.Errorf("an unknown type prints as %q", got)
	}
}

// Every route target and distinguisher of a known form survives printing and
// parsing, so configuration, API and wire agree.
func TestAdministeredRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.ByteRange(0, 2).Draw(t, "form")
		v := rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "value")
		target := evpn.RouteTarget{form, 2}
		copy(target[2:], v)
		if got, err := evpn.ParseRouteTarget(target.String()); err != nil || got != target {
			t.Fatalf("%x prints as %s and reads back as %x, %v", target, target, got, err)
		}
		rd := evpn.RD{0, form}
		copy(rd[2:], v)
		if got, err := evpn.ParseRD(rd.String()); err != nil || got != rd {
			t.Fatalf("%x prints as %s and reads back as %x, %v", rd, rd, got, err)
		}
	})
}

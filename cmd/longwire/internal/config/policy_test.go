package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
)

func TestPolicies(t *testing.T) {
	tests := []struct {
		keys string               // separated by |
		want func(pw *Pseudowire) // changes what there is without the keys
	}{
		{"ttl: 64", func(*Pseudowire) {}},
		{"sublayer: none|sequencing: false", func(*Pseudowire) {}},
		{"too_big: fragment|mss_clamp: false|dont_fragment: false", func(*Pseudowire) {}},
		{"dscp: 0|ecn: compatibility", func(*Pseudowire) {}},
		{"encapsulation: ip|source_port: fixed|udp_checksum: auto", func(*Pseudowire) {}},
		{"ttl: 255", func(pw *Pseudowire) { pw.TTL = 255 }},
		{"dscp: 63", func(pw *Pseudowire) { pw.DSCP = 63 }},
		{"dscp: copy", func(pw *Pseudowire) { pw.CopyDSCP = true }},
		{"ecn: normal", func(pw *Pseudowire) { pw.CopyECN = true }},
		{"mss_clamp: true", func(pw *Pseudowire) { pw.ClampMSS = true }},
		{"too_big: drop", func(pw *Pseudowire) { pw.TooBig = dataplane.TooBigDrop }},
		{"too_big: answer", func(pw *Pseudowire) { pw.TooBig = dataplane.TooBigAnswer }},
		{"too_big: drop|dont_fragment: true", func(pw *Pseudowire) {
			pw.TooBig, pw.DontFragment = dataplane.TooBigDrop, true
		}},
		{"dont_fragment: true|too_big: answer", func(pw *Pseudowire) {
			pw.TooBig, pw.DontFragment = dataplane.TooBigAnswer, true
		}},
		{"sublayer: default|sequencing: true", func(pw *Pseudowire) {
			pw.Sublayer, pw.Sequencing = dataplane.SublayerDefault, true
		}},
		{"sequencing: false|sublayer: default", func(pw *Pseudowire) { pw.Sublayer = dataplane.SublayerDefault }},
		{"encapsulation: udp|source_port: entropy", func(pw *Pseudowire) {
			pw.Encapsulation, pw.Entropy = dataplane.EncapsulationUDP, true
		}},
		{"udp_checksum: zero|encapsulation: udp", func(pw *Pseudowire) {
			pw.Encapsulation, pw.ZeroChecksum = dataplane.EncapsulationUDP, true
		}},
		{"encapsulation: udp|source_port: fixed|udp_checksum: auto", func(pw *Pseudowire) { pw.Encapsulation = dataplane.EncapsulationUDP }},
	}
	for _, tt := range tests {
		t.Run(tt.keys, func(t *testing.T) {
			want, got := parsed(t), parsed(t, strings.Split(tt.keys, "|")...)
			tt.want(&want)
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// parsed is the pseudowire of pseudowireFile.
func parsed(t *testing.T, keys ...string) Pseudowire {
	t.Helper()
	cfg, err := Parse("pe1.yaml", []byte(pseudowireFile(keys...)), noSecret)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Pseudowires[0]
}

// What a pseudowire is without any key: frames cross whole, by protocol 115, and
// nothing of the customer's shows outside.
func TestPolicyDefaults(t *testing.T) {
	got := parsed(t)
	want := Pseudowire{
		Name: "a", Interface: "e", Tags: Tags{Mode: TagsKeep}, Source: addr("192.0.2.1"), Encapsulation: dataplane.EncapsulationIP,
		Port: 1701, CookieLength: 8, TooBig: dataplane.TooBigFragment, TTL: 64, Static: got.Static,
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyRefusals(t *testing.T) {
	const udp = ": is for encapsulation: udp; remove it or add encapsulation: udp"
	checkRefusals(t, []refusal{
		{"dscp too large", pseudowireFile("dscp: 64"), `6: pseudowires[0].dscp: "64" is not a number from 0 to 63, or copy`},
		{"dscp by name", pseudowireFile("dscp: ef"), `6: pseudowires[0].dscp: "ef" is not a number from 0 to 63, or copy`},
		{"ecn", pseudowireFile("ecn: copy"), `6: pseudowires[0].ecn: "copy" is not one of compatibility, normal`},
		{"too_big", pseudowireFile("too_big: icmp"), `6: pseudowires[0].too_big: "icmp" is not one of fragment, drop, answer`},
		{"mss_clamp", pseudowireFile("mss_clamp: 1400"), `6: pseudowires[0].mss_clamp: "1400" is not true or false`},
		{"dont_fragment", pseudowireFile("dont_fragment: yes"), `6: pseudowires[0].dont_fragment: "yes" is not true or false`},
		{"DF and fragments", pseudowireFile("too_big: fragment", "dont_fragment: true"), "7: pseudowires[0].dont_fragment: conflicts with too_big: fragment on line 6: a packet with DF cannot be fragmented; write too_big: drop or answer, or remove it"},
		{"DF and fragments by default", pseudowireFile("dont_fragment: true"), "6: pseudowires[0].dont_fragment: conflicts with too_big: fragment, the default here: a packet with DF cannot be fragmented; write too_big: drop or answer, or remove it"},
		{"DF and a wrong too_big are one error", pseudowireFile("too_big: x", "dont_fragment: true"), `6: pseudowires[0].too_big: "x" is not one of fragment, drop, answer`},
		{"sequencing", pseudowireFile("sequencing: on"), `6: pseudowires[0].sequencing: "on" is not true or false`},
		{"sequencing without sublayer", pseudowireFile("sublayer: none", "sequencing: true"), "7: pseudowires[0].sequencing: conflicts with sublayer: none on line 6: the numbers are in the sublayer; write sublayer: default at both ends, or remove it"},
		{"sequencing without sublayer by default", pseudowireFile("sequencing: true"), "6: pseudowires[0].sequencing: conflicts with sublayer: none, the default here: the numbers are in the sublayer; write sublayer: default at both ends, or remove it"},
		{"sequencing and a wrong sublayer are one error", pseudowireFile("sublayer: x", "sequencing: true"), `6: pseudowires[0].sublayer: "x" is not one of none, default`},
		{"source_port", pseudowireFile("encapsulation: udp", "source_port: random"), `7: pseudowires[0].source_port: "random" is not one of fixed, entropy`},
		{"udp_checksum", pseudowireFile("encapsulation: udp", "udp_checksum: none"), `7: pseudowires[0].udp_checksum: "none" is not one of auto, zero`},
		{"entropy without UDP", pseudowireFile("source_port: entropy"), "6: pseudowires[0].source_port" + udp},
		{"entropy with ip", pseudowireFile("encapsulation: ip", "source_port: entropy"), "7: pseudowires[0].source_port" + udp},
		{"zero checksum without UDP", pseudowireFile("udp_checksum: zero"), "6: pseudowires[0].udp_checksum" + udp},
		{"port without UDP", pseudowireFile("port: 1701"), "6: pseudowires[0].port" + udp},
		{"a wrong encapsulation is one error", pseudowireFile("encapsulation: gre", "port: 5", "udp_checksum: zero"), `6: pseudowires[0].encapsulation: "gre" is not one of ip, udp`},
	})
}

func TestPreviousCookie(t *testing.T) {
	tests := []struct {
		keys string
		want string // "none" = there is none
	}{
		{"local_session: 1", "none"},
		{"local_session: 1, local_cookie: 00112233", "none"},
		{"local_session: 1, local_cookie: 00112233, previous_local_cookie: 44556677", "44556677"},
		{"local_session: 1, previous_local_cookie: 0x0011223344556677, local_cookie: 8899aabbccddeeff", "0011223344556677"},
	}
	for _, tt := range tests {
		cfg, err := Parse("x", []byte(staticHead+static("a", "e", tt.keys)), noSecret)
		if err != nil {
			t.Errorf("%s: %v", tt.keys, err)
			continue
		}
		got := "none"
		if p := cfg.Pseudowires[0].Static.PreviousCookie; p != nil {
			got = p.String()
		}
		if got != tt.want {
			t.Errorf("%s: the previous cookie is %s, want %s", tt.keys, got, tt.want)
		}
	}
	key := "3: pseudowires[0].static.previous_local_cookie: "
	checkRefusals(t, []refusal{
		{"not hex", staticHead + static("a", "e", "local_session: 1, local_cookie: 00112233, previous_local_cookie: secret"), key + "is not a cookie; write 8 or 16 hexadecimal digits, or leave the key out for no cookie"},
		{"without local_cookie", staticHead + static("a", "e", "local_session: 1, previous_local_cookie: 00112233"), key + "is for a change of local_cookie, and there is none; add local_cookie or remove it"},
		{"with an empty local_cookie", staticHead + static("a", "e", "local_session: 1, local_cookie: \"\", previous_local_cookie: \"\""), key + "is for a change of local_cookie, and there is none; add local_cookie or remove it"},
		{"shorter", staticHead + static("a", "e", "local_session: 1, local_cookie: 0011223344556677, previous_local_cookie: 00112233"), key + "has not the length of local_cookie on line 3; write as many digits: a session has cookies of one length (RFC 3931 section 4.1)"},
		{"longer", staticHead + static("a", "e", "local_session: 1, local_cookie: 00112233, previous_local_cookie: 0011223344556677"), key + "has not the length of local_cookie on line 3; write as many digits: a session has cookies of one length (RFC 3931 section 4.1)"},
		{"empty", staticHead + static("a", "e", "local_session: 1, local_cookie: 00112233, previous_local_cookie: \"\""), key + "has not the length of local_cookie on line 3; write as many digits: a session has cookies of one length (RFC 3931 section 4.1)"},
		{"a wrong local_cookie is one error", staticHead + static("a", "e", "local_session: 1, local_cookie: secret, previous_local_cookie: 00112233"), "3: pseudowires[0].static.local_cookie: is not a cookie; write 8 or 16 hexadecimal digits, or leave the key out for no cookie"},
	})
}

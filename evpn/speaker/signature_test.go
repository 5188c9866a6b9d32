package speaker

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"longwire/evpn/wire"
)

func TestReadSignatures(t *testing.T) {
	const file = `TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPSackShifted
TcpExt: 9 1 20 300 7
IpExt: InNoRoutes
IpExt: 5
`
	got, err := readSignatures(strings.NewReader(file))
	if want := (signatures{unwanted: 20, wrong: 301}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"nothing": "", "names alone": "TcpExt: TCPMD5Failure\n", "another protocol": "IpExt: A\nIpExt: 1\n",
	} {
		if got, err := readSignatures(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Counters that a kernel does not have are 0.
	if got, err := readSignatures(strings.NewReader("TcpExt: A B\nTcpExt: 1\n")); err != nil || got != (signatures{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// The counters are there, of our own namespace and of a worker's.
func TestSignatureErrors(t *testing.T) {
	if _, err := (&engine{}).signatureErrors(); err != nil {
		t.Error(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&engine{process: &process{command: gone}}).signatureErrors(); err == nil {
		t.Error("the counters of a process that is gone")
	}
}

// Errors are blamed on neighbours that are down and that they can be of.
func TestSuspects(t *testing.T) {
	for _, test := range []struct {
		name string
		now  signatures
		up   bool // the second neighbour, which has a password
		want int
	}{
		{"signed, and the first neighbour has no password", signatures{unwanted: 1}, false, 1},
		{"wrong, and the second has one", signatures{wrong: 1}, false, 1},
		{"wrong, and the second is up", signatures{wrong: 1}, true, 0},
		{"both", signatures{1, 1}, false, 2},
		{"nothing new", signatures{}, false, 0},
	} {
		s, _ := listening()
		if test.up {
			s.record(&engine{}, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: second, EVPN: true})
		}
		got := s.suspects(signatures{}, test.now)
		if len(got) != test.want || test.now.unwanted == 0 && slices.Contains(got, neighbor) {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// No answer is no second failure while the kernel says why.
func TestUnreachableByPassword(t *testing.T) {
	s, _ := listening()
	line := map[string]any{"neighbor": neighbor.String(), "error": "i/o timeout"}
	s.hear("failed to connect", line)
	s.suspects(signatures{}, signatures{unwanted: 1})
	s.hear("failed to connect", line)
	if got := s.shown().Failures[ReasonUnreachable]; got != 1 {
		t.Errorf("%d failures", got)
	}
}

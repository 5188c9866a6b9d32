package l2tp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/vm"
)

// table is the one of the matrix that the tests write to.
const table = "Linux kernel L2TPv3"

// TestKernelL2TP sends everything over every kind of pseudowire between Longwire
// and the kernel, both ways.
func TestKernelL2TP(t *testing.T) {
	for _, s := range []vm.Series{vm.Linux61, vm.Linux612} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			kernel, err := vm.Fetch(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			all := combinations()
			w := newWorld(t, kernel, append(all, special(len(all))...))
			for _, c := range w.all {
				t.Run(c.name(), func(t *testing.T) {
					matrix.Record(t, table, c.String(), kernel.String())
					w.carries(t, c)
					if c.kind == ordinary {
						t.Run("refused", func(t *testing.T) { w.refuses(t, c) })
					}
				})
			}
			t.Run("documented", func(t *testing.T) {
				matrix.Record(t, table, "the example of this page", kernel.String())
				w.pingAll(t, documentedNumber, small)
			})
			t.Run("unusual", w.doesWithUnusual)
		})
	}
}

// Payloads of echo requests in bytes, for IPv4 and IPv6: with their headers they
// make a small frame, one of full size, and one whose outer packet is larger than
// the underlay's MTU and sent in fragments.
var (
	small      = [2]int{56, 56}
	full       = [2]int{1500 - 28, 1500 - 48}
	fragmented = [2]int{1900 - 28, 1900 - 48}
)

// carries checks that a pseudowire carries frames of every size, and TCP.
func (w *world) carries(t *testing.T, c combination) {
	t.Run("ping", func(t *testing.T) { w.ping(t, c, small) })
	t.Run("full", func(t *testing.T) { w.ping(t, c, full) })
	t.Run("fragments", func(t *testing.T) {
		sent, slow := w.mustCount(t, c.name()), w.mustCount(t, "")
		w.ping(t, c, fragmented)
		// Requests and answers of two pings each way.
		const frames = 4
		if n := w.mustCount(t, c.name()).Fragmented - sent.Fragmented; n < frames {
			t.Errorf("Longwire sent %d frames in fragments, want %d", n, frames)
		}
		if n := w.mustCount(t, "").delivered() - slow.delivered(); n < frames {
			t.Errorf("Longwire delivered %d frames of fragments, want %d", n, frames)
		}
	})
	t.Run("tcp", func(t *testing.T) { w.tcp(t, c) })
}

func (c counters) delivered() uint64 {
	if c.SlowPath == nil {
		return 0
	}
	return c.SlowPath.Delivered
}

// ping sends echo requests of IPv4 and IPv6 from both ends, which must be
// answered without being cut.
func (w *world) ping(t *testing.T, c combination, size [2]int) {
	t.Helper()
	w.pingAll(t, c.number, size)
}

func (w *world) pingAll(t *testing.T, number int, size [2]int) {
	t.Helper()
	var lines []string
	for i, from := range []func(side, port int) string{host4, host6} {
		ping := fmt.Sprintf("ping -n -c 1 -w %d -M do -s %d ", int(patience/time.Second), size[i])
		if _, err := w.ce.Try(strings.Fields(ping + from(theirs, number))...); err != nil {
			t.Errorf("from Longwire's side: %v", err)
		}
		lines = append(lines, ping+from(ours, number))
	}
	if _, err := w.guest.Run(3*patience, strings.Join(lines, " && ")); err != nil {
		t.Errorf("from the kernel's side: %v", err)
	}
}

func host4(side, port int) string { return lab.Host4(side, port).String() }
func host6(side, port int) string { return lab.Host6(side, port).String() }

// tcpSize is how much a transfer sends, in bytes.
const tcpSize = 300_000

// tcp transfers bytes each way and compares their checksums.
func (w *world) tcp(t *testing.T, c combination) {
	client := http.Client{Timeout: patience, Transport: w.transport(w.ce)}
	url := "http://" + host4(theirs, c.number)
	body := lab.Pattern(uint32(c.number), tcpSize)
	response, err := client.Post(url+"/sum", "", bytes.NewReader(body))
	if err != nil {
		t.Fatalf("to the kernel: %v", err)
	}
	sum, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(sum) != sha(body) {
		t.Errorf("to the kernel: sum %s, want %s, error %v", sum, sha(body), err)
	}
	response, err = client.Get(fmt.Sprintf("%s/random?size=%d", url, tcpSize))
	if err != nil {
		t.Fatalf("from the kernel: %v", err)
	}
	body, err = io.ReadAll(response.Body)
	response.Body.Close()
	if want := response.Header.Get("Sum"); err != nil || len(body) != tcpSize || sha(body) != want {
		t.Errorf("from the kernel: %d bytes with sum %s, want %s, error %v", len(body), sha(body), want, err)
	}
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

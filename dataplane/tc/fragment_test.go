package tc_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// whole receives in a PE what its stack makes of fragments: the payload of IP
// protocol 115, or of UDP to port 1701.
type whole struct{ net.PacketConn }

func (e *end) listenWhole(t *testing.T, c carrier) whole {
	t.Helper()
	network, address := "ip4:115", lab.PE2Source4.String()
	if c.v6 {
		network, address = "ip6:115", lab.PE2Source6.String()
	}
	if c.udp {
		network, address = "udp", net.JoinHostPort(address, "1701")
	}
	var w whole
	err := e.pe.Do(func() (err error) {
		w.PacketConn, err = net.ListenPacket(network, address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// next returns the next customer frame that came whole: behind the session id
// and the cookie, and over UDP behind flags and version.
func (w whole) next(c carrier) ([]byte, error) {
	if err := w.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	skip := 4 + 8
	if c.udp {
		skip += 4
	}
	b := make([]byte, 70000)
	for {
		n, _, err := w.ReadFrom(b)
		if err != nil {
			return nil, err
		}
		// The host's own chatter crosses as well.
		if frame := b[min(skip, n):n]; len(frame) > 14 && binary.BigEndian.Uint16(frame[12:]) == testType {
			return frame, nil
		}
	}
}

// testType is the EtherType of the frames that are looked for.
const testType = 0x88b5

// TestFragments sends frames that do not fit the underlay, of every length
// around the limits of one to eight fragments, and has another kernel's stack
// put them together, with and without a leased next hop.
func TestFragments(t *testing.T) {
	for _, c := range carriers {
		for _, leased := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-leased-%t", c, leased), func(t *testing.T) {
				t.Parallel()
				top := lab.NewTopology(t, lab.Options{CircuitMTU: 9000, UnderlayMTU: 1400, NoUnderlayOffloads: true})
				e := openEnd(t, top, top.PE1, tc.ModeAuto)
				e.join(t, c, 1)
				e.transmits(t, func(tx *dataplane.Transmit) { tx.TooBig = dataplane.TooBigFragment })
				e.serve(t)
				far := (&end{pe: top.PE2}).listenWhole(t, c)
				port := top.CE1.Port(lab.HostPort(0))
				fragmented := uint64(0)
				for _, n := range []int{1300, 1301, 1367, 1368, 1369, 1370, 1371, 1372, 1373, 1374, 1375, 1376, 1377, 1400, 1514, 2700, 2701, 2752, 2760, 4000, 5555, 9000, 9014} {
					if leased {
						e.leaseMTU(t, top, c, 1, 1400)
					}
					sent := frameOf(n)
					if err := port.Send(sent); err != nil {
						t.Fatal(err)
					}
					got, err := far.next(c)
					if err != nil {
						t.Fatalf("frame of %d bytes: %v", n, err)
					}
					if !bytes.Equal(sent, got) {
						t.Fatalf("frame of %d bytes came as %d bytes, different", n, len(got))
					}
					if n+c.header() > 1400 {
						fragmented++
					}
				}
				all, err := e.Counters()
				if err != nil {
					t.Fatal(err)
				}
				if got := all["p"]; got.Fragmented != fragmented || len(got.Drops) > 0 {
					t.Errorf("counted %d frames in fragments, want %d; drops %v", got.Fragmented, fragmented, got.Drops)
				}
			})
		}
	}
}

// header is what comes before the frame in the outer packet, with a cookie of
// eight bytes.
func (c carrier) header() int {
	n := 20 + 4 + 8
	if c.v6 {
		n += 20
	}
	if c.udp {
		n += 12
	}
	return n
}

func frameOf(n int) []byte {
	return append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, lab.Pattern(uint32(n), n-14)...)
}

// transmits changes how the end's circuits send.
func (e *end) transmits(t *testing.T, change func(*dataplane.Transmit)) {
	t.Helper()
	state, err := e.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, tx := range state.Transmit {
		change(&tx)
		if err := e.PutTransmit(tx); err != nil {
			t.Fatal(err)
		}
	}
}

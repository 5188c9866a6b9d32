package packet

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"longwire/dataplane"
)

// capture is one file of packets that the Linux kernel's own L2TPv3 exchanged;
// its README says which numbers were used.
type capture struct {
	format
	packets [][]byte // from the kernel only
}

const kernelSession = 1012

// captures reads all sixteen files.
func captures(t *testing.T) []capture {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*.pcap")
	must(t, err)
	if len(files) != 16 {
		t.Fatalf("%d captures, want 16", len(files))
	}
	var all []capture
	for _, name := range files {
		parts := strings.Split(strings.TrimSuffix(filepath.Base(name), ".pcap"), "-")
		c := capture{format: format{name: strings.Join(parts, "-"), v6: parts[0] == "v6", udp: parts[1] == "udp"}}
		if parts[2] == "default" {
			c.sublayer = dataplane.SublayerDefault
		}
		if parts[3] == "ck8" {
			c.cookie = []byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}
		}
		c.packets = fromKernel(t, name, c.format)
		if len(c.packets) < 10 {
			t.Fatalf("%s: %d packets from the kernel", name, len(c.packets))
		}
		all = append(all, c)
	}
	return all
}

// fromKernel picks the L2TP packets whose source is the kernel's address. The
// same file also holds what was inside the tunnel.
func fromKernel(t *testing.T, name string, f format) [][]byte {
	file, err := os.Open(name)
	must(t, err)
	defer func() { _ = file.Close() }()
	r, err := pcapgo.NewReader(file)
	must(t, err)
	var all [][]byte
	for {
		b, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		_, far := kernelAddresses(f)
		from := f.l4() - 2*len(far.AsSlice())
		if len(b) <= f.header() || string(b[from:from+len(far.AsSlice())]) != string(far.AsSlice()) {
			continue
		}
		protocol := b[23]
		if f.v6 {
			protocol = b[20]
		}
		if protocol == 115 || protocol == 17 {
			all = append(all, append([]byte(nil), b...))
		}
	}
}

// kernelAddresses are our address and the kernel's.
func kernelAddresses(f format) (near, far netip.Addr) {
	if f.v6 {
		return netip.MustParseAddr("fd12::1"), netip.MustParseAddr("fd12::2")
	}
	return netip.MustParseAddr("10.12.0.1"), netip.MustParseAddr("10.12.0.2")
}

// TestKernelDecap decapsulates every packet of the kernel byte for byte.
func TestKernelDecap(t *testing.T) {
	m := openDecap(t, 64)
	for _, c := range captures(t) {
		t.Run(c.name, func(t *testing.T) {
			r := c.receive(t)
			r.Local, r.Remote = kernelAddresses(c.format)
			r.Session = kernelSession
			must(t, m.PutReceive(r))
			for i, b := range c.packets {
				inner := delivered(t, m, b[c.header():])
				sent := append([]byte(nil), b...)
				clear(sent[:6]) // the address of the device that a test run pretends
				got := run(t, m.Programs().Decap, sent, skb{})
				if diff := diffOf(inner, got.packet); got.verdict != redirect || diff != "" {
					t.Errorf("packet %d: verdict %d, drops %v (-kernel +ours):\n%s", i, got.verdict, dropsOf(t, m), diff)
				}
			}
		})
	}
}

// TestKernelEncap encapsulates what is inside each packet of the kernel and
// wants the kernel's packet back, but for what a sender is free to choose: the
// IPv4 identification (with the checksum over it) and the IPv6 flow label.
func TestKernelEncap(t *testing.T) {
	m := open(t, 64)
	for _, c := range captures(t) {
		t.Run(c.name, func(t *testing.T) {
			tx := c.transmit(t)
			tx.Remote, tx.Local = kernelAddresses(c.format)
			tx.Session, tx.DontFragment = kernelSession, false
			if c.udp {
				tx.LocalPort, tx.RemotePort = farPort, nearPort
			}
			nh := lease(1500)
			copy(nh.Destination[:], c.packets[0])
			copy(nh.Source[:], c.packets[0][6:])
			must(t, m.PutTransmit(tx))
			must(t, m.Lease(dataplane.Flow{Local: tx.Local, Remote: tx.Remote}, nh))
			for i, b := range c.packets {
				if len(b)-14 > 1500 {
					continue // the kernel's were fragmented
				}
				got := encap(t, m, append([]byte(nil), b[c.header():]...), skb{})
				if got.verdict != redirect {
					t.Fatalf("packet %d: verdict %d, drops %v", i, got.verdict, dropsOf(t, m))
				}
				if !c.v6 && binary.BigEndian.Uint16(got.packet[24:]) != binary.BigEndian.Uint16(fixIPv4(got.packet)[24:]) {
					t.Errorf("packet %d: wrong header checksum", i)
				}
				want := append([]byte(nil), b...)
				if diff := diffOf(c.free(want), c.free(got.packet)); diff != "" {
					t.Errorf("packet %d (-kernel +ours):\n%s", i, diff)
				}
			}
		})
	}
}

// free clears what the sender may choose.
func (c capture) free(b []byte) []byte {
	if c.v6 {
		clear(b[15:18]) // traffic class 0 and flow label
	} else {
		clear(b[18:20])
		clear(b[24:26])
	}
	return b
}

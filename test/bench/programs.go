package main

import (
	"fmt"
	"io"
	"net/netip"
	"text/tabwriter"

	"github.com/cilium/ebpf"

	"longwire/dataplane"
	"longwire/dataplane/maps"
	"longwire/test/lab"
)

var frameSizes = []int{64, 512, 1450}

// loopback is the interface that a test run pretends to receive on.
const loopback = 1

// programs prints what each program costs alone. A run changes its packet, and
// the kernel does not put it back between the runs of one call: so each run is a
// call of its own, and runs of the program and of the empty one take turns. The
// lower quartile is printed, since interrupts only ever add.
func programs(tb lab.TB, out io.Writer, shots int) error {
	m, err := maps.Open(maps.Options{PinDir: lab.New(tb).BPFFS(), Capacity: 64})
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	if err := m.SetHelpers(loopback, loopback); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "ns per packet\t")
	for _, n := range frameSizes {
		fmt.Fprintf(table, "%d bytes\t", n)
	}
	fmt.Fprintln(table)
	for _, c := range carriers {
		tx, rx := sessions(c)
		if err := m.PutTransmit(tx); err != nil {
			return err
		}
		if err := m.PutReceive(rx); err != nil {
			return err
		}
		p := m.Programs()
		flow := dataplane.Flow{Local: tx.Local, Remote: tx.Remote}
		lease := func() error { return m.Lease(flow, dataplane.NextHop{IfIndex: loopback, MTU: 9000}) }
		revoke := func() error { return m.Revoke(flow) }
		encapsulated := func(n int) ([]byte, error) { return looped(p.Encap, customerFrame(n), lease) }
		rows := []row{
			{"encap " + c.String(), p.Encap, plain, lease},
			{"encap " + c.String() + ", no lease", p.Encap, plain, revoke},
			{"decap " + c.String(), p.Decap, encapsulated, lease},
		}
		for _, r := range rows {
			if err := r.print(table, p.Empty, shots); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return table.Flush()
}

// row is one line of the table: a program with the packets to give it.
type row struct {
	name    string
	prog    *ebpf.Program
	packet  func(n int) ([]byte, error)
	prepare func() error // before each bunch of shots
}

func plain(n int) ([]byte, error) { return customerFrame(n), nil }

func (r row) print(w io.Writer, empty *ebpf.Program, shots int) error {
	fmt.Fprintf(w, "%s\t", r.name)
	for _, n := range frameSizes {
		packet, err := r.packet(n)
		if err != nil {
			return err
		}
		var took, nothing []float64
		for i := range shots {
			if i%1000 == 0 {
				if err := r.prepare(); err != nil {
					return err
				}
			}
			for prog, into := range map[*ebpf.Program]*[]float64{r.prog: &took, empty: &nothing} {
				_, d, err := prog.Benchmark(packet, 1, nil)
				if err != nil {
					return err
				}
				*into = append(*into, float64(d.Nanoseconds()))
			}
		}
		fmt.Fprintf(w, "%.0f\t", percentile(took, 0.25)-percentile(nothing, 0.25))
	}
	_, err := fmt.Fprintln(w)
	return err
}

// sessions are two ends in one: what is encapsulated can be decapsulated again.
func sessions(c carrier) (dataplane.Transmit, dataplane.Receive) {
	near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if c.v6 {
		near, far = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	}
	// Eight bytes always make a cookie.
	cookie, _ := dataplane.NewCookie([]byte("longwire"))
	tx := dataplane.Transmit{
		Circuit: loopback, Pseudowire: "bench", Session: 70001, Local: near, Remote: far,
		LocalPort: 1701, RemotePort: 1701, Cookie: cookie, TTL: 64, DontFragment: !c.v6,
	}
	if c.udp {
		tx.Encapsulation = dataplane.EncapsulationUDP
	}
	rx := dataplane.Receive{
		Session: 70001, Pseudowire: "bench", Circuit: loopback, Local: far, Remote: near,
		AcceptIP: !c.udp, AcceptUDP: c.udp, LocalPort: 1701, Cookie: cookie,
	}
	return tx, rx
}

// looped encapsulates a frame and returns the packet as the far end gets it: a
// test run takes a zero address for its own.
func looped(encap *ebpf.Program, frame []byte, lease func() error) ([]byte, error) {
	if err := lease(); err != nil {
		return nil, err
	}
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	if _, err := encap.Run(&o); err != nil {
		return nil, err
	}
	if len(o.DataOut) <= len(frame) {
		return nil, fmt.Errorf("a frame of %d bytes was not encapsulated", len(frame))
	}
	return o.DataOut, nil
}

// customerFrame is a frame of n bytes of an EtherType that nobody looks into.
func customerFrame(n int) []byte {
	b := make([]byte, n)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	for i := 14; i < n; i++ {
		b[i] = byte(i * 7)
	}
	return b
}

package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"time"

	"github.com/cilium/ebpf"

	"longwire/bpf"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// world holds everything that a run makes.
type world struct {
	*runner
	lab   *lab.Lab
	empty *ebpf.Program
	sites []*site
}

// newWorld makes the lab, which its runner's clean-ups remove.
func newWorld(r *runner) *world {
	w := &world{runner: r, lab: lab.New(r)}
	spec, err := bpf.LoadLongwire()
	r.must(err, "parse the embedded programs")
	w.empty, err = ebpf.NewProgram(spec.Programs[bpf.LongwireProgEmpty])
	r.must(err, "load the empty program")
	r.Cleanup(func() { _ = w.empty.Close() })
	return w
}

// site is the network of one variant, in namespaces of its own:
//
//	CE1 ── PE1 ── PE2 ── CE2
//
// The circuits carry 1500 bytes and the underlay, between the PEs, the largest
// header more.
type site struct {
	name   string
	ce, pe [2]*lab.Namespace
	sink   *sink         // at the port of the second host
	empty  *ebpf.Program // sees every packet at the far end
	// routed is the longer way in, nil where there is none.
	routed *entrance
	// xdp is what the first circuit has in front of the stack, if anything.
	xdp *ebpf.Program
	// underlay and circuits switch the offloads of both ends of these links.
	underlay, circuits []*offloads
	// What only Longwire has. Without leases the carrier is set all the same.
	carrier *carrier
	planes  [2]*tc.Plane
	leases  []*lease
}

// build makes a site and joins its circuits as the variant does. It returns an
// error when the kernel lacks what the variant needs.
func (w *world) build(v variant) (*site, error) {
	s := &site{name: v.name}
	for end := range s.ce {
		s.ce[end] = w.lab.Namespace(fmt.Sprintf("%s-ce%d", v.short, end+1))
		s.pe[end] = w.lab.Namespace(fmt.Sprintf("%s-pe%d", v.short, end+1))
	}
	w.lab.Veth(s.pe[0], lab.Uplink, s.pe[1], lab.Uplink, lab.UnderlayMTU)
	for end, ce := range s.ce {
		pe := s.pe[end]
		w.lab.Veth(ce, lab.HostPort(0), pe, lab.Circuit(0), lab.DefaultMTU)
		ce.Address(lab.HostPort(0), netip.PrefixFrom(lab.Host4(end+1, 0), 24).String())
		addUnderlay(pe, end)
	}
	if err := v.join(w, s); err != nil {
		return nil, err
	}
	// XDP changes what a device offers, so this comes after it.
	for end, pe := range s.pe {
		s.underlay = append(s.underlay, w.offloads(pe, lab.Uplink))
		s.circuits = append(s.circuits, w.offloads(pe, lab.Circuit(0)), w.offloads(s.ce[end], lab.HostPort(0)))
	}
	const patience = 5 * time.Second
	if err := s.ce[0].Ping(lab.Host4(2, 0), 56, patience); err != nil {
		return nil, fmt.Errorf("nothing crosses: %w", err)
	}
	err := w.attach(s.ce[1], s.ce[1].Index(lab.HostPort(0)), w.empty, first)
	w.must(err, "attach the empty program")
	s.empty = w.empty
	s.sink, err = w.newSink(s.ce[1], lab.HostPort(0), discardPort)
	w.must(err, "count at the far end")
	return s, nil
}

// serveTCP runs the far end of the transfers.
func (w *world) serveTCP(s *site) {
	server := s.ce[1].Command(w.Context(), "iperf3", "-s")
	err := server.Start()
	w.must(err, "start iperf3")
	w.Cleanup(func() { end(server) })
}

// end kills a process of ours and waits for it.
func end(p *exec.Cmd) {
	// It may have ended with the context already.
	_ = p.Process.Kill()
	_ = p.Wait()
}

// underlay4 and underlay6 are the addresses of an underlay's two ends, 0 and 1.
func underlay4(end int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(end + 1)}) }

func underlay6(end int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", end+1))
}

// addUnderlay puts the addresses of one end on its uplink.
func addUnderlay(n *lab.Namespace, end int) {
	n.Address(lab.Uplink, netip.PrefixFrom(underlay4(end), 30).String())
	n.Address(lab.Uplink, netip.PrefixFrom(underlay6(end), 64).String())
}

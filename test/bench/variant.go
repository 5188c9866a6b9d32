package main

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/cilium/ebpf/asm"

	"longwire/dataplane"
	"longwire/dataplane/tc"
	"longwire/test/lab"
)

// variant is one way to join two circuits across an underlay.
type variant struct {
	name  string
	short string // for names of namespaces
	join  func(*world, *site) error
}

// The variants that the others are compared with.
const (
	nameRedirect    = "bare redirect"
	nameXDPRedirect = "bare XDP redirect"
	nameVXLAN       = "VXLAN + bridge"
)

// variants returns all of them, in the order of the tables.
func variants() []variant {
	all := []variant{
		{nameRedirect, "rd", joinByRedirect},
		{nameXDPRedirect, "xr", joinByXDPRedirect},
		{nameVXLAN, "vx", joinByVXLAN},
	}
	for i, c := range carriers {
		all = append(all, variant{nameLongwire(c), "lw" + strconv.Itoa(i), joinByLongwire(c, true)})
	}
	all = append(all, variant{"Longwire ipv4/ip, no lease", "lwn", joinByLongwire(carriers[0], false)})
	for i, c := range carriers {
		all = append(all, variant{nameLongwireXDP(c), "lx" + strconv.Itoa(i), joinByLongwireXDP(c)})
	}
	return all
}

// nameLongwire is the name of our own data plane by a carrier.
func nameLongwire(c carrier) string { return "Longwire " + c.String() }

// nameLongwireXDP is its name where the programs are XDP.
func nameLongwireXDP(c carrier) string { return nameLongwire(c) + " XDP" }

// redirectCode sends everything out of one interface, from tc and XDP alike.
func redirectCode(to int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(to)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return(),
	}
}

// joinByRedirect moves frames from circuit to underlay and back as they are:
// what any program on these hooks costs at the least.
func joinByRedirect(w *world, s *site) error {
	for _, pe := range s.pe {
		circuit, uplink := pe.Index(lab.Circuit(0)), pe.Index(lab.Uplink)
		for from, to := range map[int]int{circuit: uplink, uplink: circuit} {
			prog, err := w.classifier(redirectCode(to))
			if err != nil {
				return err
			}
			if err := w.attach(pe, from, prog, first); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinByVXLAN is the kernel's own way: a bridge of the circuit and a tunnel, all
// as it is by default. That includes GRO on the tunnel's device, which puts
// segments that were cut for the underlay together again; nothing does so for a
// bare redirect.
func joinByVXLAN(w *world, s *site) error {
	for end, pe := range s.pe {
		for _, argv := range [][]string{
			{"ip", "link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789",
				"local", underlay4(end).String(), "remote", underlay4(1 - end).String()},
			{"ip", "link", "add", "br0", "type", "bridge"},
			{"ip", "link", "set", "vx0", "master", "br0"},
			{"ip", "link", "set", lab.Circuit(0), "master", "br0"},
			{"ip", "link", "set", "vx0", "up"},
			{"ip", "link", "set", "br0", "up"},
		} {
			if _, err := pe.Try(argv...); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinByLongwire opens our data plane on both PEs. With a lease the next hops
// are kept as the agent keeps them; without, as when it is dead.
func joinByLongwire(c carrier, leased bool) func(*world, *site) error {
	return func(w *world, s *site) error {
		if err := w.openPlanes(s, c, bothPorts); err != nil || !leased {
			return err
		}
		return w.leaseBoth(s, c)
	}
}

// openPlanes opens a data plane with one pseudowire on both PEs.
func (w *world) openPlanes(s *site, c carrier, ports func(*lab.Namespace) dataplane.Attachments) error {
	sessions := [2]session{c.session(1001, 0), c.session(1002, 1)}
	for end, pe := range s.pe {
		p, err := w.openPlane(pe, 64, ports(pe))
		if err != nil {
			return err
		}
		s.planes[end] = p
		circuit := pe.Index(lab.Circuit(0))
		if err := sessions[end].transmit(p, circuit); err != nil {
			return err
		}
		if err := sessions[1-end].receive(p, circuit); err != nil {
			return err
		}
	}
	return nil
}

// openPlane opens a data plane in a namespace and attaches its programs.
func (w *world) openPlane(pe *lab.Namespace, capacity uint32, a dataplane.Attachments) (*tc.Plane, error) {
	dir := filepath.Join(w.lab.BPFFS(), pe.Role)
	var p *tc.Plane
	err := pe.Do(func() (err error) {
		if p, err = tc.Open(tc.Options{PinDir: dir, Capacity: capacity}); err != nil {
			return err
		}
		w.Cleanup(func() { _ = p.Close() })
		if _, failed := p.Attach(a); len(failed) > 0 {
			return fmt.Errorf("attach: %v", failed)
		}
		return nil
	})
	return p, err
}

// bothPorts are the attachments of a PE with one circuit and one uplink.
func bothPorts(pe *lab.Namespace) dataplane.Attachments {
	return dataplane.Attachments{Circuits: []int{pe.Index(lab.Circuit(0))}, Underlays: []int{pe.Index(lab.Uplink)}}
}

package main

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"longwire/test/lab"
)

// The longer way: what pseudowires are for is to join routers, so each host is
// one too, with a network of its own behind it. A frame comes in from the first
// one's, is routed into the circuit, crosses, and is routed into the second one's.
const (
	lanPort    = "lan0" // the router's port
	lanStation = "lan1" // the other end of the same wire
	// routedPort keeps these frames from the sink of the short way.
	routedPort = discardPort + 1
)

// lan returns the network behind one end, 0 or 1, with the address of its
// router; the station's is the next one.
func lan(end int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(128*end + 1)}), 25)
}

// addRouters makes the hosts routers.
func (w *world) addRouters(s *site) error {
	for end, ce := range s.ce {
		w.lab.Veth(ce, lanPort, ce, lanStation, lab.DefaultMTU)
		ce.Address(lanPort, lan(end).String())
		ce.Route(lan(1-end).Masked().String(), lab.Host4(2-end, 0).String())
		ce.Sysctl("net/ipv4/ip_forward", "1")
		station := []string{
			"ip", "neigh", "replace", lan(end).Addr().Next().String(),
			"lladdr", ce.MAC(lanStation).String(), "dev", lanPort, "nud", "permanent",
		}
		if _, err := ce.Try(station...); err != nil {
			return err
		}
	}
	t := template{from: lan(0).Addr().Next(), to: lan(1).Addr().Next(), port: routedPort}
	copy(t.source[:], s.ce[0].MAC(lanStation))
	copy(t.destination[:], s.ce[0].MAC(lanPort))
	restore, err := w.restorer(t.frame(smallFrame))
	if err != nil {
		return err
	}
	station, err := w.newSink(s.ce[1], lanStation, routedPort)
	s.routed = &entrance{ns: s.ce[0], device: lanPort, program: restore, frame: t.frame, sink: station}
	return err
}

// restorer makes a generator's program that writes the headers anew: live frames
// are used again and again, and routers leave other addresses and a lower TTL.
func (w *world) restorer(frame []byte) (*ebpf.Program, error) {
	const headers = ethernetLen + ipv4Len
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "bench_headers", Type: ebpf.Array, KeySize: 4, ValueSize: headers, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make a map: %w", err)
	}
	w.Cleanup(func() { _ = m.Close() })
	if err := m.Put(uint32(0), frame[:headers]); err != nil {
		return nil, fmt.Errorf("keep the headers: %w", err)
	}
	return w.xdp(restorerCode(m.FD(), headers))
}

// restorerCode copies the map's n bytes, an even number, to the front of the
// frame.
func restorerCode(headers int, n int16) asm.Instructions {
	const pass = "pass"
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, int32(n)),
		asm.JGT.Reg(asm.R4, asm.R3, pass),
		asm.LoadMapValue(asm.R5, headers, 0),
	}
	for at := int16(0); at < n; {
		size := asm.DWord
		if n-at < 8 {
			size = asm.Half
		}
		code = append(code, asm.LoadMem(asm.R0, asm.R5, at, size), asm.StoreMem(asm.R2, at, asm.R0, size))
		at += int16(size.Sizeof())
	}
	return append(code, asm.Mov.Imm(asm.R0, xdpPass).WithSymbol(pass), asm.Return())
}

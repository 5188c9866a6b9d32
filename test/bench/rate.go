package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"longwire/test/lab"
)

// smallFrame is the length of the generator's frames in bytes.
const smallFrame = 64

// sink counts the generator's frames behind the far end and drops them there,
// so that no variant pays for what a host would do with them.
type sink struct{ count *ebpf.Map }

// newSink puts a sink for frames to a UDP port on the ingress of a device.
func (w *world) newSink(ns *lab.Namespace, device string, port uint16) (*sink, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "bench_sink", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make a counter: %w", err)
	}
	w.Cleanup(func() { _ = m.Close() })
	prog, err := w.classifier(sinkCode(m.FD(), port))
	if err != nil {
		return nil, err
	}
	return &sink{m}, w.attach(ns, ns.Index(device), prog, second)
}

// sinkCode recognises frames of the generator by their port.
func sinkCode(counter int, port uint16) asm.Instructions {
	const (
		protocolAt = ethernetLen + 9
		portAt     = ethernetLen + ipv4Len + 2
		window     = portAt + 2 - protocolAt
		buffer     = -16 // on the stack
		shot       = 2   // TC_ACT_SHOT
		unspec     = -1  // TC_ACT_UNSPEC, on to the host
	)
	const pass, protocolUDP = "pass", 17
	return asm.Instructions{
		asm.Mov.Imm(asm.R2, protocolAt),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, buffer),
		asm.Mov.Imm(asm.R4, window),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, pass),
		asm.LoadMem(asm.R2, asm.RFP, buffer, asm.Byte),
		asm.JNE.Imm(asm.R2, protocolUDP, pass),
		asm.LoadMem(asm.R2, asm.RFP, buffer+window-2, asm.Byte),
		asm.JNE.Imm(asm.R2, int32(port>>8), pass),
		asm.LoadMem(asm.R2, asm.RFP, buffer+window-1, asm.Byte),
		asm.JNE.Imm(asm.R2, int32(port&0xff), pass),
		asm.LoadMapValue(asm.R1, counter, 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, shot), asm.Return(),
		asm.Mov.Imm(asm.R0, unspec).WithSymbol(pass), asm.Return(),
	}
}

// seen returns how many frames have arrived so far.
func (s *sink) seen() (uint64, error) {
	var n uint64
	if err := s.count.Lookup(uint32(0), &n); err != nil {
		return 0, fmt.Errorf("read the counter: %w", err)
	}
	return n, nil
}

// generator makes the kernel receive frames: XDP live frames (kernel 5.18), let
// through by a program that passes everything on.
type generator struct{ pass *ebpf.Program }

func (w *world) newGenerator() (*generator, error) {
	pass, err := w.xdp(asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()})
	return &generator{pass}, err
}

// entrance is where frames come into a site, and where they are counted.
type entrance struct {
	ns     *lab.Namespace
	device string
	// program decides about the frames as the device's XDP program would.
	program *ebpf.Program
	// native says that the device has that program; otherwise it gets it while
	// there are frames, as only a device with one has the queues that live
	// frames pretend to come from. The program there never sees them.
	native bool
	frame  func(size int) []byte
	sink   *sink
}

// entrance returns the one at the first circuit: as short a way as there is.
func (g *generator) entrance(s *site) entrance {
	e := entrance{ns: s.pe[0], device: lab.Circuit(0), program: g.pass, frame: s.frame, sink: s.sink}
	if s.xdp != nil {
		e.program, e.native = s.xdp, true
	}
	return e
}

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// send sends frames by the interface, in whose namespace the thread is.
func (e entrance) send(ifindex int, frame []byte, n uint32) error {
	const liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	_, err := e.program.Run(&ebpf.RunOptions{
		Data: frame, Repeat: n, Flags: liveFrames,
		Context: xdpContext{DataEnd: uint32(len(frame)), IngressIfindex: uint32(ifindex)},
	})
	if err != nil {
		return fmt.Errorf("send live frames: %w", err)
	}
	return nil
}

// flood offers as many frames as one processor can for a while. It returns how
// many were counted, and the time that it took.
func (e entrance) flood(ctx context.Context, size int, length time.Duration) (uint64, time.Duration, error) {
	const burst = 10000
	ifindex := e.ns.Index(e.device)
	frame := e.frame(size)
	var seen uint64
	var took time.Duration
	err := e.ns.Do(func() (err error) {
		if !e.native {
			l, err := link.AttachXDP(link.XDPOptions{Program: e.program, Interface: ifindex, Flags: link.XDPDriverMode})
			if err != nil {
				return fmt.Errorf("attach XDP to %s: %w", e.device, err)
			}
			defer closeQuietly(l)
		}
		before, err := e.sink.seen()
		if err != nil {
			return err
		}
		begin := time.Now()
		for time.Since(begin) < length && ctx.Err() == nil {
			if err := e.send(ifindex, frame, burst); err != nil {
				return err
			}
		}
		took = time.Since(begin)
		after, err := e.sink.seen()
		seen = after - before
		return errors.Join(err, ctx.Err())
	})
	if err == nil && seen == 0 {
		err = errors.New("no frame reached the far end")
	}
	return seen, took, err
}

// frame makes a frame from the first host to the second.
func (s *site) frame(size int) []byte {
	t := template{from: lab.Host4(1, 0), to: lab.Host4(2, 0), port: discardPort}
	copy(t.source[:], s.ce[0].MAC(lab.HostPort(0)))
	copy(t.destination[:], s.ce[1].MAC(lab.HostPort(0)))
	return t.frame(size)
}

// rate returns the small packets per second that are counted, in millions.
func (e entrance) rate(ctx context.Context, length time.Duration) (float64, error) {
	const warmUp = 10 * time.Millisecond
	if _, _, err := e.flood(ctx, smallFrame, warmUp); err != nil {
		return 0, err
	}
	seen, took, err := e.flood(ctx, smallFrame, length)
	return float64(seen) / took.Seconds() / 1e6, err
}

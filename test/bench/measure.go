package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
)

// tcp returns the TCP throughput from the first host to the second, in bits per
// second, over one second. iperf3 serves one test and ends.
func (x *world) tcp() (float64, error) {
	if err := x.lease(); err != nil {
		return 0, err
	}
	server := x.ce2.Start("iperf3", "iperf3", "-s", "-1", "-B", hosts[1].String())
	defer server.Stop()
	for deadline := time.Now().Add(5 * time.Second); ; {
		out, err := x.ce1.Try("iperf3", "-J", "-t", "1", "-c", hosts[1].String())
		rate, parseErr := parseTCP(out)
		if err == nil && parseErr == nil {
			return rate, nil
		}
		// The server may not listen yet.
		if time.Now().After(deadline) {
			return 0, errors.Join(err, parseErr)
		}
	}
}

// parseTCP reads iperf3's report. A failure is in the report, not in the exit
// status.
func parseTCP(out string) (float64, error) {
	var report struct {
		Error string
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return 0, fmt.Errorf("read iperf3's report: %w", err)
	}
	if report.Error != "" || report.End.Received.BitsPerSecond == 0 {
		return 0, fmt.Errorf("iperf3: nothing received: %s", report.Error)
	}
	return report.End.Received.BitsPerSecond, nil
}

// flood is how many pings follow each other at once.
const flood = 20000

// floodLine is the summary of ping.
var floodLine = regexp.MustCompile(`, (\d+) received,.* time (\d+)ms`)

// rtt returns the mean time from one ping of a flood to the next, each sent when
// the answer to the last is there, in microseconds: the round trip, and ping's
// own work.
func (x *world) rtt() (float64, error) {
	if err := x.lease(); err != nil {
		return 0, err
	}
	out, err := x.ce1.Try("ping", "-f", "-q", "-c", strconv.Itoa(flood), "-w", "2", hosts[1].String())
	if err != nil {
		return 0, err
	}
	return parseFlood(out)
}

func parseFlood(out string) (float64, error) {
	m := floodLine.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no summary in %q", strings.TrimSpace(out))
	}
	received, err := strconv.Atoi(m[1])
	if err != nil || received == 0 {
		return 0, fmt.Errorf("no answers in %q", strings.TrimSpace(out))
	}
	ms, err := strconv.ParseFloat(m[2], 64)
	return 1000 * ms / float64(received), err
}

// smallFrame is the length of a generated frame in bytes, without checksum, and
// liveFrames is how many are sent: less than a lease's time worth.
const (
	smallFrame = 64
	liveFrames = 1 << 20
	liveFlag   = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
)

// rate returns how many small frames a second get from the first host's port to
// the second's. The kernel makes them at the port itself, so that no process has
// to share the processor.
func (x *world) rate() (float64, error) {
	generator, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(x.ce1.Index(port))),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}})
	if err != nil {
		return 0, fmt.Errorf("load the generator: %w", err)
	}
	defer func() { _ = generator.Close() }()
	frame := make([]byte, smallFrame)
	copy(frame, x.ce2.MAC(port))
	copy(frame[6:], x.ce1.MAC(port))
	binary.BigEndian.PutUint16(frame[12:], 0x88b5) // no host has a use for it
	before, err := x.received()
	if err != nil {
		return 0, err
	}
	if err := x.lease(); err != nil {
		return 0, err
	}
	begin := time.Now()
	err = x.ce1.Do(func() error {
		_, err := generator.Run(&ebpf.RunOptions{Data: frame, Repeat: liveFrames, Flags: liveFlag})
		return err
	})
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("generate frames: %w", err)
	}
	after, err := x.received()
	if err != nil {
		return 0, err
	}
	if after-before < liveFrames/2 {
		return 0, fmt.Errorf("only %d of %d frames arrived", after-before, liveFrames)
	}
	return float64(after-before) / took.Seconds(), nil
}

// received is how many frames the second host's port has taken in.
func (x *world) received() (uint64, error) {
	var n uint64
	err := x.ce2.Do(func() error {
		l, err := netlink.LinkByName(port)
		if err == nil {
			n = l.Attrs().Statistics.RxPackets
		}
		return err
	})
	return n, err
}

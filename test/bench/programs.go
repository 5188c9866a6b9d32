package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// How programs are timed.
//
// BPF_PROG_TEST_RUN can repeat a program, but on one and the same packet:
// encapsulation repeated wraps it ever deeper, and decapsulation works once.
// Single shots avoid that, but each begins with caches that a system call has
// cooled, and with 64 bytes of headroom, which an IPv6 header exceeds: that
// times a reallocation which real packets, with 256 bytes, never see.
//
// So we take its other mode, live frames: the kernel receives as many frames as
// asked for by the circuit of a working pseudowire, and its own statistics
// (BPF_ENABLE_STATS) say how long each program has run and how often, on fresh
// packets. The empty program of the object sits on the way of the same packets,
// at the far end, and pays for the same clock reads and the same call; what it
// takes is subtracted.
//
// The frames have finished checksums, like those of a network card: over UDP and
// IPv6 every byte is summed on the way in and on the way out, which is the worst
// case. Frames of local senders come with partial checksums and need less.

// frameSizes are the lengths of frames in bytes.
var frameSizes = []int{smallFrame, 512, fullSize}

// fullSize is nearly the largest.
const fullSize = 1450

// row is one program in one state: a line for each carrier.
type row struct {
	name    string
	leased  bool
	xdp     bool
	program func(*site) *ebpf.Program
}

var (
	encapOf    = func(s *site) *ebpf.Program { return s.planes[0].Programs().Encap }
	resolveOf  = func(s *site) *ebpf.Program { return s.planes[0].Programs().ResolveNextHop }
	decapOf    = func(s *site) *ebpf.Program { return s.planes[1].Programs().Decap }
	xdpEncapOf = func(s *site) *ebpf.Program { return s.planes[0].Programs().XdpEncap }
	xdpDecapOf = func(s *site) *ebpf.Program { return s.planes[1].Programs().XdpDecap }
)

// The rows that goals are set for.
const (
	rowEncap = "encap, leased next hop"
	rowDecap = "decap"

	rowEncapXDP = "encap by XDP"
	rowDecapXDP = "decap by XDP"
)

// rows are the lines of the table.
var rows = []row{
	{rowEncap, true, false, encapOf},
	{"encap, no lease", false, false, encapOf},
	{"routing without a lease", false, false, resolveOf},
	{rowDecap, true, false, decapOf},
	{rowEncapXDP, true, true, xdpEncapOf},
	{rowDecapXDP, true, true, xdpDecapOf},
}

// figure is one place in the table of programs.
type figure struct {
	row     string
	carrier carrier
	size    int
}

// timings are the samples of every figure, in nanoseconds per packet.
type timings map[figure][]float64

// measurePrograms times the programs.
func measurePrograms(w *world, g *generator, s scale) timings {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	w.must(err, "count the run time of programs (Linux 5.8)")
	// They cost something, which the measurements that follow must not pay.
	defer closeQuietly(stats)
	t := timings{}
	for pass := range s.passes {
		w.Logf("programs, pass %d of %d", pass+1, s.passes)
		for _, at := range w.sites {
			if at.carrier == nil {
				continue
			}
			for _, size := range frameSizes {
				w.must(t.sampleAgain(w.Context(), g, at, size, s.burst), "time the programs of "+at.name)
			}
		}
	}
	return t
}

func closeQuietly(c io.Closer) { _ = c.Close() }

// sample floods a site with frames of one size, with and without a lease.
func (t timings) sample(ctx context.Context, g *generator, s *site, size int, length time.Duration) error {
	for _, leased := range []bool{true, false} {
		programs := map[string]*ebpf.Program{}
		for _, r := range rows {
			if r.leased == leased && r.xdp == (s.xdp != nil) {
				programs[r.name] = r.program(s)
			}
		}
		if len(programs) == 0 {
			continue
		}
		if err := s.lease(leased); err != nil {
			return err
		}
		times, err := s.time(programs, func() (uint64, error) {
			sent, _, err := g.entrance(s).flood(ctx, size, length)
			return sent, err
		})
		if err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		for name, ns := range times {
			at := figure{name, *s.carrier, size}
			t[at] = append(t[at], ns)
		}
	}
	return s.lease(true)
}

// emptyRow is what is subtracted from the others; it is no line of the table.
const emptyRow = "empty"

// time returns the nanoseconds that each program takes of a packet, beyond the
// empty one, while frames are sent; send returns how many arrived.
func (s *site) time(programs map[string]*ebpf.Program, send func() (uint64, error)) (map[string]float64, error) {
	programs = maps.Clone(programs)
	programs[emptyRow] = s.empty
	before, err := clocks(programs)
	if err != nil {
		return nil, err
	}
	sent, err := send()
	if err != nil {
		return nil, err
	}
	after, err := clocks(programs)
	if err != nil {
		return nil, err
	}
	times := map[string]float64{}
	for name := range programs {
		if times[name], err = perPacket(before[name], after[name], sent); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	empty := times[emptyRow]
	delete(times, emptyRow)
	for name := range times {
		times[name] -= empty
	}
	return times, nil
}

// clock is what the kernel knows of a program.
type clock struct {
	runs uint64
	took time.Duration
}

// clocks reads the statistics of programs.
func clocks(programs map[string]*ebpf.Program) (map[string]clock, error) {
	all := map[string]clock{}
	for name, p := range programs {
		stats, err := p.Stats()
		if err != nil {
			return nil, fmt.Errorf("read the statistics of %s: %w", name, err)
		}
		all[name] = clock{stats.RunCount, stats.Runtime}
	}
	return all, nil
}

// sampleAgain is sample, made anew when a device in between has lost so many
// frames that nobody knows what the programs ran for. That says nothing of them.
func (t timings) sampleAgain(ctx context.Context, g *generator, s *site, size int, length time.Duration) error {
	const attempts = 5
	var err error
	for range attempts {
		if err = t.sample(ctx, g, s, size, length); !errors.Is(err, errFewRuns) {
			return err
		}
	}
	return err
}

// errFewRuns is returned when a program has not seen the packets that were sent:
// they took another way, and its time would say nothing.
var errFewRuns = errors.New("did not run for the packets")

// perPacket returns the nanoseconds of one run. The program must have run for
// nearly all packets that arrived; on a busy machine more are sent than arrive.
func perPacket(before, after clock, packets uint64) (float64, error) {
	runs := after.runs - before.runs
	if packets == 0 || runs < packets/10*9 || runs > 2*packets {
		return 0, fmt.Errorf("%w: %d runs, %d packets", errFewRuns, runs, packets)
	}
	return float64((after.took - before.took).Nanoseconds()) / float64(runs), nil
}

// table renders the medians.
func (t timings) table() string {
	header := []string{"", "carrier"}
	for _, size := range frameSizes {
		header = append(header, fmt.Sprintf("%d bytes", size), "min–max")
	}
	lines := [][]string{{"Programs alone, ns/packet above the empty program, cookie of 8 bytes"}, header}
	for _, r := range rows {
		for _, c := range carriers {
			line := []string{r.name, c.String()}
			for _, size := range frameSizes {
				line = append(line, cells(summarise(t[figure{r.name, c, size}]), 0)...)
			}
			lines = append(lines, line)
		}
	}
	return align(lines)
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"longwire/dataplane"
	"longwire/test/lab"
)

// How the data plane is timed with many sessions in its maps.
//
// A hundred thousand circuits would take as many interfaces. So the first PE has
// one, and encapsulations for circuits with numbers that no interface has; in
// front of the program that takes a frame's circuit from its mark (it encapsulates
// what the kernel has cut, and is the same code) sits one of ours that chooses:
// always the same circuit, or each in turn. The second PE has all the sessions,
// and so its packets come for one or for each in turn as well. Every session has
// an identity and counters of its own, and is entered in random order.

// crowds are how many sessions there are.
var crowds = []int{1, 1_000, 16_000, 100_000}

// firstCircuit is the number of the first circuit that does not exist.
const firstCircuit = 1 << 20

// crowd is a site with many sessions.
type crowd struct {
	*site
	size   int
	choice *ebpf.Map
}

// choice is what the choosing program goes by.
type choice struct{ First, Count, Next uint32 }

// name is that of a series.
func (c *crowd) name() string { return crowdName(c.size) }

func crowdName(size int) string {
	if size == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", size)
}

// member returns the session of circuit i. Odd multiples spread the ids over all
// of 32 bits and never meet.
func (c carrier) member(i int) session {
	s := c.session(dataplane.SessionID(uint32(i+1)*2654435761), 0)
	s.pseudowire = fmt.Sprintf("bench-%d", i)
	return s
}

// shuffled returns the numbers from 0 to n-1 in an order that looks random and
// is the same in every run.
func shuffled(n int) []int { return rand.New(rand.NewPCG(1, 2)).Perm(n) }

// buildCrowd makes a site with that many sessions.
func (w *world) buildCrowd(size int) (*crowd, error) {
	c := &crowd{size: size}
	var err error
	c.choice, err = ebpf.NewMap(&ebpf.MapSpec{Name: "bench_choice", Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make a map: %w", err)
	}
	w.Cleanup(func() { _ = c.choice.Close() })
	if err := c.choose(0, 1); err != nil {
		return nil, err
	}
	c.site, err = w.build(variant{crowdName(size), fmt.Sprintf("c%d", size), c.join})
	return c, err
}

// join fills the maps and attaches what takes part.
func (c *crowd) join(w *world, s *site) error {
	carrier := carriers[0]
	attachments := [2]dataplane.Attachments{bothPorts(s.pe[0]), bothPorts(s.pe[1])}
	attachments[0].Circuits = nil
	for end, pe := range s.pe {
		p, err := w.openPlane(pe, uint32(c.size+1), attachments[end])
		if err != nil {
			return err
		}
		s.planes[end] = p
	}
	circuits := [2]int{s.pe[0].Index(lab.Circuit(0)), s.pe[1].Index(lab.Circuit(0))}
	for _, i := range shuffled(c.size) {
		m := carrier.member(i)
		if err := m.transmit(s.planes[0], firstCircuit+i); err != nil {
			return err
		}
		if err := m.receive(s.planes[1], circuits[1]); err != nil {
			return err
		}
	}
	back := carrier.session(1002, 1)
	if err := back.transmit(s.planes[1], circuits[1]); err != nil {
		return err
	}
	if err := back.receive(s.planes[0], circuits[0]); err != nil {
		return err
	}
	chooser, err := w.classifier(chooserCode(c.choice.FD()))
	if err != nil {
		return err
	}
	if err := w.attach(s.pe[0], circuits[0], chooser, first); err != nil {
		return err
	}
	if err := w.attach(s.pe[0], circuits[0], s.planes[0].Programs().Segment, second); err != nil {
		return err
	}
	return w.leaseBoth(s, carrier)
}

// choose makes the next frames come from count circuits in turn, beginning with
// number first.
func (c *crowd) choose(first, count int) error {
	if err := c.choice.Put(uint32(0), choice{uint32(firstCircuit + first), uint32(count), 0}); err != nil {
		return fmt.Errorf("choose circuits: %w", err)
	}
	return nil
}

// chooserCode marks frames with the circuits of the choice in turn.
func chooserCode(choice int) asm.Instructions {
	const (
		markAt                   = 8 // in struct __sk_buff
		firstAt, countAt, nextAt = 0, 4, 8
		unspec                   = -1 // TC_ACT_UNSPEC, on to the next program
		store                    = "store"
	)
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMapValue(asm.R1, choice, 0),
		asm.LoadMem(asm.R2, asm.R1, nextAt, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, countAt, asm.Word),
		asm.LoadMem(asm.R4, asm.R1, firstAt, asm.Word),
		asm.Add.Reg(asm.R4, asm.R2),
		asm.StoreMem(asm.R6, markAt, asm.R4, asm.Word),
		asm.Add.Imm(asm.R2, 1),
		asm.JLT.Reg(asm.R2, asm.R3, store),
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.R1, nextAt, asm.R2, asm.Word).WithSymbol(store),
		asm.Mov.Imm(asm.R0, unspec), asm.Return(),
	}
}

// crowdTitles are the measures that are taken of crowds.
const (
	titleEncapBusy = "Encapsulation, one session busy, ns/packet (less is better)"
	titleDecapBusy = "Decapsulation, one session busy, ns/packet (less is better)"
	titleEncapTurn = "Encapsulation, all sessions in turn, ns/packet (less is better)"
	titleDecapTurn = "Decapsulation, all sessions in turn, ns/packet (less is better)"
)

// measureCrowds times the programs with few and with many sessions.
func measureCrowds(w *world, g *generator, s scale) []outcome {
	var all []*crowd
	for _, size := range crowds {
		w.Logf("entering %s", crowdName(size))
		c, err := w.buildCrowd(size)
		w.must(err, "build "+crowdName(size))
		all = append(all, c)
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	w.must(err, "count the run time of programs (Linux 5.8)")
	defer closeQuietly(stats)
	samples := map[string]map[string][]float64{}
	for pass := range s.passes {
		w.Logf("sessions, pass %d of %d", pass+1, s.passes)
		for _, i := range rotated(len(all), pass) {
			w.must(all[i].sample(w.Context(), g, s.burst, samples), "time the programs with "+all[i].name())
		}
	}
	var outcomes []outcome
	for _, title := range []string{titleEncapBusy, titleEncapTurn, titleDecapBusy, titleDecapTurn} {
		o := outcome{title: title}
		for _, c := range all {
			o.series = append(o.series, series{c.name(), samples[title][c.name()]})
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// sample takes one value of each measure.
func (c *crowd) sample(ctx context.Context, g *generator, length time.Duration, into map[string]map[string][]float64) error {
	for _, run := range []struct {
		encap, decap string
		first, count int
	}{
		{titleEncapBusy, titleDecapBusy, shuffled(c.size)[0], 1},
		{titleEncapTurn, titleDecapTurn, 0, c.size},
	} {
		if err := c.choose(run.first, run.count); err != nil {
			return err
		}
		programs := map[string]*ebpf.Program{run.encap: c.planes[0].Programs().Segment, run.decap: c.planes[1].Programs().Decap}
		times, err := c.time(programs, func() (uint64, error) {
			sent, _, err := g.entrance(c.site).flood(ctx, smallFrame, length)
			return sent, err
		})
		if err != nil {
			return err
		}
		for title, ns := range times {
			if into[title] == nil {
				into[title] = map[string][]float64{}
			}
			into[title][c.name()] = append(into[title][c.name()], ns)
		}
	}
	return nil
}

// relative returns the medians of the ratios of an outcome's series to its first.
func (o outcome) relative() []named {
	var all []named
	for _, s := range slices.Clone(o.series)[min(1, len(o.series)):] {
		all = append(all, named{s.variant, median(ratios(s.values, o.series[0].values))})
	}
	return all
}

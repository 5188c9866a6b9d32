// Command bench measures the data plane: its programs alone, and end to end
// against a bare redirect and against the kernel's VXLAN and bridge, all in one
// run, round by round, so that a machine that is slower for a while is slower
// for all of them. It prints ratios; progress goes to standard error.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what the command line chooses.
type options struct {
	rounds int
	quick  bool
}

// scale is how much each measurement takes of the time there is.
type scale struct {
	rounds int           // over all variants
	passes int           // over all programs, sizes and carriers
	burst  time.Duration // of frames of one size in each pass
	tcp    int           // seconds of one transfer; iperf3 takes whole ones
	turns  int           // of small packets in each round
	rate   time.Duration // of one small-packet run
	echoes int           // of one round-trip run
	fills  int           // of maps
}

// scale returns the sizes of a run: under six minutes, or under one and a half.
func (o options) scale() scale {
	s := scale{rounds: 5, passes: 5, burst: 100 * time.Millisecond, tcp: 1, turns: 4, rate: 100 * time.Millisecond, echoes: 5000, fills: 3}
	if o.quick {
		s = scale{rounds: 1, passes: 2, burst: 50 * time.Millisecond, tcp: 1, turns: 4, rate: 75 * time.Millisecond, echoes: 2000, fills: 1}
	}
	if o.rounds > 0 {
		s.rounds = o.rounds
	}
	return s
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 0, "rounds over all variants (default 5, with -quick 1)")
	flag.BoolVar(&o.quick, "quick", false, "take under a minute and a half, with shorter measurements")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 0 {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(run(o))
}

// patience is how long an interrupted measurement may take to notice.
const patience = 10 * time.Second

// run measures everything and returns the exit status. What was made is removed
// in every case.
func run(o options) int {
	const statusInterrupted = 130
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	r := newRunner(ctx)
	complete, done := false, make(chan struct{})
	go func() {
		defer close(done)
		measureAll(r, o.scale())
		complete = true
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(patience):
		}
	}
	r.Clean()
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted; everything is removed")
		return statusInterrupted
	case r.Failed() || !complete:
		return 1
	}
	r.Logf("done")
	return 0
}

// measureAll runs all parts and prints their tables.
func measureAll(r *runner, s scale) {
	fmt.Print(facts())
	w := newWorld(r)
	call, err := w.callCost()
	w.must(err, "time a call")
	fmt.Printf("A program's call to a kernel function that does nothing takes %.1f ns here.\n\n", call)
	w.buildAll()
	g, err := w.newGenerator()
	w.must(err, "make the packet generator")
	var found results
	found.programs = measurePrograms(w, g, s)
	fmt.Println(found.programs.table())
	found.endToEnd = measureEndToEnd(w, g, s)
	for _, table := range endToEndTables(found.endToEnd) {
		fmt.Println(table)
	}
	found.crowds = measureCrowds(w, g, s)
	for _, o := range found.crowds {
		fmt.Println(o.table(crowdName(1)))
	}
	fmt.Println(measureUpkeep(w, s))
	fmt.Print(notes)
	fmt.Println()
	fmt.Print(found.summary())
}

// notes are what a reader of the tables should know of them.
const notes = `Frames are generated in PE 1 and counted and dropped at the port of CE 2: the way
that all have in common is short, and ratios to the bare redirect are severe. From
router to router they are generated behind CE 1, which routes them into the
circuit, and counted behind CE 2, which routes them out of it.
XDP on a veth is not what it is on a card; its hosts finish their checksums
themselves, as it cannot, and therefore send TCP without offloads.
VXLAN puts TCP segments together again behind its tunnel (GRO): with offloads off
on the underlay alone that beats even the bare redirect, which leaves them cut.
"No lease" is how Longwire forwards while its agent is dead.
With all sessions in turn every frame finds the caches without its session.
`

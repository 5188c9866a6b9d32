// Command demo shows Longwire at work: two customer sites joined across a routed
// network, signalled by a route reflector. It ends with status 0 only if every
// step held, and removes everything that it made, also when it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long an interrupted step may take to notice.
const patience = 15 * time.Second

func main() {
	longwire := flag.String("longwire", "bin/longwire", "the longwire binary")
	reflector := flag.String("reflector", "bin/rr", "the route reflector's binary")
	flag.Parse()
	keep := os.Getenv("KEEP")
	os.Exit(run(*longwire, *reflector, keep != "" && keep != "0"))
}

func run(longwire, reflector string, keep bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	s := &show{runner: newRunner(ctx), begin: time.Now()}
	for _, program := range []struct {
		path string
		into *string
	}{{longwire, &s.longwire}, {reflector, &s.reflector}} {
		path, err := filepath.Abs(program.path)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "demo:", err)
			return 2
		}
		*program.into = path
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.play()
		s.complete = true
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(patience):
		}
	}
	return s.end(keep, ctx.Err() != nil)
}

// end clears up, or keeps the lab, and returns the exit status.
func (s *show) end(keep, interrupted bool) int {
	const statusInterrupted = 130
	if keep && !interrupted && s.topology != nil {
		if err := s.topology.Keep(); err != nil {
			s.Errorf("keep the lab: %v", err)
		}
		s.lookAround()
	} else {
		s.Clean()
	}
	switch {
	case interrupted:
		s.say(red, "Interrupted; everything is removed.")
		return statusInterrupted
	case s.Failed() || !s.complete:
		s.say(red, "The demonstration FAILED.")
		return 1
	}
	s.say(green, fmt.Sprintf("Everything held, in %.1f seconds.", time.Since(s.begin).Seconds()))
	return 0
}

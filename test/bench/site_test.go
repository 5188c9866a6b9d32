package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"longwire/test/lab"
)

// testWorld is a world that the test cleans up, and its generator. Kernels
// before 5.18 have no live frames.
func testWorld(t *testing.T) (*world, *generator) {
	t.Helper()
	r := newRunner(t.Context())
	t.Cleanup(func() {
		r.Clean()
		if r.Failed() {
			t.Error("the benchmark failed")
		}
	})
	w := newWorld(r)
	g, err := w.newGenerator()
	if err != nil {
		t.Fatal(err)
	}
	probe := ebpf.RunOptions{Data: make([]byte, smallFrame), Repeat: 1, Flags: 1 << 1}
	if _, err := g.pass.Run(&probe); errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("no live frames: %v", err)
	}
	return w, g
}

// TestVariants joins two hosts in every way and takes each figure that needs no
// other program, in short.
func TestVariants(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			w, g := testWorld(t)
			s, err := w.build(v)
			if err != nil && v.name == nameVXLAN && strings.Contains(err.Error(), "not supported") {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if mpps, err := g.entrance(s).rate(t.Context(), 20*time.Millisecond); err != nil || mpps < 0.001 || mpps > 1000 {
				t.Errorf("rate %v, %v", mpps, err)
			}
			if micros, err := roundTrip(t.Context(), s, 100); err != nil || micros < 0.1 || micros > 1e6 {
				t.Errorf("round trip %v, %v", micros, err)
			}
		})
	}
}

// TestSample finds every program at work, each in its state, over the carrier
// that needs most of them.
func TestSample(t *testing.T) {
	w, g := testWorld(t)
	c := carrier{v6: true, udp: true}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(stats)
	all := timings{}
	for _, v := range []variant{{"all", "all", joinByLongwire(c, true)}, {"XDP", "xdp", joinByLongwireXDP(c)}} {
		s, err := w.build(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := all.sample(t.Context(), g, s, 512, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range rows {
		values := all[figure{r.name, c, 512}]
		if len(values) != 1 || values[0] <= 0 || values[0] > 1e6 {
			t.Errorf("%s: %v", r.name, values)
		}
	}
	if n := len(strings.Split(strings.TrimSpace(all.table()), "\n")); n != 2+len(rows)*len(carriers) {
		t.Errorf("the table has %d lines:\n%s", n, all.table())
	}
}

// TestSinkLetsOthersThrough counts and drops what the generator sends, and
// nothing else.
func TestSinkLetsOthersThrough(t *testing.T) {
	w, g := testWorld(t)
	s, err := w.build(variants()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ce[0].PingAll(lab.Host4(2, 0), 3); err != nil {
		t.Error(err)
	}
	if n, err := s.sink.seen(); n != 0 || err != nil {
		t.Errorf("counted %d frames of others, %v", n, err)
	}
	if _, _, err := g.entrance(s).flood(t.Context(), 512, time.Millisecond); err != nil {
		t.Error(err)
	}
	if n, err := s.sink.seen(); n == 0 || err != nil {
		t.Errorf("counted %d frames, %v", n, err)
	}
}

// TestInterrupted takes no figure once the run is interrupted.
func TestInterrupted(t *testing.T) {
	w, g := testWorld(t)
	s, err := w.build(variants()[0])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.entrance(s).rate(ctx, time.Minute); err == nil {
		t.Error("rate: no error")
	}
	if _, err := roundTrip(ctx, s, 1<<30); err == nil {
		t.Error("round trip: no error")
	}
	if _, err := throughput(ctx, s, 60); err == nil {
		t.Error("throughput: no error")
	}
}

// TestOffloads takes the offloads of a device away and gives back those that it
// had, and only those.
func TestOffloads(t *testing.T) {
	w, _ := testWorld(t)
	ns := w.lab.Namespace("one")
	w.lab.Veth(ns, "a", ns, "b", lab.DefaultMTU)
	features := func(name string) (on bool) {
		o := offloads{ns: ns}
		if err := o.do(func(e *ethtool.Ethtool) error {
			all, err := e.Features("a")
			on = all[name]
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return on
	}
	const kept, lost = "tx-tcp6-segmentation", "tx-tcp-segmentation"
	ns.Run("ethtool", "-K", "a", kept, "off")
	o := w.offloads(ns, "a")
	if err := o.off(); err != nil {
		t.Fatal(err)
	}
	if features(kept) || features(lost) {
		t.Error("offloads are on")
	}
	if err := o.reset(); err != nil {
		t.Fatal(err)
	}
	if features(kept) || !features(lost) {
		t.Errorf("%s %t, %s %t", kept, features(kept), lost, features(lost))
	}
}

// TestNothingIsLeft builds a world, breaks off as an interrupt would, and looks
// for what it has made.
func TestNothingIsLeft(t *testing.T) {
	r := newRunner(t.Context())
	var id, dir string
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := newWorld(r)
		id, dir = w.lab.ID(), w.lab.Dir()
		if _, err := w.build(variants()[3]); err != nil {
			w.Fatalf("%v", err)
		}
		w.must(errors.New("on purpose"), "break off")
	}()
	<-done
	if !r.Failed() {
		t.Error("the failure was not noted")
	}
	r.Clean()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), id+"-") {
			t.Errorf("namespace %s is left", e.Name())
		}
	}
}

// TestCallCost finds a call to take some time, and none to take less.
func TestCallCost(t *testing.T) {
	w, _ := testWorld(t)
	if ns, err := w.callCost(); err != nil || ns < 0.1 || ns > 1000 {
		t.Errorf("%v ns, %v", ns, err)
	}
}

package main

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
)

func TestLANs(t *testing.T) {
	if lan(0).Overlaps(lan(1)) {
		t.Errorf("%s and %s are one", lan(0), lan(1))
	}
	for end := range 2 {
		if !lan(end).Masked().Contains(lan(end).Addr().Next()) {
			t.Errorf("%s is not in %s", lan(end).Addr().Next(), lan(end))
		}
	}
}

// TestRestorer writes the headers anew and leaves the rest, and leaves a frame
// alone that is too short for them.
func TestRestorer(t *testing.T) {
	w, _ := testWorld(t)
	tmpl := exampleTemplate
	want := tmpl.frame(smallFrame)
	p, err := w.restorer(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		change func([]byte) []byte
		want   func([]byte) []byte
	}{
		{"other headers", func(b []byte) []byte {
			for i := range ethernetLen + ipv4Len {
				b[i] ^= 0x55
			}
			return b
		}, func([]byte) []byte { return want }},
		{"another payload", func(b []byte) []byte { b[smallFrame-1]++; return b }, func(b []byte) []byte { return b }},
		{"too short", func(b []byte) []byte { b[0]++; return b[:ethernetLen+ipv4Len-1] }, func(b []byte) []byte { return b }},
	} {
		in := row.change(tmpl.frame(smallFrame))
		out := make([]byte, 256)
		o := ebpf.RunOptions{Data: in, DataOut: out}
		verdict, err := p.Run(&o)
		if err != nil || verdict != xdpPass {
			t.Fatalf("%s: verdict %d, %v", row.name, verdict, err)
		}
		if diff := cmp.Diff(row.want(in), o.DataOut); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestRouted takes frames from router to router, by the bare redirect and by our
// own programs, again and again: live frames are used more than once.
func TestRouted(t *testing.T) {
	w, _ := testWorld(t)
	for i, join := range []func(*world, *site) error{joinByRedirect, joinByLongwire(carriers[0], true)} {
		s, err := w.build(variant{"routed", "r" + string(rune('0'+i)), join})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.addRouters(s); err != nil {
			t.Fatal(err)
		}
		const frames = 10000
		for range 3 {
			before, err := s.routed.sink.seen()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.routed.flood(t.Context(), smallFrame, time.Millisecond); err != nil {
				t.Fatal(err)
			}
			after, err := s.routed.sink.seen()
			if err != nil || after-before < frames/2 {
				t.Errorf("%d of %d frames arrived, %v", after-before, frames, err)
			}
		}
		// They are none of the short way's.
		if n, err := s.sink.seen(); n != 0 || err != nil {
			t.Errorf("%d frames at the port, %v", n, err)
		}
	}
}

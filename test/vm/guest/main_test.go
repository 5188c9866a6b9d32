package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"longwire/test/vm/port"
)

func TestRun(t *testing.T) {
	tests := []struct {
		script, output string
		within         time.Duration
		code           int
		reason         string
	}{
		{"echo out; echo error >&2", "out\nerror\n", time.Minute, 0, ""},
		{"pwd; exit 3", "/\n", time.Minute, 3, ""},
		{"kill -TERM $$", "", time.Minute, -1, ""},
		{"sleep 10 & echo behind", "behind\n", time.Minute, 0, ""},
		{"echo before; sleep 1000", "before\n", time.Second, -1, "killed after 1s"},
	}
	for _, tt := range tests {
		got := run(port.Request{ID: 7, Script: tt.script, Within: tt.within})
		if got.ID != 7 || string(got.Output) != tt.output || got.Code != tt.code || got.Error != tt.reason {
			t.Errorf("%q: %+v, want output %q, code %d, error %q", tt.script, got, tt.output, tt.code, tt.reason)
		}
	}
}

// TestAnswers are whole lines, in whatever order they come.
func TestAnswers(t *testing.T) {
	var out bytes.Buffer
	p := &answers{to: json.NewEncoder(&out)}
	done := make(chan error)
	const count = 20
	for i := range count {
		go func() { done <- p.send(port.Answer{ID: uint64(i), Output: bytes.Repeat([]byte{'x'}, 10_000)}) }()
	}
	for range count {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	seen := map[uint64]bool{}
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var a port.Answer
		if err := decoder.Decode(&a); err != nil {
			t.Fatal(err)
		}
		seen[a.ID] = len(a.Output) == 10_000
	}
	if len(seen) != count {
		t.Errorf("%d answers, want %d", len(seen), count)
	}
}

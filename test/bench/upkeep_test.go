package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpkeepLine(t *testing.T) {
	sample := func(scale int) upkeep {
		seconds := func(n int) time.Duration { return time.Duration(n*scale) * time.Second }
		return upkeep{seconds(1), seconds(2), seconds(4), time.Duration(scale) * time.Millisecond, 1000 * uint64(scale), 500 * uint64(scale)}
	}
	for _, row := range []struct {
		n       int
		samples []upkeep
		want    []string
	}{
		{1000, []upkeep{sample(2)}, []string{"1000 sessions", "500", "250", "125", "2.00", "2", "1"}},
		{4000, []upkeep{sample(1), sample(2), sample(100)}, []string{"4000 sessions", "2000", "1000", "500", "2.00", "0", "0"}},
		{1, []upkeep{sample(1)}, []string{"1 session", "1", "0", "0", "1.00", "1000", "-"}},
		{1000, nil, []string{"1000 sessions", "-", "-", "-", "-", "-", "-"}},
	} {
		got := upkeepLine(row.n, row.samples)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%d sessions, %d samples (-want +got):\n%s", row.n, len(row.samples), diff)
		}
		if len(got) != len(upkeepHeader) {
			t.Errorf("%d columns under %d", len(got), len(upkeepHeader))
		}
	}
}

// TestUpkeep fills maps, finds a plausible value of everything, and leaves no
// pin behind. Room for more sessions takes more memory.
func TestUpkeep(t *testing.T) {
	w, _ := testWorld(t)
	few, err := w.upkeep(10)
	if err != nil {
		t.Fatal(err)
	}
	many, err := w.upkeep(2000)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []upkeep{few, many} {
		for name, d := range map[string]time.Duration{"add": u.add, "replace": u.replace, "remove": u.remove, "read": u.read} {
			if d <= 0 || d > time.Minute {
				t.Errorf("%s: %v", name, d)
			}
		}
	}
	if many.kernel < few.kernel+1990*100 {
		t.Errorf("%d bytes for 10 sessions, %d for 2000", few.kernel, many.kernel)
	}
	if many.process < 2000*20 || many.process > 2000*10000 {
		t.Errorf("%d bytes of the process for 2000 sessions", many.process)
	}
	if left, err := filepath.Glob(filepath.Join(w.lab.BPFFS(), "upkeep*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestPinnedBytes sees maps alone, and says when there are none.
func TestPinnedBytes(t *testing.T) {
	if n, err := pinnedBytes(t.TempDir()); err == nil {
		t.Errorf("%d bytes in an empty directory", n)
	}
	if _, err := pinnedBytes("/nowhere/at/all"); err == nil {
		t.Error("no error without a directory")
	}
}

// TestFillingFails hands errors on: a map that is full changes nothing fast.
func TestFillingFails(t *testing.T) {
	f := &filling{sessions: make([]session, 2)}
	calls := 0
	_, err := f.each(f.sessions, func(int, session) error {
		calls++
		return os.ErrClosed
	})
	if err == nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

package dataplane_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

// TestReconcileConverges drives one Reconciler through changes, faults, full
// maps and meddling, checks what must hold all the way, and at the end that
// desired is reached once the faults are gone.
func TestReconcileConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plane := fake.New()
		r := dataplane.NewReconciler(plane, grace)
		now := epoch
		var desired dataplane.State
		for range rapid.IntRange(1, 6).Draw(t, "passes") {
			desired = drawState(t)
			now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "seconds")) * time.Second)
			if rapid.Bool().Draw(t, "meddling") {
				plane.SetState(drawKernelState(t))
			}
			drawFaults(t, plane)
			before := plane.State()
			plane.Reset()
			report := r.Reconcile(desired, now)
			checkPass(t, desired, before, plane, report)
			if !report.Next.IsZero() && !report.Next.After(now) {
				t.Fatalf("next pass at %v is not after %v", report.Next, now)
			}
		}
		plane.Heal()
		plane.SetCapacity(1000)
		r.Reconcile(desired, now)
		if report := r.Reconcile(desired, now.Add(grace)); len(report.Failed) > 0 || report.Err != nil {
			t.Fatalf("healed, and yet %+v", report)
		}
		if d := cmp.Diff(desired, plane.State(), compareState); d != "" {
			t.Fatalf("state (-want +got):\n%s", d)
		}
	})
}

func drawFaults(t *rapid.T, plane *fake.Plane) {
	plane.Heal()
	plane.SetCapacity(rapid.IntRange(0, 12).Draw(t, "capacity"))
	errno := rapid.SampledFrom([]error{syscall.EPERM, syscall.ENOENT}).Draw(t, "errno")
	op := rapid.SampledFrom([]fake.Op{
		"", fake.OpPutReceive, fake.OpPutTransmit, fake.OpDeleteTransmit, fake.OpDeleteReceive,
	}).Draw(t, "failing op")
	spared := rapid.IntRange(0, 2).Draw(t, "spared")
	failing := rapid.IntRange(1, 2).Draw(t, "failing")
	plane.Fail(fake.After(spared, fake.Times(failing, fake.On(op, errno))))
}

// checkPass checks one pass against what the plane was asked to do.
func checkPass(t *rapid.T, desired, now dataplane.State, plane *fake.Plane, report dataplane.Report) {
	applied := 0
	for _, c := range plane.Calls() {
		if c.Op == fake.OpRead {
			continue
		}
		if c.Op == fake.OpPutTransmit && c.Session != 0 {
			checkCanReceive(t, desired, now, c)
		}
		if c.Err != nil {
			continue
		}
		applied++
		if c.Op == fake.OpPutReceive {
			now.Receive[c.Session] = desired.Receive[c.Session]
		}
		if _, ok := desired.Receive[c.Session]; ok && c.Op == fake.OpDeleteReceive {
			t.Fatalf("%v: it is desired", c)
		}
	}
	if report.Applied != applied {
		t.Fatalf("report says %d applied, the plane took %d", report.Applied, applied)
	}
	// Whoever is not as desired is reported.
	for _, op := range dataplane.Diff(desired, plane.State()) {
		if op.Kind != dataplane.OpDeleteReceive && report.Failed[op.Pseudowire()] == nil {
			t.Fatalf("%v is still to do and %s is not reported: %v", op, op.Pseudowire(), report.Failed)
		}
	}
	for pseudowire, err := range report.Failed {
		if !errors.Is(err, dataplane.ErrCapacity) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOENT) {
			t.Fatalf("%s: %v does not wrap its cause", pseudowire, err)
		}
	}
}

// checkCanReceive checks that nothing begins to send before all its receive
// sessions are there.
func checkCanReceive(t *rapid.T, desired, now dataplane.State, c fake.Call) {
	for id, want := range desired.Receive {
		if want.Pseudowire != c.Pseudowire {
			continue
		}
		if now.Receive[id] != want {
			t.Fatalf("%v before receive %d is there", c, id)
		}
	}
}

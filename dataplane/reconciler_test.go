package dataplane_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

const grace = 5 * time.Second

// epoch is when the tests begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// failures returns the keys of a report's failures, sorted.
func failures(r dataplane.Report) []string { return slices.Sorted(maps.Keys(r.Failed)) }

func TestReconcileAppliesInOrder(t *testing.T) {
	plane := fake.New()
	plane.SetState(state(receive(9, "old", 2), transmit(2, "old", 90)))
	r := dataplane.NewReconciler(plane, 0)

	report := r.Reconcile(state(receive(11, "a", 3), transmit(3, "a", 20)), epoch)

	want := []string{"put receive 11 on 3 of a", "put transmit 20 on 3 of a", "delete transmit on 2 of old", "delete receive 9 of old"}
	if d := cmp.Diff(want, plane.Writes()); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
	if report.Applied != 4 || len(report.Failed) != 0 || report.Err != nil || !report.Next.IsZero() {
		t.Errorf("report = %+v", report)
	}
}

func TestReconcileReadsEveryPass(t *testing.T) {
	plane := fake.New()
	r := dataplane.NewReconciler(plane, grace)
	desired := state(receive(11, "a", 3), transmit(3, "a", 20))
	r.Reconcile(desired, epoch)

	plane.Reset()
	if report := r.Reconcile(desired, epoch); report.Applied != 0 || len(plane.Writes()) != 0 {
		t.Errorf("a pass over the desired state wrote %v", plane.Writes())
	}

	plane.SetState(dataplane.State{}) // someone empties the maps
	if report := r.Reconcile(desired, epoch); report.Applied != 2 {
		t.Errorf("applied %d to emptied maps, want 2", report.Applied)
	}
	if d := cmp.Diff(desired, plane.State(), compareState); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
}

func TestReconcileReadFailure(t *testing.T) {
	plane := fake.New()
	plane.Fail(fake.On(fake.OpRead, syscall.EPERM))
	report := dataplane.NewReconciler(plane, grace).Reconcile(state(receive(11, "a", 3)), epoch)
	if !errors.Is(report.Err, syscall.EPERM) {
		t.Errorf("Err = %v, want EPERM", report.Err)
	}
	if len(plane.Writes()) != 0 {
		t.Errorf("wrote %v without having read", plane.Writes())
	}
}

func TestReconcileRetiresAfterGrace(t *testing.T) {
	plane := fake.New()
	r := dataplane.NewReconciler(plane, grace)
	r.Reconcile(state(receive(11, "a", 3), transmit(3, "a", 20), receive(12, "b", 4), transmit(4, "b", 21)), epoch)

	steps := []struct {
		name    string
		desired dataplane.State
		at      time.Duration
		writes  []string
		next    time.Duration // 0 = none
	}{
		{"transmit goes at once", state(receive(12, "b", 4), transmit(4, "b", 21)), 1 * time.Second,
			[]string{"delete transmit on 3 of a"}, 6 * time.Second},
		{"a second one later", state(), 3 * time.Second,
			[]string{"delete transmit on 4 of b"}, 6 * time.Second},
		{"not yet", state(), 5999 * time.Millisecond, nil, 6 * time.Second},
		{"the first is due", state(), 6 * time.Second, []string{"delete receive 11 of a"}, 8 * time.Second},
		{"the second is due", state(), 9 * time.Second, []string{"delete receive 12 of b"}, 0},
		{"nothing left", state(), 10 * time.Second, nil, 0},
	}
	for _, step := range steps {
		plane.Reset()
		report := r.Reconcile(step.desired, epoch.Add(step.at))
		if d := cmp.Diff(step.writes, plane.Writes()); d != "" {
			t.Errorf("%s: writes (-want +got):\n%s", step.name, d)
		}
		want := time.Time{}
		if step.next != 0 {
			want = epoch.Add(step.next)
		}
		if !report.Next.Equal(want) {
			t.Errorf("%s: next = %v, want %v", step.name, report.Next, want)
		}
	}
}

func TestReconcileGraceStartsAnew(t *testing.T) {
	plane := fake.New()
	r := dataplane.NewReconciler(plane, grace)
	desired := state(receive(11, "a", 3))
	r.Reconcile(desired, epoch)
	r.Reconcile(state(), epoch.Add(1*time.Second))
	r.Reconcile(desired, epoch.Add(2*time.Second)) // wanted again
	report := r.Reconcile(state(), epoch.Add(7*time.Second))
	if want := epoch.Add(12 * time.Second); !report.Next.Equal(want) {
		t.Errorf("next = %v, want %v: the earlier wait must not count", report.Next, want)
	}
	if _, ok := plane.State().Receive[11]; !ok {
		t.Error("session 11 is gone before its grace is over")
	}
}

// TestReconcileEvicts checks that a session in its grace never delivers into a
// circuit that has been given to another pseudowire.
func TestReconcileEvicts(t *testing.T) {
	for name, desired := range map[string]dataplane.State{
		"by receive":  state(receive(12, "b", 3)),
		"by transmit": state(transmit(3, "b", 21)),
	} {
		t.Run(name, func(t *testing.T) {
			plane := fake.New()
			r := dataplane.NewReconciler(plane, grace)
			r.Reconcile(state(receive(11, "a", 3), transmit(3, "a", 20)), epoch)
			report := r.Reconcile(desired, epoch.Add(time.Second))
			if _, ok := plane.State().Receive[11]; ok {
				t.Error("session 11 of a still delivers into circuit 3, which is b's")
			}
			if !report.Next.IsZero() {
				t.Errorf("next = %v, want none", report.Next)
			}
		})
	}
	t.Run("not by its own pseudowire", func(t *testing.T) {
		plane := fake.New()
		r := dataplane.NewReconciler(plane, grace)
		r.Reconcile(state(receive(11, "a", 3)), epoch)
		r.Reconcile(state(receive(12, "a", 3)), epoch.Add(time.Second))
		if got := len(plane.State().Receive); got != 2 {
			t.Errorf("%d sessions, want the old and the new", got)
		}
	})
}

func TestReconcileGoesOnPastFailures(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOENT, syscall.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			plane := fake.New()
			plane.SetState(state(receive(9, "old", 2), transmit(2, "old", 90)))
			plane.Fail(fake.When(func(c fake.Call) bool { return c.Session == 11 }, errno))
			plane.Fail(fake.On(fake.OpDeleteTransmit, errno))
			r := dataplane.NewReconciler(plane, 0)
			desired := state(receive(11, "a", 3), transmit(3, "a", 20), receive(12, "b", 4), transmit(4, "b", 21))

			report := r.Reconcile(desired, epoch)

			if d := cmp.Diff([]string{"a", "old"}, failures(report)); d != "" {
				t.Errorf("failed (-want +got):\n%s", d)
			}
			for pseudowire, err := range report.Failed {
				if !errors.Is(err, errno) {
					t.Errorf("%s failed with %v, want %v", pseudowire, err, errno)
				}
			}
			if tx := plane.State().Transmit[dataplane.Port(3)]; tx.Session != 0 || tx.Pseudowire != "a" {
				t.Errorf("a cannot receive: its circuit has %+v, want it closed", tx)
			}
			if _, ok := plane.State().Transmit[dataplane.Port(4)]; !ok {
				t.Error("b does not send: the failure of a reached it")
			}
			if report.Applied != 4 {
				t.Errorf("applied %d, want 4", report.Applied)
			}

			plane.Heal()
			if report := r.Reconcile(desired, epoch); len(report.Failed) != 0 {
				t.Errorf("still failed: %v", report.Failed)
			}
			if d := cmp.Diff(desired, plane.State(), compareState); d != "" {
				t.Errorf("state (-want +got):\n%s", d)
			}
		})
	}
}

func TestReconcileFullMap(t *testing.T) {
	plane := fake.New()
	plane.SetCapacity(2)
	r := dataplane.NewReconciler(plane, grace)
	existing := []any{receive(11, "a", 3), transmit(3, "a", 20), receive(12, "b", 4), transmit(4, "b", 21)}
	r.Reconcile(state(existing...), epoch)

	added := []any{receive(10, "c", 5), transmit(5, "c", 22)}
	report := r.Reconcile(state(append(added, existing...)...), epoch)
	if d := cmp.Diff([]string{"c"}, failures(report)); d != "" || !errors.Is(report.Failed["c"], dataplane.ErrCapacity) {
		t.Errorf("failed = %v, want c with ErrCapacity", report.Failed)
	}
	if d := cmp.Diff(state(existing...), plane.State(), compareState); d != "" {
		t.Errorf("existing sessions (-want +got):\n%s", d)
	}

	// b goes; its session holds the room until its grace is over.
	without := state(append(added, existing[:2]...)...)
	report = r.Reconcile(without, epoch)
	if d := cmp.Diff([]string{"c"}, failures(report)); d != "" {
		t.Errorf("failed during the grace (-want +got):\n%s", d)
	}
	report = r.Reconcile(without, report.Next)
	if len(report.Failed) != 0 {
		t.Errorf("failed after the grace: %v", report.Failed)
	}
	if d := cmp.Diff(without, plane.State(), compareState); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
}

func TestReconcileFullMapKeepsOtherFailures(t *testing.T) {
	plane := fake.New()
	plane.SetState(state(receive(9, "old", 2), transmit(2, "a", 90)))
	plane.SetCapacity(1)
	plane.Fail(fake.On(fake.OpDeleteTransmit, syscall.EPERM))
	report := dataplane.NewReconciler(plane, 0).Reconcile(state(receive(11, "a", 3)), epoch)
	if !errors.Is(report.Failed["a"], syscall.EPERM) {
		t.Errorf("failed = %v, want a with EPERM: there was room for the rest", report.Failed)
	}
	if _, ok := plane.State().Receive[11]; !ok {
		t.Error("session 11 was not tried again when there was room")
	}
}

func TestReconcileOnePutFailsOfTwoSessions(t *testing.T) {
	plane := fake.New()
	plane.SetState(state(receive(9, "old", 2)))
	plane.SetCapacity(1)
	plane.Fail(fake.When(func(c fake.Call) bool { return c.Session == 11 }, syscall.EPERM))
	desired := state(receive(11, "a", 3), receive(12, "a", 3), transmit(3, "a", 20))
	report := dataplane.NewReconciler(plane, 0).Reconcile(desired, epoch)
	if !errors.Is(report.Failed["a"], syscall.EPERM) {
		t.Errorf("failed = %v, want EPERM", report.Failed)
	}
	if tx := plane.State().Transmit[dataplane.Port(3)]; tx != transmit(3, "a", 0) {
		t.Errorf("one of its sessions is missing: the circuit of a has %+v, want it closed", tx)
	}
}

// TestReconcileClosesWhatCannotReceive checks what a circuit is left with when
// its pseudowire cannot receive.
func TestReconcileClosesWhatCannotReceive(t *testing.T) {
	closed := transmit(3, "a", 0)
	tests := []struct {
		name    string
		before  []any
		desired dataplane.Transmit
		want    dataplane.Transmit
	}{
		{"nothing was there", nil, transmit(3, "a", 20), closed},
		{"another pseudowire's", []any{transmit(3, "b", 30)}, transmit(3, "a", 20), closed},
		{"its own goes on", []any{transmit(3, "a", 19)}, transmit(3, "a", 20), transmit(3, "a", 19)},
		{"closed is wanted", []any{transmit(3, "a", 19)}, closed, closed},
		{"closed already", []any{closed}, transmit(3, "a", 20), closed},
	}
	for _, cause := range []error{syscall.EPERM, dataplane.ErrCapacity} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s: %v", tt.name, cause), func(t *testing.T) {
				plane := fake.New()
				plane.SetState(state(tt.before...))
				plane.Fail(fake.On(fake.OpPutReceive, cause))
				desired := state(receive(11, "a", 3), tt.desired)
				r := dataplane.NewReconciler(plane, 0)
				for range 2 { // once more changes nothing
					if report := r.Reconcile(desired, epoch); !errors.Is(report.Failed["a"], cause) {
						t.Errorf("failed = %v", report.Failed)
					}
					if got := plane.State().Transmit[dataplane.Port(3)]; got != tt.want {
						t.Errorf("the circuit has %+v, want %+v", got, tt.want)
					}
				}
				plane.Heal()
				r.Reconcile(desired, epoch)
				if d := cmp.Diff(desired, plane.State(), compareState); d != "" {
					t.Errorf("healed (-want +got):\n%s", d)
				}
			})
		}
	}
}

// TestReconcileRetryDoesNotClose checks that a circuit that was closed for want
// of room is open once there is some, in the same pass.
func TestReconcileRetryDoesNotClose(t *testing.T) {
	plane := fake.New()
	plane.SetState(state(receive(9, "old", 2), transmit(2, "old", 90)))
	plane.SetCapacity(1)
	desired := state(receive(11, "a", 3), transmit(3, "a", 20))
	if report := dataplane.NewReconciler(plane, 0).Reconcile(desired, epoch); len(report.Failed) != 0 {
		t.Errorf("failed = %v", report.Failed)
	}
	if d := cmp.Diff(desired, plane.State(), compareState); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
}

func ExampleReconciler() {
	plane := fake.New()
	plane.SetCapacity(1)
	r := dataplane.NewReconciler(plane, grace)
	report := r.Reconcile(state(receive(11, "a", 3), receive(12, "b", 4)), epoch)
	fmt.Println(report.Applied, report.Failed["b"])
	// Output: 1 put receive 12 of b: fake map of 1 entries: session map is full
}

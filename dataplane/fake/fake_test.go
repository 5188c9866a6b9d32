package fake_test

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/dataplane"
	"longwire/dataplane/fake"
)

var flow = dataplane.Flow{Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")}

func none(dataplane.SessionID) bool { return false }

func TestTargetRecordsInOrder(t *testing.T) {
	p := fake.New()
	steps := []error{
		p.PutReceive(dataplane.Receive{Session: 7, Pseudowire: "a", Circuit: 3}),
		p.PutTransmit(dataplane.Transmit{Circuit: dataplane.Port(3), Pseudowire: "a", Session: 8}),
		p.DeleteTransmit(dataplane.Port(3)),
		p.DeleteReceive(7),
		p.DeleteReceive(7), // absent: succeeds
		p.Lease(flow, dataplane.NextHop{IfIndex: 2}),
	}
	for i, err := range steps {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	want := []string{
		"put receive 7 on 3 of a", "put transmit 8 on 3 of a", "delete transmit on 3 of a",
		"delete receive 7 of a", "delete receive 7", "lease for 192.0.2.1 to 192.0.2.2",
	}
	if d := cmp.Diff(want, p.Writes()); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
	p.Reset()
	if len(p.Calls()) != 0 {
		t.Errorf("calls after a reset: %v", p.Calls())
	}
}

func TestReadIsACopy(t *testing.T) {
	p := fake.New()
	if err := p.PutReceive(dataplane.Receive{Session: 7}); err != nil {
		t.Fatal(err)
	}
	s, err := p.Read()
	if err != nil {
		t.Fatal(err)
	}
	delete(s.Receive, 7)
	if _, ok := p.State().Receive[7]; !ok {
		t.Error("changing what Read returned changed the plane")
	}
}

func TestCapacity(t *testing.T) {
	p := fake.New()
	p.SetCapacity(1)
	first := dataplane.Receive{Session: 7}
	if err := p.PutReceive(first); err != nil {
		t.Fatal(err)
	}
	if err := p.PutReceive(dataplane.Receive{Session: 8}); !errors.Is(err, dataplane.ErrCapacity) {
		t.Errorf("second session: %v, want ErrCapacity", err)
	}
	first.Circuit = 9
	if err := p.PutReceive(first); err != nil {
		t.Errorf("replace in a full map: %v", err)
	}
	if err := p.PutTransmit(dataplane.Transmit{Circuit: dataplane.Port(1)}); err != nil {
		t.Errorf("the other map has room: %v", err)
	}
	if err := p.PutTransmit(dataplane.Transmit{Circuit: dataplane.Port(2)}); !errors.Is(err, dataplane.ErrCapacity) {
		t.Errorf("second circuit: %v, want ErrCapacity", err)
	}
}

func TestFaults(t *testing.T) {
	put := func(p *fake.Plane, id dataplane.SessionID) error {
		return p.PutReceive(dataplane.Receive{Session: id})
	}
	tests := []struct {
		name  string
		fault fake.Fault
		want  []error // of putting sessions 1, 2, 3
	}{
		{"on", fake.On(fake.OpPutReceive, syscall.EPERM), []error{syscall.EPERM, syscall.EPERM, syscall.EPERM}},
		{"on another", fake.On(fake.OpPutTransmit, syscall.EPERM), []error{nil, nil, nil}},
		{"when", fake.When(func(c fake.Call) bool { return c.Session == 2 }, syscall.ENOENT), []error{nil, syscall.ENOENT, nil}},
		{"times", fake.Times(2, fake.On(fake.OpPutReceive, syscall.EPERM)), []error{syscall.EPERM, syscall.EPERM, nil}},
		{"after", fake.After(1, fake.On(fake.OpPutReceive, dataplane.ErrCapacity)), []error{nil, dataplane.ErrCapacity, dataplane.ErrCapacity}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := fake.New()
			p.Fail(tt.fault)
			for i, want := range tt.want {
				id := dataplane.SessionID(i + 1)
				if err := put(p, id); !errors.Is(err, want) {
					t.Errorf("session %d: %v, want %v", id, err, want)
				}
				if _, ok := p.State().Receive[id]; ok != (want == nil) {
					t.Errorf("session %d is there: %v", id, ok)
				}
			}
			p.Heal()
			if err := put(p, 4); err != nil {
				t.Errorf("healed: %v", err)
			}
		})
	}
}

func TestFaultyReadAndCounters(t *testing.T) {
	p := fake.New()
	p.Fail(fake.On(fake.OpRead, syscall.EPERM))
	p.Fail(fake.On(fake.OpCounters, syscall.ENOENT))
	if _, err := p.Read(); !errors.Is(err, syscall.EPERM) {
		t.Errorf("Read: %v", err)
	}
	if _, err := p.Counters(); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Counters: %v", err)
	}
}

func TestIdentities(t *testing.T) {
	p := fake.New()
	a, err := p.Identity("a", none)
	if err != nil {
		t.Fatal(err)
	}
	if a.Session == 0 || a.Cookie.Len() != 8 {
		t.Errorf("identity = %+v", a)
	}
	if again, _ := p.Identity("a", none); again != a {
		t.Errorf("second look: %+v, want %+v", again, a)
	}
	moved, err := p.Identity("a", func(id dataplane.SessionID) bool { return id == a.Session })
	if err != nil || moved.Session == a.Session {
		t.Errorf("a reserved id is kept: %+v, %v", moved, err)
	}
	p.SetCapacity(1)
	if _, err := p.Identity("b", none); !errors.Is(err, dataplane.ErrCapacity) {
		t.Errorf("full store: %v, want ErrCapacity", err)
	}
	if err := p.Forget("a"); err != nil {
		t.Fatal(err)
	}
	p.SetIdentity("c", a)
	if d := cmp.Diff([]string{"c"}, keys(p.Identities())); d != "" {
		t.Errorf("identities (-want +got):\n%s", d)
	}
}

func keys[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestAttach(t *testing.T) {
	p := fake.New()
	broken := 4
	p.Fail(fake.When(func(c fake.Call) bool { return c.Circuit == broken }, syscall.EOPNOTSUPP))
	want := dataplane.Attachments{Circuits: []int{3, 4}, Underlays: []int{2}}
	repaired, failed := p.Attach(want)
	if repaired != 0 || len(failed) != 1 || !errors.Is(failed[4], syscall.EOPNOTSUPP) {
		t.Errorf("repaired %d, failed %v", repaired, failed)
	}
	if d := cmp.Diff(dataplane.Attachments{Circuits: []int{3}, Underlays: []int{2}}, p.Attached()); d != "" {
		t.Errorf("attached (-want +got):\n%s", d)
	}
	p.Heal()
	p.Detach(3)
	if len(p.Attached().Circuits) != 0 {
		t.Error("a detached circuit is still listed")
	}
	if repaired, failed := p.Attach(want); repaired != 1 || len(failed) != 0 {
		t.Errorf("repaired %d, failed %v, want 1 and none", repaired, failed)
	}
	p.Reset()
	if repaired, _ := p.Attach(want); repaired != 0 || len(p.Writes()) != 0 {
		t.Errorf("nothing to do, and yet repaired %d, wrote %v", repaired, p.Writes())
	}
	p.Attach(dataplane.Attachments{Circuits: []int{2}})
	if d := cmp.Diff([]string{"attach circuit on 2", "detach on 3", "detach on 4"}, p.Writes()); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
}

func TestLeasesRunOut(t *testing.T) {
	p := fake.New()
	now := time.Unix(0, 0)
	p.SetClock(func() time.Time { return now })
	hop := dataplane.NextHop{IfIndex: 2, MTU: 1500}
	if err := p.Lease(flow, hop); err != nil {
		t.Fatal(err)
	}
	now = now.Add(dataplane.LeaseDuration - 1)
	if d := cmp.Diff(hop, p.Leases()[flow]); d != "" {
		t.Errorf("lease (-want +got):\n%s", d)
	}
	now = now.Add(1)
	if len(p.Leases()) != 0 {
		t.Error("the lease outlives its time")
	}
	if err := p.Lease(flow, hop); err != nil {
		t.Fatal(err)
	}
	if err := p.Revoke(flow); err != nil || len(p.Leases()) != 0 {
		t.Errorf("revoked: %v, left %v", err, p.Leases())
	}
}

func TestCounters(t *testing.T) {
	p := fake.New()
	want := dataplane.Counters{EncapPackets: 1, Drops: map[dataplane.Drop]uint64{"bad_cookie": 2}}
	p.SetCounters("a", want)
	got, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]dataplane.Counters{"a": want}, got); d != "" {
		t.Errorf("counters (-want +got):\n%s", d)
	}
	got["a"].Drops["bad_cookie"] = 9
	if again, _ := p.Counters(); again["a"].Drops["bad_cookie"] != 2 {
		t.Error("changing what Counters returned changed the plane")
	}
}

func TestConcurrentUse(t *testing.T) {
	p := fake.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := dataplane.SessionID(i + 1)
			_ = p.PutReceive(dataplane.Receive{Session: id})
			_, _ = p.Read()
			_, _ = p.Identity("a", none)
			p.Attach(dataplane.Attachments{Circuits: []int{i + 1}})
			_ = p.Lease(flow, dataplane.NextHop{})
			_, _ = p.Counters()
			_ = p.Writes()
		})
	}
	wg.Wait()
	if got := len(p.State().Receive); got != 8 {
		t.Errorf("%d sessions, want 8", got)
	}
	if got := len(p.Attached().Circuits); got != 1 {
		t.Errorf("%d circuits attached, want the last wish alone", got)
	}
}

package speaker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"longwire/evpn/speaker"
	"longwire/test/peer"
)

// hammer connects from n to a BGP port of another node again and again, without
// a password, from before anything listens there, and speaks BGP on whatever
// connection it gets, until the test ends.
func hammer(t *testing.T, n node, to netip.Addr) {
	t.Helper()
	done := make(chan struct{})
	var ends []<-chan error
	for range 8 {
		ends = append(ends, n.inside(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
					n.intrude(to)
				}
			}
		}))
	}
	t.Cleanup(func() {
		close(done)
		for _, end := range ends {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
	})
}

// intrude makes one attempt at a session.
func (n node) intrude(to netip.Addr) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: n.four.AsSlice()}, Timeout: 30 * time.Millisecond}
	conn, err := dialer.Dial("tcp4", netip.AddrPortFrom(to, 179).String())
	if err != nil {
		return
	}
	s, err := peer.Open(conn, peer.Options{ASN: 65000, RouterID: n.four})
	if err != nil {
		return
	}
	for range s.Messages() { // until the other end has enough
	}
	s.Close()
}

// No session comes up without the password of its neighbour, whatever the moment
// at which the neighbour connects: GoBGP listens before it knows the password,
// and for a moment without it when the password changes.
func TestUnsigned(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(*testing.T, *pe, speaker.Neighbor){
		"while the engine starts":   restartEngine,
		"while a password changes":  changePassword,
		"while one is given, taken": togglePassword,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := newLAN(t, 2)
			neighbor := speaker.Neighbor{Address: nodes[1].four, ASN: 65000, Password: "s3cret", Passive: true}
			hammer(t, nodes[1], nodes[0].four)
			p := startPE(t, nodes[0], speaker.Config{Neighbors: []speaker.Neighbor{neighbor}})
			p.waitEvent(t, 0, speaker.EngineUp)
			disturb(t, p, neighbor)
			p.waitReason(t, speaker.ReasonAuthentication, "without one")
		})
	}
}

// A neighbour whose password the kernel does not take has no session, says why,
// and has one when the kernel takes it.
func TestPasswordRefused(t *testing.T) {
	t.Parallel()
	nodes := newLAN(t, 2)
	nodes[0].limitOptions(t, 100) // bytes; a key does not fit
	toA := speaker.Neighbor{Address: nodes[0].four, ASN: 65000}
	toB := speaker.Neighbor{Address: nodes[1].four, ASN: 65000, Password: "s3cret", Passive: true}
	a := startPE(t, nodes[0], speaker.Config{Neighbors: []speaker.Neighbor{toB}})
	b := startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{toA}})
	a.waitReason(t, speaker.ReasonSetupFailed, "set up: put the TCP-MD5 password of 192.0.2.2 on port 179: cannot allocate memory: raise the sysctl net.core.optmem_max")
	b.waitReason(t, speaker.ReasonClosed, "") // a goes on to take no session
	if n := a.count(0, speaker.PeerUp) + b.count(0, speaker.PeerUp); n > 0 {
		t.Errorf("%d sessions", n)
	}
	nodes[0].limitOptions(t, 20480)
	toA.Password = toB.Password
	if err := b.Reconfigure(config(b, b.runtimeDir, toA)); err != nil {
		t.Fatal(err)
	}
	a.waitEvent(t, 0, speaker.PeerUp)
}

// limitOptions bounds the memory for the options of one socket, in bytes; it is
// a setting of the network namespace since Linux 6.9.
func (n node) limitOptions(t *testing.T, bytes int) {
	t.Helper()
	err := <-n.inside(func() error {
		return os.WriteFile("/proc/sys/net/core/optmem_max", fmt.Append(nil, bytes), 0)
	})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has one net.core.optmem_max for all network namespaces")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restartEngine kills the worker as often as it may die without a rest.
func restartEngine(t *testing.T, p *pe, _ speaker.Neighbor) {
	t.Helper()
	for range 4 {
		mark := p.mark()
		for _, pid := range p.node.workerPIDs() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		p.waitEvent(t, mark, speaker.EngineUp)
		time.Sleep(300 * time.Millisecond) // for sessions that must not be
	}
	if n := p.count(0, speaker.PeerUp); n > 0 {
		t.Errorf("%d sessions without the password", n)
	}
}

func changePassword(t *testing.T, p *pe, neighbor speaker.Neighbor) {
	t.Helper()
	for i := range 50 {
		neighbor.Password = fmt.Sprintf("s3cret-%d", i)
		p.reconfigure(t, neighbor)
	}
	if n := p.count(0, speaker.PeerUp); n > 0 {
		t.Errorf("%d sessions without the password", n)
	}
}

// togglePassword has a session come up that is not signed, which then must go and
// not return.
func togglePassword(t *testing.T, p *pe, neighbor speaker.Neighbor) {
	t.Helper()
	for range 5 {
		mark := p.mark()
		open := neighbor
		open.Password = ""
		p.reconfigure(t, open)
		p.waitEvent(t, mark, speaker.PeerUp)
		p.reconfigure(t, neighbor)
		time.Sleep(300 * time.Millisecond) // for a session that must not be
		if s := p.Neighbors()[0]; s.State == "established" {
			t.Errorf("a session without the password: %+v", s)
		}
	}
}

// reconfigure gives p one neighbour, and its engine the time to know it.
func (p *pe) reconfigure(t *testing.T, neighbor speaker.Neighbor) {
	t.Helper()
	if err := p.Reconfigure(config(p, p.runtimeDir, neighbor)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
}

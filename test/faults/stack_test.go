package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"

	"longwire/test/lab"
)

// stack is another user of L2TPv3 on PE 1: it hears what the programs pass on
// and the kernel's own stack accepts.
type stack struct {
	mu    sync.Mutex
	heard [][]byte // from behind the IP or UDP header on
}

// listen opens a socket for each encapsulation.
func (w *world) listen(t *testing.T) *stack {
	t.Helper()
	s := &stack{}
	for _, p := range pseudowires {
		network, address := "ip4:115", p.source(1).String()
		if p.v6 {
			network = "ip6:115"
		}
		if p.udp {
			network, address = "udp", net.JoinHostPort(address, fmt.Sprint(port))
		}
		var conn net.PacketConn
		err := w.PE1.Do(func() (err error) {
			conn, err = new(net.ListenConfig).ListenPacket(context.Background(), network, address)
			return err
		})
		if err != nil {
			t.Fatalf("listen as %v: %v", p, err)
		}
		done := make(chan struct{})
		go s.collect(conn, done)
		t.Cleanup(func() {
			conn.Close()
			<-done
		})
	}
	return s
}

func (s *stack) collect(conn net.PacketConn, done chan<- struct{}) {
	defer close(done)
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		s.heard = append(s.heard, append([]byte(nil), buffer[:n]...))
		s.mu.Unlock()
	}
}

// take returns what was heard since the last time.
func (s *stack) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	s.heard = nil
	return heard
}

// wants compares what the stack heard, in any order of arrival, with one payload
// or with nothing.
func (s *stack) wants(t *testing.T, payload []byte) {
	t.Helper()
	var heard [][]byte
	err := lab.Await(patience, func() error {
		heard = append(heard, s.take()...)
		if payload != nil && len(heard) == 0 {
			return fmt.Errorf("the stack was passed nothing, want %d bytes", len(payload))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, got := range heard {
		if !bytes.Equal(got, payload) {
			t.Errorf("the stack was passed %d bytes %x, want %d bytes %x", len(got), got, len(payload), payload)
		}
	}
	if len(heard) > 1 {
		t.Errorf("the stack was passed %d packets", len(heard))
	}
}

// spoken returns the packets in frames of a host that are more than neighbour
// discovery: answers, errors, and traffic that leaked.
func spoken(frames [][]byte) [][]byte {
	const ipv4, ipv6 = 0x0800, 0x86dd
	var packets [][]byte
	for _, f := range frames {
		if len(f) < 14 {
			continue
		}
		switch binary.BigEndian.Uint16(f[12:]) {
		case ipv4:
			packets = append(packets, f)
		case ipv6:
			if len(f) > 14+40 && !discovery(f[14:]) {
				packets = append(packets, f)
			}
		}
	}
	return packets
}

// discovery says whether an IPv6 packet is ICMPv6 of RFC 4861, or a multicast
// listener report (RFC 3810), which begins with a hop-by-hop header.
func discovery(packet []byte) bool {
	const hopByHop, icmp6 = 0, 58
	switch packet[6] {
	case hopByHop:
		return true
	case icmp6:
		return packet[40] >= 133 && packet[40] <= 137
	}
	return false
}

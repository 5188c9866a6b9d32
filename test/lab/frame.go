package lab

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sniffBuffer is the receive buffer of a sniffer, in bytes.
	sniffBuffer = 16 << 20
	// macsLen is the length of the two addresses that begin a frame.
	macsLen = 12
	// readPatience is how long a sniffer's read waits before it looks whether
	// it was closed.
	readPatience = 50 * time.Millisecond
)

// packetSocket opens an AF_PACKET socket on a device of the namespace.
func (n *Namespace) packetSocket(dev string, protocol uint16) int {
	n.lab.tb.Helper()
	index := n.Index(dev)
	fd := -1
	err := n.Do(func() error {
		var err error
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(networkOrder(protocol))); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(protocol), Ifindex: index})
	})
	if err != nil {
		n.lab.tb.Fatalf("%s: packet socket on %s: %v", n.Role, dev, err)
	}
	return fd
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// Port sends raw frames out of a device.
type Port struct {
	fd int
	mu sync.Mutex
}

// Port opens a device for sending.
func (n *Namespace) Port(dev string) *Port {
	n.lab.tb.Helper()
	p := &Port{fd: n.packetSocket(dev, 0)}
	n.lab.tb.Cleanup(p.close)
	return p
}

// close closes the socket. Its number may be another file's at once.
func (p *Port) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Close(p.fd)
	p.fd = -1
}

// Send sends one frame as it is, from its destination address to the end of
// its payload; VLAN tags are part of the bytes.
func (p *Port) Send(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := unix.Write(p.fd, frame)
	return err
}

// Sniffer collects the frames that come in by a device, whole: a VLAN tag that
// the kernel has moved to the packet's metadata is put back.
type Sniffer struct {
	fd     int
	mu     sync.Mutex
	frames [][]byte
	stop   chan struct{}
	done   chan struct{}
}

// Sniff starts to collect. Frames that are on their way from this moment on are
// seen.
func (n *Namespace) Sniff(dev string) *Sniffer {
	n.lab.tb.Helper()
	s := &Sniffer{fd: n.packetSocket(dev, unix.ETH_P_ALL), stop: make(chan struct{}), done: make(chan struct{})}
	if err := s.prepare(); err != nil {
		unix.Close(s.fd)
		n.lab.tb.Fatalf("%s: sniff on %s: %v", n.Role, dev, err)
	}
	go s.collect()
	n.lab.tb.Cleanup(s.Close)
	return s
}

func (s *Sniffer) prepare() error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, sniffBuffer); err != nil {
		return err
	}
	patience := unix.NsecToTimeval(readPatience.Nanoseconds())
	return unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
}

// Close ends the collection; what was collected stays readable.
func (s *Sniffer) Close() {
	select {
	case <-s.stop:
		return
	default:
	}
	close(s.stop)
	<-s.done
	unix.Close(s.fd)
}

func (s *Sniffer) collect() {
	defer close(s.done)
	buf, oob := make([]byte, 1<<17), make([]byte, 256)
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		size, oobSize, _, from, err := unix.Recvmsg(s.fd, buf, oob, 0)
		if err != nil {
			continue // the time-out, or a device that is down for now
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		frame := withTag(buf[:size], oob[:oobSize])
		s.mu.Lock()
		s.frames = append(s.frames, frame)
		s.mu.Unlock()
	}
}

// withTag returns a copy of the frame with the VLAN tag of the packet's
// auxiliary data (struct tpacket_auxdata of packet(7)) in its place.
func withTag(frame, oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(frame) < macsLen {
		return append([]byte(nil), frame...)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 20 {
			continue
		}
		status := binary.NativeEndian.Uint32(m.Data)
		if status&unix.TP_STATUS_VLAN_VALID == 0 {
			break
		}
		tci, tpid := binary.NativeEndian.Uint16(m.Data[16:]), binary.NativeEndian.Uint16(m.Data[18:])
		if status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
			tpid = unix.ETH_P_8021Q
		}
		out := append(make([]byte, 0, len(frame)+4), frame[:macsLen]...)
		out = binary.BigEndian.AppendUint16(out, tpid)
		out = binary.BigEndian.AppendUint16(out, tci)
		return append(out, frame[macsLen:]...)
	}
	return append([]byte(nil), frame...)
}

// Frames returns what was collected so far.
func (s *Sniffer) Frames() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.frames...)
}

// Reset forgets what was collected so far.
func (s *Sniffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = nil
}

// Await waits until a collected frame matches and returns it; the error says how
// many did not.
func (s *Sniffer) Await(within time.Duration, match func([]byte) bool) ([]byte, error) {
	var found []byte
	err := Await(within, func() error {
		frames := s.Frames()
		for _, frame := range frames {
			if match(frame) {
				found = frame
				return nil
			}
		}
		return fmt.Errorf("none of the %d frames seen matches", len(frames))
	})
	return found, err
}

package selftest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	soRcvmark     = 75 // SO_RCVMARK of asm-generic/socket.h (5.19)
	receiveBuffer = 4 << 20
	longestFrame  = 1 << 16
)

// port is a raw socket on an interface.
type port struct {
	fd  int
	buf []byte
}

// received is a frame with what the kernel had beside it.
type received struct {
	frame []byte // tags of the metadata put back
	mark  uint32
}

// openPort opens a port in the thread's network namespace. One that is for
// sending takes a virtio header before each frame, and receives nothing.
func openPort(ifindex int, sends bool) (*port, error) {
	protocol := uint16(unix.ETH_P_ALL)
	if sends {
		protocol = 0
	}
	wire := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(wire))
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w (CAP_NET_RAW is needed)", err)
	}
	p := &port{fd: fd, buf: make([]byte, longestFrame)}
	option, level := map[int]int{unix.PACKET_AUXDATA: unix.SOL_PACKET, soRcvmark: unix.SOL_SOCKET}, 1
	if sends {
		option = map[int]int{unix.PACKET_VNET_HDR: unix.SOL_PACKET}
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	}
	for name, of := range option {
		err = errors.Join(err, unix.SetsockoptInt(fd, of, name, level))
	}
	err = errors.Join(err, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: wire, Ifindex: ifindex}))
	if err != nil {
		p.close()
		return nil, fmt.Errorf("prepare a packet socket: %w", err)
	}
	return p, nil
}

func (p *port) close() { _ = unix.Close(p.fd) }

// mark is what the frames that are sent from now on carry as skb->mark.
func (p *port) mark(value int) error {
	return unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_MARK, value)
}

func (p *port) send(f sendable) error {
	if _, err := unix.Write(p.fd, append(f.virtio(), f.bytes...)); err != nil {
		return fmt.Errorf("send a frame of %d bytes: %w", len(f.bytes), err)
	}
	return nil
}

// collect returns the frames that match, at least n unless the time is over
// before, and more if there are more by then.
func (p *port) collect(n int, within time.Duration, match func([]byte) bool) ([]received, error) {
	var got []received
	for deadline := time.Now().Add(within); ; {
		r, err := p.receive()
		switch {
		case err == nil && match(r.frame):
			got = append(got, r)
		case err == nil:
		case !errors.Is(err, unix.EAGAIN):
			return nil, fmt.Errorf("receive a frame: %w", err)
		case len(got) >= n || !time.Now().Before(deadline):
			return got, nil
		default:
			left := max(1, int(time.Until(deadline)/time.Millisecond))
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, left); err != nil && !errors.Is(err, unix.EINTR) {
				return nil, fmt.Errorf("wait for a frame: %w", err)
			}
		}
	}
}

// drain forgets what has been received so far.
func (p *port) drain() {
	for {
		if _, err := p.receive(); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// receive returns the next frame that came in; what went out is passed over.
func (p *port) receive() (received, error) {
	oob := make([]byte, 256)
	for {
		n, oobn, _, from, err := unix.Recvmsg(p.fd, p.buf, oob, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return received{}, err
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		return beside(bytes.Clone(p.buf[:n]), oob[:oobn]), nil
	}
}

// beside reads what came with a frame: its mark, and a VLAN tag in struct
// tpacket_auxdata (packet(7)), which is put back in its place.
func beside(frame, oob []byte) received {
	r := received{frame: frame}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return r
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_MARK && len(m.Data) >= 4:
			r.mark = binary.NativeEndian.Uint32(m.Data)
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20:
			if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 && len(frame) >= macsLen {
				tag := vlan{kind: binary.NativeEndian.Uint16(m.Data[18:]), tci: binary.NativeEndian.Uint16(m.Data[16:])}
				r.frame = tag.onto(frame)
			}
		}
	}
	return r
}

package slowpath

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mark is MARK_DECAP of bpf/consts.h: it tells the program at the other end of
// the helper pair that this is a packet of ours, to be decapsulated.
const mark = 0x80000000

// injector sends frames out of the helper interface. It belongs to the network
// namespace that the thread was in which opened it, and may be used by several
// goroutines.
type injector struct {
	fd    int
	name  string
	index atomic.Int32 // of the interface; 0 = not known
}

// openInjector opens a packet socket that sends and never receives.
func openInjector(name string) (*injector, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	j := &injector{fd: fd, name: name}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
		return nil, errors.Join(fmt.Errorf("mark a packet socket: %w", err), j.close())
	}
	return j, nil
}

// send sends one frame. The interface may have been made anew since the last
// one, under another index.
func (j *injector) send(frame []byte) error {
	err := j.sendTo(int(j.index.Load()), frame)
	if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	index, err := j.find()
	if err != nil {
		return err
	}
	j.index.Store(int32(index))
	return j.sendTo(index, frame)
}

func (j *injector) sendTo(index int, frame []byte) error {
	if index == 0 {
		return unix.ENXIO
	}
	return unix.Sendto(j.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index})
}

// find asks for the index in the socket's own network namespace.
func (j *injector) find() (int, error) {
	request, err := unix.NewIfreq(j.name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(j.fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, err
	}
	return int(request.Uint32()), nil
}

func (j *injector) close() error { return unix.Close(j.fd) }

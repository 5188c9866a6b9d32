package lab

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	tunDevice = "/dev/net/tun"
	// tapQueue is how many frames a tap keeps for its reader, enough that a
	// reader on a busy machine loses none of a burst.
	tapQueue = 10_000
	// tapFrame is the most that one read of a tap returns: a super-frame with
	// its tags and the header before it, in bytes.
	tapFrame = 1 << 17
	// tapFeatures are TUN_F_CSUM, TUN_F_TSO4 and TUN_F_TSO6 of linux/if_tun.h:
	// what a guest with a common virtio-net device takes.
	tapFeatures = 0x01 | 0x02 | 0x04
)

// Taps joins two namespaces by a tap device in each, both up, between whose
// files this process carries every frame, byte for byte, until the test ends.
//
// With offloads it does what a virtual machine's monitor does: super-frames and
// open checksums pass with the header that describes them (struct
// virtio_net_hdr). Without, each kernel cuts and checksums what it sends. A tap
// has its carrier whatever the state of the other.
func (l *Lab) Taps(a *Namespace, aName string, b *Namespace, bName string, mtu int, offloads bool) {
	l.tb.Helper()
	near, far := a.tap(aName, mtu, offloads), b.tap(bName, mtu, offloads)
	done := make(chan struct{}, 2)
	go carry(near, far, done)
	go carry(far, near, done)
	l.tb.Cleanup(func() {
		near.Close()
		far.Close()
		<-done
		<-done
	})
}

// tap makes a tap device, up, and returns the file behind it.
func (n *Namespace) tap(name string, mtu int, offloads bool) *os.File {
	n.lab.tb.Helper()
	var file *os.File
	err := n.Do(func() (err error) {
		file, err = openTap(name, offloads)
		return err
	})
	n.check(err, "make tap "+name)
	link := n.link(name)
	n.check(n.handle.LinkSetTxQLen(link, tapQueue), "lengthen the queue of "+name)
	n.check(n.handle.LinkSetMTU(link, mtu), "set the MTU of "+name)
	n.check(n.handle.LinkSetUp(link), "set "+name+" up")
	return file
}

// openTap makes a tap device in the namespace of the calling thread.
func openTap(name string, offloads bool) (*os.File, error) {
	// Only a file that does not block can be closed under a reader.
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var flags uint16 = unix.IFF_TAP | unix.IFF_NO_PI
	if offloads {
		flags |= unix.IFF_VNET_HDR
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil && offloads {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tapFeatures)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), tunDevice), nil
}

// carry moves frames from one tap to another until either is closed or deleted.
// A frame that the other refuses, because it is down, is lost as on any wire.
func carry(from, to *os.File, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	frame := make([]byte, tapFrame)
	for {
		size, err := from.Read(frame)
		if errors.Is(err, unix.EINVAL) {
			continue // a super-frame of a kind that the header has no word for
		}
		if err != nil {
			return
		}
		if _, err := to.Write(frame[:size]); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

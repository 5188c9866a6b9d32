package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"golang.org/x/sys/unix"
)

// etherTypeTest is the EtherType of the tests' frames, the first of IEEE 802's
// local experimental ones.
const etherTypeTest = 0x88b5

// networkOrder is for the kernel's fields in network byte order.
func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// frames sends frames, and keeps the test frames that come in.
type frames struct {
	fd   int
	mu   sync.Mutex
	seen []Seen
}

// Seen is a frame that came in.
type Seen struct {
	Device string `json:"device"`
	Frame  []byte `json:"frame"`
}

// openFrames starts to collect what comes in by any device.
func openFrames() (*frames, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(networkOrder(etherTypeTest)))
	if err != nil {
		return nil, err
	}
	f := &frames{fd: fd}
	go f.collect()
	return f, nil
}

func (f *frames) collect() {
	buf := make([]byte, 1<<16)
	for {
		size, from, err := unix.Recvfrom(f.fd, buf, 0)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			log.Fatalf("receive frames: %v", err)
		}
		seen := Seen{Frame: append([]byte(nil), buf[:size]...)}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			if dev, err := net.InterfaceByIndex(ll.Ifindex); err == nil {
				seen.Device = dev.Name
			}
		}
		f.mu.Lock()
		f.seen = append(f.seen, seen)
		f.mu.Unlock()
	}
}

func (f *frames) list(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	seen := append([]Seen{}, f.seen...)
	f.mu.Unlock()
	answer(w, seen, nil)
}

func (f *frames) send(w http.ResponseWriter, r *http.Request) {
	dev, err := net.InterfaceByName(r.FormValue("device"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	frame, err := io.ReadAll(r.Body)
	if err == nil {
		err = unix.Sendto(f.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

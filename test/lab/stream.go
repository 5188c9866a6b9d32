package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// streamMark begins the payload of a stream's frames.
var streamMark = []byte("longwire-stream:")

// Stream sends numbered frames at a steady rate until it is stopped, and looks
// for all of them at the far end. It shows whether anything was lost meanwhile.
type Stream struct {
	id   uint32
	port *Port
	far  *Sniffer
	end  func() // once
	stop chan struct{}
	done chan struct{}
	sent atomic.Uint64
}

// streams numbers the streams of the process, so that they are told apart.
var streams atomic.Uint32

// Stream starts to send broadcast frames from one device to another, every
// interval.
func (l *Lab) Stream(from *Namespace, fromDev string, to *Namespace, toDev string, every time.Duration) *Stream {
	l.tb.Helper()
	s := &Stream{
		id: streams.Add(1), port: from.Port(fromDev), far: to.Sniff(toDev),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.end = sync.OnceFunc(func() {
		close(s.stop)
		<-s.done
	})
	go s.send(every)
	// Before its port is closed, also when the test ends in the middle.
	l.tb.Cleanup(s.end)
	return s
}

func (s *Stream) send(every time.Duration) {
	defer close(s.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		// A frame that the device refuses is lost like any other.
		_ = s.port.Send(s.frame(s.sent.Load()))
		s.sent.Add(1)
	}
}

func (s *Stream) frame(number uint64) []byte {
	payload := append([]byte(nil), streamMark...)
	payload = binary.BigEndian.AppendUint32(payload, s.id)
	payload = binary.BigEndian.AppendUint64(payload, number)
	payload = append(payload, Pattern(uint32(number), 64)...)
	return Frame{Destination: Broadcast, EtherType: EtherTypeTest, Payload: payload}.Bytes()
}

// Sent returns how many frames have been sent so far.
func (s *Stream) Sent() uint64 { return s.sent.Load() }

// Received returns how many different frames have arrived so far.
func (s *Stream) Received() int { return len(s.numbers()) }

func (s *Stream) numbers() map[uint64]bool {
	const header = 14
	seen := map[uint64]bool{}
	for _, frame := range s.far.Frames() {
		if len(frame) < header+len(streamMark)+12 || !bytes.Equal(frame[header:header+len(streamMark)], streamMark) {
			continue
		}
		rest := frame[header+len(streamMark):]
		if binary.BigEndian.Uint32(rest) == s.id {
			seen[binary.BigEndian.Uint64(rest[4:])] = true
		}
	}
	return seen
}

// Stop ends the stream, waits for what is on its way and returns how many frames
// were sent and how many never arrived.
func (s *Stream) Stop() (sent uint64, lost int) {
	s.end()
	const onTheWay = 2 * time.Second
	// Frames that are lost never come: then the wait ends by its deadline, and
	// the count says so.
	_ = Await(onTheWay, func() error {
		if got := uint64(s.Received()); got < s.Sent() {
			return fmt.Errorf("%d of %d", got, s.Sent())
		}
		return nil
	})
	return s.Sent(), int(s.Sent()) - s.Received()
}

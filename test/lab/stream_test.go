package lab

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStreamEndsWithItsTest leaves a stream running, as a test does that fails
// in its middle. It must not send any more when its lab is gone: the number of
// its socket is that of another file by then.
func TestStreamEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var s *Stream
	t.Run("lab", func(t *testing.T) {
		l, a, b := line(t)
		s = l.Stream(a, "left", b, "right", time.Millisecond)
		l.Poll(5*time.Second, "the stream arrives", func() error {
			if s.Received() == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	})
	select {
	case <-s.done:
	default:
		t.Error("it still sends")
	}
	if err := s.port.Send([]byte("a frame that is late")); !errors.Is(err, unix.EBADF) {
		t.Errorf("its port after its end: %v, want %v", err, unix.EBADF)
	}
}

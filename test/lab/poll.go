package lab

import "time"

// Poll calls f until it returns nil, and ends the test with f's last error when
// the time is over, or at once when the test is interrupted.
func (l *Lab) Poll(within time.Duration, what string, f func() error) {
	l.tb.Helper()
	interrupted := false
	err := Await(within, func() error {
		if interrupted = l.tb.Context().Err() != nil; interrupted {
			return nil
		}
		return f()
	})
	if interrupted {
		l.tb.Fatalf("%s: interrupted", what)
	}
	if err != nil {
		l.tb.Fatalf("%s: not within %v: %v", what, within, err)
	}
}

// Await calls f until it returns nil, or the time is over; then it returns f's
// last error. f is called at least once.
func Await(within time.Duration, f func() error) error {
	deadline := time.Now().Add(within)
	pause := 5 * time.Millisecond
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

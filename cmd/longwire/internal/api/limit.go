package api

import (
	"net"
	"sync"
)

// limited is a listener that accepts only while fewer than n of its
// connections are open.
type limited struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	close sync.Once
}

func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slot{Conn: conn, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.close.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// slot is one open connection.
type slot struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (s *slot) Close() error {
	defer s.release()
	return s.Conn.Close()
}

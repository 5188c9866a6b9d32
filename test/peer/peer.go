// Package peer is a hand-made BGP peer: it opens a session for EVPN routes and
// then sends whatever bytes a test wants, right or wrong.
package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// BGP message types (RFC 4271 section 4.1).
const (
	TypeOpen         = 1
	TypeUpdate       = 2
	TypeNotification = 3
	TypeKeepalive    = 4
)

const headerLength = 19

// Options describe the hand-made speaker.
type Options struct {
	ASN      uint32
	RouterID netip.Addr
	HoldTime uint16 // seconds; 0 = 90
	// RestartTime offers graceful restart with that many seconds; 0 offers
	// none (RFC 4724).
	RestartTime uint16
	// Silent sends no KEEPALIVE once the session is up, as a peer that dies
	// without closing its connection.
	Silent bool
}

// Message is one received message.
type Message struct {
	Type byte
	Body []byte // without the header
}

// Session is an established session.
type Session struct {
	conn     net.Conn
	messages chan Message
	writing  sync.Mutex
	done     chan struct{}
	once     sync.Once
}

// Open makes a session of a fresh TCP connection, whichever side connected. It
// keeps the session alive until Close or until the other side ends it.
func Open(conn net.Conn, o Options) (*Session, error) {
	s := &Session{conn: conn, messages: make(chan Message, 4096), done: make(chan struct{})}
	if err := s.handshake(o); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	go s.receive()
	if !o.Silent {
		go s.keepAlive()
	}
	return s, nil
}

// handshake exchanges OPEN and KEEPALIVE.
func (s *Session) handshake(o Options) error {
	if err := s.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := s.Send(TypeOpen, openBody(o)); err != nil {
		return err
	}
	for _, want := range []byte{TypeOpen, TypeKeepalive} {
		m, err := readMessage(s.conn)
		if err != nil {
			return fmt.Errorf("wait for message type %d: %w", want, err)
		}
		if m.Type != want {
			return fmt.Errorf("message type %d (%x), want %d", m.Type, m.Body, want)
		}
		if want == TypeOpen {
			if err := s.Send(TypeKeepalive, nil); err != nil {
				return err
			}
		}
	}
	return s.conn.SetDeadline(time.Time{})
}

// openBody words an OPEN with the capabilities of multiprotocol EVPN, four-octet
// AS numbers and, if wanted, graceful restart.
func openBody(o Options) []byte {
	capabilities := []byte{1, 4, 0, 25, 0, 70, 65, 4}
	capabilities = binary.BigEndian.AppendUint32(capabilities, o.ASN)
	if o.RestartTime != 0 {
		capabilities = append(capabilities, 64, 6)
		capabilities = binary.BigEndian.AppendUint16(capabilities, o.RestartTime)
		capabilities = append(capabilities, 0, 25, 70, 0x80) // forwarding state preserved
	}
	as, hold := uint16(23456), o.HoldTime
	if o.ASN <= 0xffff {
		as = uint16(o.ASN)
	}
	if hold == 0 {
		hold = 90
	}
	b := []byte{4}
	b = binary.BigEndian.AppendUint16(b, as)
	b = binary.BigEndian.AppendUint16(b, hold)
	id := o.RouterID.As4()
	b = append(b, id[:]...)
	b = append(b, byte(2+len(capabilities)), 2, byte(len(capabilities)))
	return append(b, capabilities...)
}

// Send sends one message with a correct header.
func (s *Session) Send(kind byte, body []byte) error {
	b := []byte(strings.Repeat("\xff", 16))
	b = binary.BigEndian.AppendUint16(b, uint16(headerLength+len(body)))
	return s.SendRaw(append(append(b, kind), body...))
}

// SendUpdate sends an UPDATE with the given block of path attributes.
func (s *Session) SendUpdate(attributes []byte) error {
	body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attributes)))
	return s.Send(TypeUpdate, append(body, attributes...))
}

// SendRaw sends bytes as they are.
func (s *Session) SendRaw(b []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.conn.Write(b)
	return err
}

// Messages returns the received messages; the channel is closed when the
// session ends.
func (s *Session) Messages() <-chan Message { return s.messages }

// Close cuts the TCP connection without a NOTIFICATION, as a crash does.
func (s *Session) Close() {
	s.once.Do(func() { close(s.done) })
	_ = s.conn.Close() // twice does no harm
}

func (s *Session) receive() {
	defer close(s.messages)
	for {
		m, err := readMessage(s.conn)
		if err != nil {
			return
		}
		select {
		case s.messages <- m:
		case <-s.done:
			return
		}
	}
}

func (s *Session) keepAlive() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if s.Send(TypeKeepalive, nil) != nil {
				return
			}
		case <-s.done:
			return
		}
	}
}

func readMessage(r io.Reader) (Message, error) {
	header := make([]byte, headerLength)
	if _, err := io.ReadFull(r, header); err != nil {
		return Message{}, err
	}
	length := int(binary.BigEndian.Uint16(header[16:]))
	if length < headerLength {
		return Message{}, errors.New("a message shorter than its header")
	}
	m := Message{Type: header[18], Body: make([]byte, length-headerLength)}
	_, err := io.ReadFull(r, m.Body)
	return m, err
}

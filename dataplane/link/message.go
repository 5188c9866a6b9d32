package link

import (
	"encoding/binary"
	"errors"
	"iter"

	"golang.org/x/sys/unix"
)

var errTruncated = errors.New("truncated netlink message")

// message is one netlink message:
//
//	| length (4) | type (2) | flags (2) | sequence (4) | port (4) | body |
type message struct {
	kind  uint16 // RTM_…
	flags uint16 // NLM_F_…
	seq   uint32
	body  []byte
}

// splitMessages returns the messages of a datagram. Their bodies share its
// memory.
func splitMessages(b []byte) ([]message, error) {
	var messages []message
	for len(b) > 0 {
		if len(b) < unix.NLMSG_HDRLEN {
			return nil, errTruncated
		}
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return nil, errTruncated
		}
		messages = append(messages, message{
			kind:  binary.NativeEndian.Uint16(b[4:]),
			flags: binary.NativeEndian.Uint16(b[6:]),
			seq:   binary.NativeEndian.Uint32(b[8:]),
			body:  b[unix.NLMSG_HDRLEN:length],
		})
		b = b[min(align(length), len(b)):]
	}
	return messages, nil
}

func buildMessage(kind, flags uint16, seq uint32, body []byte) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	binary.NativeEndian.PutUint32(b, uint32(unix.NLMSG_HDRLEN+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return append(b, body...)
}

// take gives a message of an answer to visit, or reads the end of the answer.
func (m message) take(visit func(message) error) (last bool, err error) {
	switch m.kind {
	case unix.NLMSG_NOOP:
		return false, nil
	case unix.NLMSG_DONE, unix.NLMSG_ERROR:
		if len(m.body) < 4 {
			return true, nil
		}
		if errno := -int32(binary.NativeEndian.Uint32(m.body)); errno > 0 {
			return true, unix.Errno(errno)
		}
		return true, nil
	}
	if visit != nil {
		err = visit(m)
	}
	return m.flags&unix.NLM_F_MULTI == 0, err
}

// attributes yields the attributes in b by type, without the flag bits. It
// stops at what is no attribute.
//
//	| length (2) | type (2) | value, padded to a multiple of 4 |
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	const typeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length := int(binary.NativeEndian.Uint16(b))
			if length < unix.SizeofRtAttr || length > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&typeMask, b[unix.SizeofRtAttr:length]) {
				return
			}
			b = b[min(align(length), len(b)):]
		}
	}
}

// appendAttribute appends an attribute to a message's body.
func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align(len(value))-len(value))...)
}

// align rounds a length up to netlink's alignment of 4.
func align(n int) int { return (n + 3) &^ 3 }

// number reads an attribute of four bytes; others are 0.
func number(value []byte) int {
	if len(value) != 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(value))
}

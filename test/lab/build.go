package lab

import (
	"encoding/binary"
	"fmt"
)

// EtherTypes of test frames.
const (
	// EtherTypeTest is the first of IEEE 802's two local experimental
	// EtherTypes; no stack answers it.
	EtherTypeTest uint16 = 0x88b5
	EtherTypeVLAN uint16 = 0x8100 // 802.1Q
	EtherTypeQinQ uint16 = 0x88a8 // 802.1ad
)

// Broadcast is the Ethernet broadcast address.
var Broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Tag is one VLAN tag.
type Tag struct {
	TPID uint16 // EtherTypeVLAN or EtherTypeQinQ
	TCI  uint16 // priority (3 bits), drop eligibility (1), VLAN id (12)
}

// Frame is an Ethernet frame to be sent. Its zero addresses are legal: nothing
// of the lab looks at them.
type Frame struct {
	Destination, Source [6]byte
	Tags                []Tag // outermost first
	EtherType           uint16
	Payload             []byte
}

// Bytes returns the frame as it goes on the wire, without padding and check
// sequence.
func (f Frame) Bytes() []byte {
	b := append(append([]byte(nil), f.Destination[:]...), f.Source[:]...)
	for _, tag := range f.Tags {
		b = binary.BigEndian.AppendUint16(b, tag.TPID)
		b = binary.BigEndian.AppendUint16(b, tag.TCI)
	}
	b = binary.BigEndian.AppendUint16(b, f.EtherType)
	return append(b, f.Payload...)
}

// Pattern returns n bytes that depend on seed and position, so that a shifted,
// cut or swapped payload is noticed.
func Pattern(seed uint32, n int) []byte {
	b := make([]byte, 0, n+4)
	for state := seed*2654435761 + 1; len(b) < n; {
		state = state*1664525 + 1013904223
		b = binary.BigEndian.AppendUint32(b, state)
	}
	return b[:n]
}

// SameFrame compares a received frame with the one that was sent. Bytes beyond
// it are allowed only where Ethernet itself pads: zeros, up to 60 bytes.
func SameFrame(sent, received []byte) error {
	const minFrame = 60
	if len(received) < len(sent) {
		return fmt.Errorf("%d bytes sent, %d received", len(sent), len(received))
	}
	for i := range sent {
		if sent[i] != received[i] {
			return fmt.Errorf("byte %d of %d is %#02x, was %#02x", i, len(sent), received[i], sent[i])
		}
	}
	if len(received) > max(len(sent), minFrame) {
		return fmt.Errorf("%d bytes sent, %d received", len(sent), len(received))
	}
	for i, b := range received[len(sent):] {
		if b != 0 {
			return fmt.Errorf("padding byte %d is %#02x", i, b)
		}
	}
	return nil
}

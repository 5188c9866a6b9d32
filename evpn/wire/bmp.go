package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// BMP framing (RFC 7854 sections 4.1 and 4.2).
const (
	bmpVersion          = 3
	bmpHeaderLength     = 6
	bmpPeerHeaderLength = 42
	bmpMaxLength        = 1 << 20 // bytes; ours, a BGP message has at most 65535

	bmpFlagIPv6       = 0x80
	bmpFlagPostPolicy = 0x40

	bmpInfoSysName = 2
)

// BMPKind is the type of a BMP message (RFC 7854 section 4.1).
type BMPKind uint8

// The BMP messages that GoBGP sends.
const (
	BMPRouteMonitoring BMPKind = 0
	BMPStatistics      BMPKind = 1
	BMPPeerDown        BMPKind = 2
	BMPPeerUp          BMPKind = 3
	BMPInitiation      BMPKind = 4
	BMPTermination     BMPKind = 5
	BMPRouteMirroring  BMPKind = 6
)

// BMPMessage is one decoded BMP message.
type BMPMessage struct {
	Kind BMPKind
	Peer netip.Addr // of the per-peer header; zero in initiation and termination
	// Time is when the route was received: of a withdrawal that GoBGP makes up
	// because a session ended, the time of the route that goes.
	Time       time.Time
	PostPolicy bool
	Update     Update // of a route monitoring message
	Down       Down   // of a peer down message
	EVPN       bool   // of a peer up message: the peer's OPEN offers EVPN
	SysName    string // of an initiation message
}

// Down is why a session ended (RFC 7854 section 4.9).
type Down struct {
	Cause uint8  // the reason code of the message
	Text  string // in words, for people
	// Code and Subcode are of the NOTIFICATION that ended it
	// (RFC 4271 section 4.5); 0 without one.
	Code, Subcode uint8
}

// ReadBMP reads the bytes of one BMP message. It returns io.EOF at the end of
// the stream, and an error that wraps ErrMalformed when the stream is no BMP:
// nothing after that can be read.
func ReadBMP(r io.Reader) ([]byte, error) {
	header := make([]byte, bmpHeaderLength)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(header[1:])
	if header[0] != bmpVersion || length < bmpHeaderLength || length > bmpMaxLength {
		return nil, malformed("BMP version %d, length %d", header[0], length)
	}
	message := append(header, make([]byte, length-bmpHeaderLength)...)
	if _, err := io.ReadFull(r, message[bmpHeaderLength:]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return message, nil
}

// DecodeBMP reads one BMP message. A panic is caught and becomes an error that
// wraps ErrMalformed: the bytes come from a peer, and no peer may end the agent.
// An error about the routes of an UPDATE leaves the rest of the message valid.
func DecodeBMP(b []byte) (BMPMessage, error) {
	return guard(func() (BMPMessage, error) { return decodeBMP(b) })
}

// guard turns a panic of decode into an error.
func guard(decode func() (BMPMessage, error)) (m BMPMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = BMPMessage{}, malformed("decoding panicked: %v", p)
		}
	}()
	return decode()
}

func decodeBMP(b []byte) (m BMPMessage, err error) {
	c := cursor{rest: b}
	c.take(bmpHeaderLength - 1)
	m.Kind = BMPKind(c.uint8())
	switch m.Kind {
	case BMPInitiation:
		m.SysName = readInformation(c.rest, bmpInfoSysName)
	case BMPRouteMonitoring:
		if readPeerHeader(&m, &c); !c.short {
			m.Update, err = DecodeUpdate(m.Peer, c.rest)
		}
	case BMPPeerDown:
		readPeerHeader(&m, &c)
		m.Down = readPeerDown(c.rest)
	case BMPPeerUp:
		readPeerHeader(&m, &c)
		m.EVPN = readPeerUp(c.rest)
	case BMPStatistics, BMPRouteMirroring:
		readPeerHeader(&m, &c)
	case BMPTermination:
	default: // of a later BMP; passed on as it is
	}
	if c.short {
		return m, malformed("BMP message of type %d with %d bytes is too short", m.Kind, len(b))
	}
	return m, err
}

// readPeerHeader reads the per-peer header (RFC 7854 section 4.2): type (1),
// flags (1), distinguisher (8), address (16), AS (4), BGP id (4), seconds (4),
// microseconds (4).
func readPeerHeader(m *BMPMessage, c *cursor) {
	h := cursor{rest: c.take(bmpPeerHeaderLength)}
	h.take(1)
	flags := h.uint8()
	h.take(8)
	address := [16]byte(h.take(16))
	if flags&bmpFlagIPv6 != 0 {
		m.Peer = netip.AddrFrom16(address)
	} else {
		m.Peer = netip.AddrFrom4([4]byte(address[12:]))
	}
	m.PostPolicy = flags&bmpFlagPostPolicy != 0
	h.take(8)
	m.Time = time.Unix(int64(h.uint32()), int64(h.uint32())*1000)
}

// readInformation returns the first information TLV of a kind
// (RFC 7854 section 4.4).
func readInformation(b []byte, kind int) string {
	c := cursor{rest: b}
	for !c.empty() {
		k := c.uint16()
		value := c.take(c.uint16())
		if k == kind && !c.short {
			return string(value)
		}
	}
	return ""
}

// readPeerDown reads the body of a peer down message (RFC 7854 section 4.9).
func readPeerDown(b []byte) Down {
	if len(b) == 0 {
		return Down{Text: "unknown reason"}
	}
	d := Down{Cause: b[0]}
	notification := ""
	if b = b[1:]; len(b) >= headerLength+2 {
		d.Code, d.Subcode = b[headerLength], b[headerLength+1]
		notification = ": " + Notification(d.Code, d.Subcode)
	}
	switch d.Cause {
	case 1:
		d.Text = "we closed the session" + notification
	case 2:
		d.Text = "we closed the session without a notification"
	case 3:
		d.Text = "the peer closed the session" + notification
		if notification == "" {
			d.Text = "the session was lost, graceful restart runs"
		}
	case 4:
		d.Text = "the session was lost"
	case 5:
		d.Text = "the peer was removed from the configuration"
	default:
		d.Text = fmt.Sprintf("unknown reason %d", d.Cause)
	}
	return d
}

// Notification words the code and subcode of a NOTIFICATION
// (RFC 4271 section 4.5): "cease (6/2)".
func Notification(code, subcode uint8) string {
	names := map[uint8]string{
		1: "message header error", 2: "OPEN error", 3: "UPDATE error",
		4: "hold timer expired", 5: "state machine error", 6: "cease",
	}
	name, ok := names[code]
	if !ok {
		name = "error"
	}
	return fmt.Sprintf("%s (%d/%d)", name, code, subcode)
}

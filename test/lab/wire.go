package lab

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// protocolL2TP is the IP protocol number of L2TPv3 (RFC 3931 section 4.1.1).
const protocolL2TP = 115

// Tunnel says what the packets of one direction of a pseudowire look like.
type Tunnel struct {
	Source, Destination netip.Addr
	UDP                 bool
	Session             uint32
	Cookie              string // hexadecimal, 0, 8 or 16 digits
	Sublayer            bool   // a default L2-specific sublayer of four zero bytes
	// Super says that the capture may hold packets that a later device will cut
	// and checksum: then lengths over 65535 are 0 and UDP checksums are open.
	Super bool
}

// sameLength compares the length that a header says with the bytes there are.
func (t Tunnel) sameLength(said uint16, bytes int) bool {
	if t.Super && bytes > math.MaxUint16 {
		return said == 0
	}
	return int(said) == bytes
}

// errNotOurs says that a packet belongs to another conversation, errNotThisSession
// that it is L2TPv3 between the tunnel's addresses with another session id.
var (
	errNotOurs        = errors.New("not a packet of this tunnel")
	errNotThisSession = errors.New("another session")
)

// Wire is the tally of a check of captured packets.
type Wire struct {
	Packets  int         // of the tunnels
	Sessions map[Key]int // packets of each tunnel
	Bytes    int64       // of inner frames
	Largest  int         // bytes of the longest packet, with its Ethernet header
	Longest  map[Key]int // bytes of the longest packet of each tunnel
	Others   int         // packets of other conversations
}

// Key tells the tunnels of a capture apart: a session id belongs to the address
// that receives it.
type Key struct {
	Destination netip.Addr
	Session     uint32
}

// CheckWire reads a capture and returns an error for the first packet between the
// addresses of a tunnel that is not exactly as the RFCs say: RFC 791, 768, 8200
// and 3931 section 4.1. A session id that no tunnel has is such an error too.
func CheckWire(c *Capture, tunnels ...Tunnel) (Wire, error) {
	tally := Wire{Sessions: map[Key]int{}, Longest: map[Key]int{}}
	var bad error
	number := 0
	err := c.Each(func(packet []byte) {
		number++
		tunnel, inner, err := checkAny(packet, tunnels)
		switch {
		case errors.Is(err, errNotOurs):
			tally.Others++
		case err != nil && bad == nil:
			bad = fmt.Errorf("packet %d of %s: %w", number, c.Path, err)
		case err == nil:
			tally.Packets++
			key := Key{tunnel.Destination, tunnel.Session}
			tally.Sessions[key]++
			tally.Longest[key] = max(tally.Longest[key], len(packet))
			tally.Bytes += int64(len(inner))
			tally.Largest = max(tally.Largest, len(packet))
		}
	})
	return tally, errors.Join(bad, err)
}

// checkAny finds the tunnel of a packet. One that only has a session id of its
// own is nobody's.
func checkAny(packet []byte, tunnels []Tunnel) (Tunnel, []byte, error) {
	verdict := errNotOurs
	for _, t := range tunnels {
		inner, err := t.Inner(packet)
		if errors.Is(err, errNotThisSession) {
			verdict = err
			continue
		}
		if !errors.Is(err, errNotOurs) {
			return t, inner, err
		}
	}
	return Tunnel{}, nil, verdict
}

// Inner checks every header of a packet of the tunnel and returns the customer's
// frame in it. Packets between other addresses and of other protocols give
// an error that is errNotOurs.
func (t Tunnel) Inner(packet []byte) ([]byte, error) {
	var ethernet layers.Ethernet
	if err := ethernet.DecodeFromBytes(packet, gopacket.NilDecodeFeedback); err != nil {
		return nil, err
	}
	var body []byte
	var err error
	switch ethernet.EthernetType {
	case layers.EthernetTypeIPv4:
		body, err = t.checkIPv4(packet[14:])
	case layers.EthernetTypeIPv6:
		body, err = t.checkIPv6(packet[14:])
	default:
		return nil, errNotOurs
	}
	if err != nil {
		return nil, err
	}
	if t.UDP {
		if body, err = t.checkUDP(body); err != nil {
			return nil, err
		}
	}
	return t.checkSession(body)
}

// protocol returns the IP protocol that carries the tunnel.
func (t Tunnel) protocol() layers.IPProtocol {
	if t.UDP {
		return layers.IPProtocolUDP
	}
	return protocolL2TP
}

func (t Tunnel) checkIPv4(b []byte) ([]byte, error) {
	var ip layers.IPv4
	if err := ip.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return nil, fmt.Errorf("IPv4 header: %w", err)
	}
	if !t.between(ip.SrcIP, ip.DstIP) || ip.Protocol != t.protocol() {
		return nil, errNotOurs
	}
	switch {
	case !t.sameLength(binary.BigEndian.Uint16(b[2:]), len(b)):
		return nil, fmt.Errorf("IPv4 total length %d, %d bytes on the wire", binary.BigEndian.Uint16(b[2:]), len(b))
	case checksum(0, b[:int(ip.IHL)*4]) != 0:
		return nil, fmt.Errorf("IPv4 header checksum %#04x is wrong", ip.Checksum)
	case ip.TTL == 0:
		return nil, errors.New("IPv4 TTL 0")
	case ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0:
		return nil, errors.New("an IPv4 fragment")
	}
	return ip.Payload, nil
}

func (t Tunnel) checkIPv6(b []byte) ([]byte, error) {
	var ip layers.IPv6
	if err := ip.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return nil, fmt.Errorf("IPv6 header: %w", err)
	}
	if !t.between(ip.SrcIP, ip.DstIP) || ip.NextHeader != t.protocol() {
		return nil, errNotOurs
	}
	switch {
	case int(ip.Length) != len(b)-40:
		return nil, fmt.Errorf("IPv6 payload length %d, %d bytes on the wire", ip.Length, len(b)-40)
	case ip.HopLimit == 0:
		return nil, errors.New("IPv6 hop limit 0")
	}
	return ip.Payload, nil
}

func (t Tunnel) between(source, destination []byte) bool {
	from, _ := netip.AddrFromSlice(source)
	to, _ := netip.AddrFromSlice(destination)
	return from == t.Source && to == t.Destination
}

// checkUDP checks a datagram with its checksum (RFC 768, RFC 8200 section 8.1)
// and the L2TPv3 data header that follows it (RFC 3931 section 4.1.2.1).
func (t Tunnel) checkUDP(b []byte) ([]byte, error) {
	if len(b) < 12 {
		return nil, fmt.Errorf("a UDP datagram of %d bytes", len(b))
	}
	if length := binary.BigEndian.Uint16(b[4:]); !t.sameLength(length, len(b)) {
		return nil, fmt.Errorf("UDP length %d, %d bytes on the wire", length, len(b))
	}
	sum := binary.BigEndian.Uint16(b[6:])
	switch {
	case sum == 0 && t.Source.Is6():
		return nil, errors.New("UDP checksum 0 over IPv6")
	case sum != 0 && !t.Super && checksum(t.pseudoHeader(len(b)), b) != 0:
		return nil, fmt.Errorf("UDP checksum %#04x is wrong", sum)
	}
	if word := binary.BigEndian.Uint16(b[8:]); word != 3 {
		return nil, fmt.Errorf("L2TP flags and version %#04x, want 0x0003", word)
	}
	return b[12:], nil
}

// checkSession checks session id, cookie and sublayer and returns the frame.
func (t Tunnel) checkSession(b []byte) ([]byte, error) {
	cookie, err := hex.DecodeString(t.Cookie)
	if err != nil {
		return nil, err
	}
	header := 4 + len(cookie)
	if t.Sublayer {
		header += 4
	}
	switch {
	case len(b) < 4:
		return nil, fmt.Errorf("%d bytes hold no session id", len(b))
	case binary.BigEndian.Uint32(b) != t.Session:
		return nil, fmt.Errorf("%w: %d, want %d", errNotThisSession, binary.BigEndian.Uint32(b), t.Session)
	case len(b) < header+14:
		return nil, fmt.Errorf("%d bytes of L2TPv3 hold no frame", len(b))
	case hex.EncodeToString(b[4:4+len(cookie)]) != t.Cookie:
		return nil, fmt.Errorf("cookie %x, want %s", b[4:4+len(cookie)], t.Cookie)
	case t.Sublayer && binary.BigEndian.Uint32(b[header-4:]) != 0:
		return nil, fmt.Errorf("sublayer %x, want zeros", b[header-4:header])
	}
	return b[header:], nil
}

// pseudoHeader sums what a UDP checksum covers besides the datagram.
func (t Tunnel) pseudoHeader(length int) uint32 {
	sum := uint32(length) + uint32(layers.IPProtocolUDP)
	for _, addr := range []netip.Addr{t.Source, t.Destination} {
		raw := addr.AsSlice()
		for i := 0; i < len(raw); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(raw[i:]))
		}
	}
	return sum
}

// checksum completes the Internet checksum (RFC 1071) of b from a partial sum.
// It is 0 for bytes that hold their own right checksum.
func checksum(sum uint32, b []byte) uint16 {
	total := uint64(sum)
	for len(b) >= 2 {
		total += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		total += uint64(b[0]) << 8
	}
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	return ^uint16(total)
}

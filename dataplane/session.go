package dataplane

import "net/netip"

// Receive is what one local session id accepts and where it delivers. A packet
// must agree with all of it; anything else is dropped and counted.
type Receive struct {
	Session    SessionID // ours, the key of decapsulation
	Pseudowire string
	Circuit    int        // ifindex that decapsulated frames leave by
	Local      netip.Addr // outer destination
	// Remote is the outer source. The zero Addr means that the far end is not
	// known yet: the session then refuses every packet.
	Remote     netip.Addr
	AcceptIP   bool
	AcceptUDP  bool
	LocalPort  uint16 // UDP destination port
	RemotePort uint16 // UDP source port; 0 accepts any
	Cookie     Cookie // the cookie that we chose and advertised
	// Previous is accepted besides Cookie while AcceptPrevious is set, so that a
	// cookie can be changed without a loss (RFC 8159 section 5). Both have the
	// same length.
	Previous       Cookie
	AcceptPrevious bool
	Sublayer       Sublayer
	// Sequencing drops duplicates and late frames by the sublayer's sequence
	// number; frames without the S bit pass (RFC 3931 section 4.6.1).
	Sequencing bool
	// ZeroChecksum accepts UDP over IPv6 without a checksum (RFC 6935).
	ZeroChecksum bool
	Tags         Delivery
	// ClampMTU bounds the MSS of TCP connections that begin with a frame
	// delivered here, by the largest IP packet of the circuit in bytes; 0 = no.
	ClampMTU uint16
}

// Transmit is how the frames of one attachment circuit leave. With Session 0
// the circuit is closed: it belongs to its pseudowire, and without a far end
// its frames are dropped.
type Transmit struct {
	Circuit       Circuit // the key of encapsulation
	Pseudowire    string
	Session       SessionID // the far end's; 0 = closed
	Local         netip.Addr
	Remote        netip.Addr
	Encapsulation Encapsulation
	LocalPort     uint16 // UDP source port
	RemotePort    uint16 // UDP destination port
	// Entropy draws the source port from the frame's flow, 49152 to 65535
	// (RFC 6335); LocalPort is not used then.
	Entropy bool
	// ZeroChecksum sends UDP over IPv6 without a checksum (RFC 6935).
	ZeroChecksum bool
	Cookie       Cookie // the cookie that the far end chose
	Sublayer     Sublayer
	Sequencing   bool // number the frames in the sublayer
	TTL          uint8
	DSCP         uint8 // of the outer header, 0 to 63
	CopyDSCP     bool  // take it from the inner IP header instead
	// CopyECN copies the inner ECN field to the outer header (normal mode of
	// RFC 6040); without it the outer field is Not-ECT (compatibility mode).
	CopyECN      bool
	DontFragment bool // outer IPv4 DF; without it the identification varies (RFC 6864)
	TooBig       TooBig
	// ClampMTU bounds the MSS of TCP connections that begin with a frame of this
	// circuit, by the largest IP packet in bytes; 0 = no.
	ClampMTU uint16
	Tags     Imposition
	DropL2CP L2CP
	// Shared is set on a whole port when circuits of single VLANs are on it as
	// well; they are tried first.
	Shared bool
	// ToHost leaves what no circuit of the port takes to the host, instead of
	// dropping it. It is for a Shared entry without pseudowire.
	ToHost bool
}

// Closed returns the entry that keeps the circuit and sends nothing.
func (t Transmit) Closed() Transmit {
	return Transmit{Circuit: t.Circuit, Pseudowire: t.Pseudowire, DropL2CP: t.DropL2CP, Shared: t.Shared, ToHost: t.ToHost}
}

// TooBig says what happens to a frame that does not fit the underlay's MTU.
type TooBig uint8

// The choices for a frame that is too big.
const (
	TooBigFragment TooBig = iota // the outer packet is fragmented (RFC 3931 section 4.1.4)
	TooBigDrop                   // dropped and counted
	TooBigAnswer                 // dropped, and the sender of an IP packet is told (RFC 1191, RFC 8201)
)

// String returns "fragment", "drop" or "answer".
func (t TooBig) String() string {
	switch t {
	case TooBigDrop:
		return "drop"
	case TooBigAnswer:
		return "answer"
	default:
		return "fragment"
	}
}

// State is everything that the data plane forwards, desired or actual.
type State struct {
	Receive  map[SessionID]Receive
	Transmit map[Circuit]Transmit
}

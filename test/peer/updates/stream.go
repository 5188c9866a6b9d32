package updates

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// port is BGP's.
const port = 179

// flow is one direction of a TCP connection.
type flow struct {
	from, to         netip.Addr
	fromPort, toPort layers.TCPPort
}

// segment is a piece of a flow.
type segment struct {
	number  uint32
	payload []byte
}

// streams puts together what one address sent to another over BGP connections
// that are wholly in the capture, in the order in which they began.
func streams(packets [][]byte, from, to netip.Addr) ([][]byte, error) {
	segments, begin := map[flow][]segment{}, map[flow]uint32{}
	var order []flow
	for _, packet := range packets {
		decoded := gopacket.NewPacket(packet, layers.LayerTypeEthernet, gopacket.NoCopy)
		tcp, ok := decoded.TransportLayer().(*layers.TCP)
		if !ok || tcp.SrcPort != port && tcp.DstPort != port {
			continue
		}
		f := flow{fromPort: tcp.SrcPort, toPort: tcp.DstPort}
		f.from, f.to = addresses(decoded)
		if f.from != from || f.to != to {
			continue
		}
		if tcp.SYN {
			first, again := begin[f]
			if again && first != tcp.Seq+1 {
				return nil, fmt.Errorf("two connections from %v port %d to %v port %d", from, f.fromPort, to, f.toPort)
			}
			if !again {
				order = append(order, f)
			}
			begin[f] = tcp.Seq + 1
			continue
		}
		if len(tcp.Payload) > 0 {
			segments[f] = append(segments[f], segment{tcp.Seq, tcp.Payload})
		}
	}
	var whole [][]byte
	for _, f := range order {
		stream, err := join(segments[f], begin[f])
		if err != nil {
			return nil, fmt.Errorf("from %v port %d to %v port %d: %w", f.from, f.fromPort, f.to, f.toPort, err)
		}
		whole = append(whole, stream)
	}
	return whole, nil
}

func addresses(packet gopacket.Packet) (from, to netip.Addr) {
	switch ip := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		from, _ = netip.AddrFromSlice(ip.SrcIP)
		to, _ = netip.AddrFromSlice(ip.DstIP)
	case *layers.IPv6:
		from, _ = netip.AddrFromSlice(ip.SrcIP)
		to, _ = netip.AddrFromSlice(ip.DstIP)
	}
	return from.Unmap(), to.Unmap()
}

// join puts segments in order, without what was sent twice. begin is the number
// of the first byte.
func join(segments []segment, begin uint32) ([]byte, error) {
	// Numbers wrap around, distances from the beginning do not.
	slices.SortStableFunc(segments, func(a, b segment) int { return cmp.Compare(a.number-begin, b.number-begin) })
	var stream []byte
	for _, s := range segments {
		at := int(s.number - begin)
		if at > len(stream) {
			return nil, fmt.Errorf("%d bytes are missing at %d", at-len(stream), len(stream))
		}
		if end := at + len(s.payload); end > len(stream) {
			stream = append(stream, s.payload[len(stream)-at:]...)
		}
	}
	return stream, nil
}

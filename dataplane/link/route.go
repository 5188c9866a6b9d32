package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"longwire/dataplane"
)

// errNoWay says that the kernel has a route that packets cannot take as plain
// Ethernet frames to one neighbour: a local one, a black hole, a tunnel.
var errNoWay = errors.New("the route leads to no neighbour")

// way is where the kernel sends the packets of a flow.
type way struct {
	hop neighbourKey
	mtu int // the route's own in bytes of IP; 0 = the link's
}

// findWay asks the kernel for the route of a flow. Of several next hops it gets
// the one that the kernel picks for this pair of addresses.
func findWay(s *socket, f dataplane.Flow) (way, error) {
	remote := f.Remote.Unmap()
	body := make([]byte, unix.SizeofRtMsg)
	body[0], body[1], body[2] = family(remote), byte(remote.BitLen()), byte(remote.BitLen())
	body = appendAttribute(body, unix.RTA_DST, remote.AsSlice())
	body = appendAttribute(body, unix.RTA_SRC, f.Local.Unmap().AsSlice())
	var found way
	err := s.request(unix.RTM_GETROUTE, 0, body, func(m message) error {
		var err error
		found, err = parseWay(m, remote)
		return err
	})
	if err != nil {
		return way{}, fmt.Errorf("route from %v to %v: %w", f.Local, f.Remote, err)
	}
	return found, nil
}

func family(addr netip.Addr) byte {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// parseWay reads the RTM_NEWROUTE that answers for one destination.
//
//	| family | dst len | src len | tos | table | protocol | scope | type | flags (4) | attributes |
func parseWay(m message, remote netip.Addr) (way, error) {
	if m.kind != unix.RTM_NEWROUTE || len(m.body) < unix.SizeofRtMsg {
		return way{}, errTruncated
	}
	if m.body[7] != unix.RTN_UNICAST {
		return way{}, errNoWay
	}
	// Without a gateway the destination itself is the neighbour.
	w := way{hop: neighbourKey{addr: remote}}
	for kind, value := range attributes(m.body[unix.SizeofRtMsg:]) {
		switch kind {
		case unix.RTA_OIF:
			w.hop.device = number(value)
		case unix.RTA_GATEWAY:
			w.hop.addr, _ = netip.AddrFromSlice(value)
		case unix.RTA_VIA:
			// An IPv6 gateway of an IPv4 route (RFC 5549, now RFC 8950):
			// | family (2) | address |
			w.hop.addr, _ = netip.AddrFromSlice(value[min(2, len(value)):])
		case unix.RTA_METRICS:
			for metric, value := range attributes(value) {
				if metric == unix.RTAX_MTU {
					w.mtu = number(value)
				}
			}
		case unix.RTA_ENCAP_TYPE:
			return way{}, errNoWay
		}
	}
	if w.hop.device == 0 || !w.hop.addr.IsValid() {
		return way{}, errNoWay
	}
	return w, nil
}

// parsePrefix reads which destinations an RTM_NEWROUTE or RTM_DELROUTE is for.
func parsePrefix(m message) (netip.Prefix, bool) {
	if len(m.body) < unix.SizeofRtMsg {
		return netip.Prefix{}, false
	}
	var dst netip.Addr
	switch m.body[0] {
	case unix.AF_INET:
		dst = netip.IPv4Unspecified()
	case unix.AF_INET6:
		dst = netip.IPv6Unspecified()
	default:
		return netip.Prefix{}, false
	}
	for kind, value := range attributes(m.body[unix.SizeofRtMsg:]) {
		if addr, ok := netip.AddrFromSlice(value); ok && kind == unix.RTA_DST {
			dst = addr
		}
	}
	prefix := netip.PrefixFrom(dst, int(m.body[1]))
	return prefix, prefix.IsValid()
}

// neighbourKey names one neighbour.
type neighbourKey struct {
	device int // ifindex
	addr   netip.Addr
}

// reach is what the kernel knows of a neighbour.
type reach struct {
	state uint16 // NUD_…; 0 = it knows nothing
	mac   [6]byte
}

// usable says whether the kernel itself would send to the MAC address.
func (r reach) usable() bool {
	const valid = unix.NUD_REACHABLE | unix.NUD_PERMANENT | unix.NUD_NOARP |
		unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
	return r.state&valid != 0 && r.mac != [6]byte{}
}

// idle says that the kernel waits for someone to use the neighbour before it
// asks for its MAC address or asks whether it still has it.
func (r reach) idle() bool {
	return r.state == unix.NUD_NONE || r.state&(unix.NUD_STALE|unix.NUD_FAILED) != 0
}

// parseNeighbour reads an RTM_NEWNEIGH or RTM_DELNEIGH of IP.
//
//	| family (1) | pad (3) | index (4) | state (2) | flags (1) | type (1) | attributes |
func parseNeighbour(m message) (neighbourKey, reach, bool) {
	if len(m.body) < unix.SizeofNdMsg || m.body[0] != unix.AF_INET && m.body[0] != unix.AF_INET6 {
		return neighbourKey{}, reach{}, false
	}
	// An entry of the proxy table says nothing of the neighbour.
	if m.body[10]&unix.NTF_PROXY != 0 {
		return neighbourKey{}, reach{}, false
	}
	key := neighbourKey{device: int(binary.NativeEndian.Uint32(m.body[4:]))}
	r := reach{state: binary.NativeEndian.Uint16(m.body[8:])}
	if m.kind == unix.RTM_DELNEIGH {
		r.state = unix.NUD_NONE
	}
	for kind, value := range attributes(m.body[unix.SizeofNdMsg:]) {
		switch kind {
		case unix.NDA_DST:
			key.addr, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			if len(value) == len(r.mac) {
				r.mac = [6]byte(value)
			}
		}
	}
	return key, r, key.addr.IsValid()
}

// findNeighbour reads one entry of the neighbour table; it is zero when there
// is none.
func findNeighbour(s *socket, key neighbourKey) (reach, error) {
	var found reach
	err := s.request(unix.RTM_GETNEIGH, 0, neighbourBody(key, 0), func(m message) error {
		_, found, _ = parseNeighbour(m)
		return nil
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return reach{}, fmt.Errorf("neighbour %v: %w", key.addr, err)
	}
	return found, nil
}

// useNeighbour makes the kernel ask for an idle neighbour's MAC address, as a
// packet to it would.
func useNeighbour(s *socket, key neighbourKey, known reach) error {
	// NTF_USE ends the permanence of a permanent entry. Hence an entry is made
	// only if there is none, lest it be one that an operator made just now.
	flags := uint16(unix.NLM_F_ACK)
	if known.state == unix.NUD_NONE {
		flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	err := s.request(unix.RTM_NEWNEIGH, flags, neighbourBody(key, unix.NTF_USE), nil)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("use neighbour %v: %w", key.addr, err)
	}
	return nil
}

func neighbourBody(key neighbourKey, flags byte) []byte {
	body := make([]byte, unix.SizeofNdMsg)
	body[0], body[10] = family(key.addr), flags
	binary.NativeEndian.PutUint32(body[4:], uint32(key.device))
	return appendAttribute(body, unix.NDA_DST, key.addr.AsSlice())
}

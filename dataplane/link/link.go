// Package link follows what the kernel knows of the network: the links and
// their addresses, and for each far end the way there, which it keeps leased to
// the forwarding.
package link

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is one network interface.
type Link struct {
	Index   int
	Name    string
	MTU     int     // bytes of Ethernet payload
	MAC     [6]byte // zero unless Ethernet
	AdminUp bool
	Carrier bool
	// Ethernet says that frames on the link have an Ethernet header.
	Ethernet bool
	// Master is the ifindex of the bridge or bond that the link is a port of, and
	// Parent that of the link below it, or of a veth's other end, in this network
	// namespace; 0 = none.
	Master, Parent int
	// Addresses are sorted. An IPv6 address is listed once duplicate address
	// detection has found it usable (RFC 4862 section 5.4).
	Addresses []netip.Addr
}

// Up says whether frames can pass.
func (l Link) Up() bool { return l.AdminUp && l.Carrier }

func (l Link) equal(other Link) bool {
	return l.Index == other.Index && l.Name == other.Name && l.MTU == other.MTU && l.MAC == other.MAC &&
		l.AdminUp == other.AdminUp && l.Carrier == other.Carrier && l.Ethernet == other.Ethernet &&
		l.Master == other.Master && l.Parent == other.Parent &&
		slices.Equal(l.Addresses, other.Addresses)
}

// SetPromiscuous makes an interface of the calling thread's network namespace
// take every frame, or only those for its own MAC address. It fails with ENODEV
// when there is no such interface, and with EPERM without CAP_NET_ADMIN.
func SetPromiscuous(ifindex int, on bool) error {
	target := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	set, word := netlink.SetPromiscOff, "end"
	if on {
		set, word = netlink.SetPromiscOn, "begin"
	}
	if err := set(target); err != nil {
		return fmt.Errorf("%s promiscuous mode on interface %d: %w", word, ifindex, err)
	}
	return nil
}

// Promiscuous tells whether somebody has set an interface of the calling thread's
// network namespace promiscuous, as SetPromiscuous does; a capture or a bridge
// on it does not count. It fails when there is no such interface.
func Promiscuous(ifindex int) (bool, error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return false, fmt.Errorf("read the mode of interface %d: %w", ifindex, err)
	}
	return l.Attrs().RawFlags&unix.IFF_PROMISC != 0, nil
}

// listLinks reads every link, by index, without addresses.
func listLinks(s *socket) (map[int]Link, error) {
	var links map[int]Link
	// Statistics are most of an answer and nobody here reads them.
	body := make([]byte, unix.SizeofIfInfomsg)
	body = appendAttribute(body, unix.IFLA_EXT_MASK, binary.NativeEndian.AppendUint32(nil, rtextFilterSkipStats))
	err := s.list(unix.RTM_GETLINK, body, func() { links = map[int]Link{} }, func(m message) error {
		if l, ok := parseLink(m); ok {
			links[l.Index] = l
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the links: %w", err)
	}
	return links, nil
}

// rtextFilterSkipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
const rtextFilterSkipStats = 1 << 3

// parseLink reads an RTM_NEWLINK or RTM_DELLINK. Messages about a link's place
// in a bridge or in the air describe no link and give false.
//
//	| family (1) | pad (1) | type (2) | index (4) | flags (4) | change (4) | attributes |
func parseLink(m message) (Link, bool) {
	if len(m.body) < unix.SizeofIfInfomsg || m.body[0] != unix.AF_UNSPEC {
		return Link{}, false
	}
	flags := binary.NativeEndian.Uint32(m.body[8:])
	l := Link{
		Index:    int(binary.NativeEndian.Uint32(m.body[4:])),
		AdminUp:  flags&unix.IFF_UP != 0,
		Carrier:  flags&unix.IFF_LOWER_UP != 0,
		Ethernet: binary.NativeEndian.Uint16(m.body[2:]) == unix.ARPHRD_ETHER,
	}
	elsewhere := false // the parent is of another network namespace
	for kind, value := range attributes(m.body[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = string(bytes.TrimRight(value, "\x00"))
		case unix.IFLA_MTU:
			l.MTU = number(value)
		case unix.IFLA_MASTER:
			l.Master = number(value)
		case unix.IFLA_LINK:
			l.Parent = number(value)
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_ADDRESS:
			if l.Ethernet && len(value) == len(l.MAC) {
				l.MAC = [6]byte(value)
			}
		}
	}
	if elsewhere || l.Parent == l.Index {
		l.Parent = 0
	}
	return l, l.Name != "" && l.MTU != 0
}

// listAddresses reads the usable addresses of every link, by index, sorted.
func listAddresses(s *socket) (map[int][]netip.Addr, error) {
	var addresses map[int][]netip.Addr
	err := s.list(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func() { addresses = map[int][]netip.Addr{} }, func(m message) error {
		if index, addr, ok := parseAddress(m); ok {
			addresses[index] = append(addresses[index], addr)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the addresses: %w", err)
	}
	for index, list := range addresses {
		slices.SortFunc(list, netip.Addr.Compare)
		addresses[index] = slices.Compact(list)
	}
	return addresses, nil
}

// parseAddress reads an RTM_NEWADDR or RTM_DELADDR; ok is false for an address
// that cannot be used (yet).
//
//	| family (1) | prefix length (1) | flags (1) | scope (1) | index (4) | attributes |
func parseAddress(m message) (index int, addr netip.Addr, ok bool) {
	if len(m.body) < unix.SizeofIfAddrmsg {
		return 0, netip.Addr{}, false
	}
	index = int(binary.NativeEndian.Uint32(m.body[4:]))
	flags := uint32(m.body[2])
	var local, address netip.Addr
	for kind, value := range attributes(m.body[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS:
			flags = uint32(number(value))
		}
	}
	// On a point-to-point link IFA_ADDRESS is the far end's.
	if local.IsValid() {
		address = local
	}
	pending := flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	return index, address, address.IsValid() && !pending && flags&unix.IFA_F_DADFAILED == 0
}

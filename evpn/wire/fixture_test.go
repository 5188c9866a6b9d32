package wire_test

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/google/go-cmp/cmp/cmpopts"

	"longwire/evpn"
)

var compareAddresses = cmpopts.EquateComparable(netip.Addr{})

var (
	peer = netip.MustParseAddr("192.0.2.254")
	pe1  = netip.MustParseAddr("192.0.2.1")
)

// The attributes of one good route; the tunnel is the worked example of
// PROTOCOL section 3.
const (
	origin      = "40 01 01 00"
	asPath      = "40 02 00"
	localPref   = "40 05 04 00000064"
	nlri101     = "01 19 0001c00002010001 00000000000000000000 00000065 000030"
	reach101    = "80 0e 24 0019 46 04 c0000201 00 " + nlri101
	communities = "c0 10 10 0002fde800000001 0604 0000 05dc 0000"
	tunnel1001  = "c0 17 28 0001 0024 01 0c 000003e9 deadbeefcafef00d 06 0a 00000000 0001 c0000201 04 08 030b 0000 00000064"
)

// bytes reads hexadecimal digits with spaces in between.
func bytes(parts ...string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(strings.Join(parts, "")))
	if err != nil {
		panic(err)
	}
	return b
}

// update wraps path attributes into an UPDATE message.
func update(attributes ...string) []byte {
	block := bytes(attributes...)
	message := []byte(strings.Repeat("\xff", 16))
	message = binary.BigEndian.AppendUint16(message, uint16(23+len(block)))
	message = append(message, 2, 0, 0)
	message = binary.BigEndian.AppendUint16(message, uint16(len(block)))
	return append(message, block...)
}

// tunnelAttribute wraps TLVs into attribute 23.
func tunnelAttribute(tlvs ...string) string {
	b := bytes(tlvs...)
	return hex.EncodeToString(append([]byte{0xd0, 23, byte(len(b) >> 8), byte(len(b))}, b...))
}

// tlv wraps sub-TLVs into a TLV of a tunnel type.
func tlv(kind byte, subTLVs ...string) string {
	b := bytes(subTLVs...)
	return hex.EncodeToString(append([]byte{0, kind, byte(len(b) >> 8), byte(len(b))}, b...))
}

// route101 is what the attributes above mean.
func route101() evpn.Endpoint {
	return evpn.Endpoint{
		Key:          evpn.Key{Peer: peer, RD: evpn.NewRD1(pe1, 1), Tag: 101},
		RouteTargets: []evpn.RouteTarget{{0, 2, 0xfd, 0xe8, 0, 0, 0, 1}},
		NextHop:      pe1,
		Label:        0x30,
		Tunnels: []evpn.Tunnel{{
			Session:  1001,
			Cookie:   "\xde\xad\xbe\xef\xca\xfe\xf0\x0d",
			Endpoint: pe1,
		}},
		L2:    evpn.L2Attributes{MTU: 1500},
		HasL2: true,
	}
}

// advertisement101 announces route101.
func advertisement101() evpn.Advertisement {
	return evpn.Advertisement{
		RD:           evpn.NewRD1(pe1, 1),
		Service:      101,
		RouteTargets: []evpn.RouteTarget{{0, 2, 0xfd, 0xe8, 0, 0, 0, 1}},
		NextHop:      pe1,
		Session:      1001,
		Cookie:       "\xde\xad\xbe\xef\xca\xfe\xf0\x0d",
		Endpoint:     pe1,
		L2:           evpn.L2Attributes{MTU: 1500},
	}
}

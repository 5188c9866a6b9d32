package interop

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"longwire/test/lab"
)

// routeFields are what tshark is asked of our UPDATEs. Of each but the last two a
// route has one value; of the types of its sub-TLVs and of the values of those
// that tshark does not know more it has several.
var routeFields = []string{
	"bgp.evpn.nlri.rt", "bgp.evpn.nlri.rd", "bgp.evpn.nlri.esi", "bgp.evpn.nlri.etag", "bgp.evpn.nlri.mpls_ls1",
	"bgp.update.path_attribute.mp_reach_nlri.next_hop",
	"bgp.update.encaps_tunnel_tlv_type", "bgp.update.encaps_tunnel_tlv_len",
	"bgp.update.encaps_tunnel_tlv_subtlv_session_id", "bgp.update.encaps_tunnel_tlv_subtlv_cookie",
	"bgp.ext_com_evpn.l2attr.l2_mtu", "bgp.ext_com_evpn.l2attr.flags",
	"bgp.update.encaps_tunnel_subtlv_type", "bgp.update.encaps_tunnel_tlv_subtlv.value",
}

// tsharkRoutes returns the routes of a capture as tshark reads them, each in a
// line of words.
func (s *scene) tsharkRoutes(t *testing.T, capture *lab.Capture) []string {
	t.Helper()
	rows, err := lab.Tshark(t.Context(), capture.Path, "bgp.evpn.nlri.rt && ip.src == "+lab.PE1Source4.String(), nil, append(routeFields, "_ws.malformed")...)
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, row := range rows {
		last := len(row) - 1
		if row[last] != "" {
			t.Errorf("tshark finds an UPDATE malformed: %v", row)
		}
		routes = append(routes, eachRoute(row[:last])...)
	}
	return routes
}

// eachRoute takes apart a packet with several UPDATEs of one route each.
func eachRoute(row []string) []string {
	simple := len(row) - 2
	types := splitAt(row[simple], func(v string) bool { return v == "1" })
	values := splitAt(row[simple+1], func(v string) bool { return strings.HasPrefix(v, "00000000") })
	var routes []string
	for i := range strings.Split(row[0], ",") {
		var words []string
		for _, cell := range row[:simple] {
			words = append(words, at(strings.Split(cell, ","), i))
		}
		routes = append(routes, strings.Join(append(words, at(types, i), at(values, i)), " "))
	}
	return routes
}

// splitAt splits values that are joined by commas into groups, each of which
// begins where first says so.
func splitAt(cell string, first func(string) bool) []string {
	var groups []string
	for _, v := range strings.Split(cell, ",") {
		if first(v) || len(groups) == 0 {
			groups = append(groups, v)
			continue
		}
		groups[len(groups)-1] += "+" + v
	}
	return groups
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "-"
}

// wantTshark is the line that a layout's route must be.
func (s *scene) wantTshark(i int) string {
	l, ours := s.layouts[i], s.accepted[fmt.Sprintf("pw%d", i)]
	attribute, subTypes := s.own(i)
	cookie, flags := ours.Cookie, "0x0000"
	if cookie == "" {
		cookie = "<MISSING>" // tshark's word for a cookie of no bytes
	}
	if l.sublayer {
		flags = "0x0004"
	}
	values := egress(l.tunnel(i).Source.String())[4:]
	if l.udp {
		values += "+06a5"
	}
	return strings.Join([]string{
		"1", "0001c00002010001", "00:00:00:00:00:00:00:00:00:00", strconv.Itoa(1000 + i), "3", nextHopBytes(l.tunnel(i).Source),
		"1", strconv.Itoa(len(attribute)/2 - 4), strconv.Itoa(int(ours.Session)), cookie, "1500", flags, strings.Join(subTypes, "+"), values,
	}, " ")
}

// nextHopBytes is a next hop as tshark prints it, behind its length.
func nextHopBytes(a netip.Addr) string { return fmt.Sprintf("%02x%x", a.BitLen()/8, a.AsSlice()) }

// packetFields are what tshark is asked of our packets. An outer and an inner
// Ethernet header give two values each.
var packetFields = []string{
	"eth.src", "l2tp.sid", "eth.dst", "ip.checksum.status", "udp.checksum.status", "l2tp.type", "l2tp.version",
	"l2tp.cookie", "l2tp.l2_spec_s", "l2tp.l2_spec_sequence", "vlan.id", "data.data", "_ws.malformed",
}

// reading is how tshark must be told to read packets.
type reading struct {
	cookie   int
	sublayer bool
}

// tsharkReads returns what tshark reads in a capture, for each way of reading, by
// session id.
func (s *scene) tsharkReads(t *testing.T, capture *lab.Capture) map[reading]map[string][][]string {
	t.Helper()
	read := map[reading]map[string][][]string{}
	for _, l := range s.layouts {
		how := reading{l.cookie, l.sublayer}
		if read[how] != nil {
			continue
		}
		rows, err := lab.Tshark(t.Context(), capture.Path, "l2tp", lab.L2TPOptions(how.cookie, how.sublayer), packetFields...)
		if err != nil {
			t.Fatal(err)
		}
		read[how] = map[string][][]string{}
		for _, row := range rows {
			id := row[fieldAt("l2tp.sid")]
			read[how][id] = append(read[how][id], row)
		}
	}
	return read
}

// checkPackets compares the packets of a layout, in their order, with what was
// sent.
func (s *scene) checkPackets(t *testing.T, read map[reading]map[string][][]string, i int) {
	t.Helper()
	l := s.layouts[i]
	rows := read[reading{l.cookie, l.sublayer}][fmt.Sprintf("0x%08x", l.tunnel(i).Session)]
	number := 0
	for _, row := range rows {
		if !strings.Contains(row[0], hexOf(source(i, number))) {
			continue // the customer's host has something to say of its own
		}
		for field, word := range l.packet(i, number) {
			if got := inner(row[fieldAt(field)]); got != word {
				t.Errorf("%v, packet %d: tshark reads %s %q, want %q", l, number, field, got, word)
			}
		}
		if number++; number == len(shapes) {
			break
		}
	}
	if number != len(shapes) {
		t.Errorf("%v: tshark reads %d of %d packets", l, number, len(shapes))
	}
	if l.sequencing {
		numbersCount(t, l, rows)
	}
}

func fieldAt(name string) int {
	for i, field := range packetFields {
		if field == name {
			return i
		}
	}
	return -1
}

// inner is the last value of a field, which is the customer's where the outer
// packet has one as well.
func inner(cell string) string { return cell[strings.LastIndex(cell, ",")+1:] }

// packet is what the fields of a packet must be.
func (l layout) packet(i, shape int) map[string]string {
	const good, absent = "1", "3"
	f := shapes[shape]
	fields := map[string]string{
		"eth.src": hexOf(source(i, shape)), "eth.dst": hexOf(f.Destination), "l2tp.cookie": l.tunnel(i).Cookie, "vlan.id": "",
		"ip.checksum.status": good, "udp.checksum.status": "", "l2tp.l2_spec_s": "", "_ws.malformed": "",
		"data.data": hex.EncodeToString(f.Payload),
	}
	if len(f.Tags) > 0 {
		fields["vlan.id"] = "100"
	}
	if l.v6 {
		fields["ip.checksum.status"] = ""
	}
	switch {
	case l.udp && l.v6:
		fields["udp.checksum.status"] = good
	case l.udp:
		fields["udp.checksum.status"] = absent // zero, as RFC 768 allows
	}
	if l.udp {
		fields["l2tp.type"], fields["l2tp.version"] = "0", "3"
	}
	if l.sublayer {
		fields["l2tp.l2_spec_s"] = "0"
	}
	if l.sequencing {
		fields["l2tp.l2_spec_s"] = "1"
	}
	return fields
}

// numbersCount checks that the packets of a sequenced session are numbered from 0
// without a gap.
func numbersCount(t *testing.T, l layout, rows [][]string) {
	t.Helper()
	for n, row := range rows {
		if got := row[fieldAt("l2tp.l2_spec_sequence")]; got != strconv.Itoa(n) {
			t.Errorf("%v: packet %d has the number %q", l, n, got)
		}
	}
}

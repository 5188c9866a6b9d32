package dataplane

// Drop names why a packet was not forwarded; the names are those of the
// metrics and the manual. bpf/consts.h has the numbers.
type Drop string

// The reasons to drop, or where the name says so to pass on, a packet.
const (
	DropUnspecified        Drop = "unspecified"
	DropNoSession          Drop = "no_session"          // encap: the circuit has no far end now
	DropTooBig             Drop = "too_big"             // encap: exceeds the underlay's MTU
	DropTooManyTags        Drop = "too_many_tags"       // encap: more than three VLAN tags
	DropNoRoute            Drop = "no_route"            // encap: no route to the far end
	DropNoHelper           Drop = "no_helper"           // encap: the helper interfaces are gone
	DropNoMemory           Drop = "no_memory"           // the kernel could not resize the packet
	DropL2CP               Drop = "l2cp"                // encap: a layer-2 control protocol that is not tunnelled
	DropLoop               Drop = "loop"                // encap: the way to the far end leads into a circuit
	DropUnknownSession     Drop = "unknown_session"     // decap: passed on to the stack
	DropNoRemote           Drop = "no_remote"           // decap: the far end is not known yet
	DropWrongSource        Drop = "wrong_source"        // decap: outer source or port
	DropWrongEncapsulation Drop = "wrong_encapsulation" // decap: UDP for IP, or IP for UDP
	DropWrongCookie        Drop = "wrong_cookie"        // decap
	DropVCCV               Drop = "vccv"                // decap: control channel (RFC 5085)
	DropMalformed          Drop = "malformed"           // decap: lengths that lie
	DropBadChecksum        Drop = "bad_checksum"        // decap: outer IPv4 or UDP
	DropFragment           Drop = "fragment"            // decap: left to the stack, delivered by the slow path
	DropIPOptions          Drop = "ip_options"          // decap: left to the stack, delivered by the slow path
	DropControl            Drop = "control_message"     // decap: T=1 or session id 0, passed on to the stack
	DropWrongVersion       Drop = "wrong_version"       // decap: not L2TPv3, passed on to the stack
	DropDuplicate          Drop = "duplicate"           // decap: sequence number of the frame before
	DropLate               Drop = "late"                // decap: sequence number already passed
	DropCongestion         Drop = "congestion"          // decap: outer CE, inner frame not capable of ECN (RFC 6040)
)

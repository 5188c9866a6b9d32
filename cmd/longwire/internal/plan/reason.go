package plan

import "longwire/evpn"

// Reason says why a pseudowire is not up. The words are those of the CLI, the
// API, the metrics and the manual.
type Reason string

// The reasons that no route gives. Those of routes are evpn.Reason.
const (
	ReasonNone            Reason = ""
	ReasonInterfaceAbsent Reason = "interface_absent"
	ReasonInterfaceDown   Reason = "interface_down"
	ReasonNotEthernet     Reason = "not_ethernet"
	ReasonNoRemote        Reason = "no_remote"
	ReasonPeerLost        Reason = "peer_lost"
	ReasonRestarting      Reason = "restarting"
	ReasonCapacity        Reason = "capacity"
	ReasonPermission      Reason = "permission"
	ReasonProgramFailed   Reason = "program_failed"
	ReasonConflict        Reason = "conflict"
	ReasonLoop            Reason = "loop"
)

// Meaning is the entry of a reason in the manual.
type Meaning struct {
	Reason Reason
	State  State // in which it appears
	Text   string
}

// Meanings returns every reason with its meaning and what to do.
func Meanings() []Meaning {
	return []Meaning{
		{ReasonInterfaceAbsent, StateDown, "the interface does not exist; it is used as soon as it appears"},
		{ReasonInterfaceDown, StateDown, "the interface is down or has no carrier; our route is withdrawn"},
		{ReasonNotEthernet, StateBlocked, "the interface carries no Ethernet frames, for example a tun or a loopback"},
		{ReasonNoRemote, StateDown, "no far end announces the remote service; look there, and at show neighbors"},
		{ReasonPeerLost, StateStale, "the BGP session that brought the route is lost; forwarding goes on for bgp.stale_time"},
		{ReasonRestarting, StateStale, "kept from before the agent's restart until the route comes again"},
		{ReasonCapacity, StateBlocked, "the session maps are full; raise dataplane.capacity"},
		{ReasonPermission, StateBlocked, "the kernel refused it; the agent needs CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON"},
		{ReasonProgramFailed, StateBlocked, "the kernel refused it for the cause in the detail"},
		{ReasonConflict, StateBlocked, "another pseudowire has the session id or the circuit"},
		{ReasonLoop, StateBlocked, "the way to the far end leads into a circuit; correct the route to it"},
		{Reason(evpn.ReasonBadNextHop), StateBlocked, "the route's next hop is absent, no unicast address or our own"},
		{Reason(evpn.ReasonNoEncapsulation), StateBlocked, "the route has no usable Tunnel Encapsulation attribute (RFC 9012)"},
		{Reason(evpn.ReasonBadCookie), StateBlocked, "the route's cookie has not 0, 4 or 8 bytes"},
		{Reason(evpn.ReasonBadSessionID), StateBlocked, "the route's session id is 0"},
		{Reason(evpn.ReasonBadLabel), StateBlocked, "the route's label means MPLS inside the tunnel"},
		{Reason(evpn.ReasonBadEndpoint), StateBlocked, "the tunnel's egress endpoint cannot be reached from our source address"},
		{Reason(evpn.ReasonMalformed), StateBlocked, "the route is malformed"},
		{Reason(evpn.ReasonMultihomed), StateBlocked, "the route is of an Ethernet segment with several PEs"},
		{Reason(evpn.ReasonMTUMismatch), StateBlocked, "the two ends announce different MTUs; align them or set mtu_check: ignore"},
		{Reason(evpn.ReasonControlWord), StateBlocked, "only one end uses the default sublayer; align sublayer"},
	}
}

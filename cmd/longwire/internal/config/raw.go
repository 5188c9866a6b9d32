package config

// The raw types hold the file as it is written. Fields must be exported for the
// decoder; a field without a key is not in the file.

type rawFile struct {
	place
	Router      *rawRouter      `key:"router"`
	Underlay    scalars         `key:"underlay"`
	BGP         *rawBGP         `key:"bgp"`
	Dataplane   *rawDataplane   `key:"dataplane"`
	State       *rawState       `key:"state"`
	Metrics     *rawMetrics     `key:"metrics"`
	Pseudowires []rawPseudowire `key:"pseudowires"`
}

type rawRouter struct {
	place
	ID     scalar  `key:"id"`
	ASN    scalar  `key:"asn"`
	Source scalars `key:"source"`
}

type rawBGP struct {
	place
	Gobgpd        scalar        `key:"gobgpd"`
	Listen        scalar        `key:"listen"`
	ListenAddress scalars       `key:"listen_address"`
	Neighbors     []rawNeighbor `key:"neighbors"`
	RestartTime   scalar        `key:"restart_time"`
	SelectionTime scalar        `key:"selection_time"`
	StaleTime     scalar        `key:"stale_time"`
}

type rawNeighbor struct {
	place
	Address      scalar `key:"address"`
	ASN          scalar `key:"asn"`
	Port         scalar `key:"port"`
	LocalAddress scalar `key:"local_address"`
	Passive      scalar `key:"passive"`
	Multihop     scalar `key:"multihop"`
	PasswordFile scalar `key:"password_file"`
	TTLSecurity  scalar `key:"ttl_security"`
	HoldTime     scalar `key:"hold_time"`
}

type rawDataplane struct {
	place
	Capacity         scalar  `key:"capacity"`
	Attach           scalar  `key:"attach"`
	XDP              scalars `key:"xdp"`
	UnknownSession   scalar  `key:"unknown_session"`
	ReservedSessions scalars `key:"reserved_sessions"`
	SlowPathRate     scalar  `key:"slow_path_rate"`
}

type rawState struct {
	place
	Socket  scalar `key:"socket"`
	Pins    scalar `key:"pins"`
	Runtime scalar `key:"runtime"`
}

type rawMetrics struct {
	place
	Listen scalar `key:"listen"`
}

type rawPseudowire struct {
	place
	Name          scalar          `key:"name"`
	Interface     scalar          `key:"interface"`
	VLAN          scalars         `key:"vlan"`
	VLANs         *rawVLANs       `key:"vlans"`
	Tags          scalar          `key:"tags"`
	PushVLAN      scalar          `key:"push_vlan"`
	TagType       scalar          `key:"tag_type"`
	L2Protocols   *rawL2Protocols `key:"l2_protocols"`
	Source        scalar          `key:"source"`
	Encapsulation scalar          `key:"encapsulation"`
	Port          scalar          `key:"port"`
	SourcePort    scalar          `key:"source_port"`
	UDPChecksum   scalar          `key:"udp_checksum"`
	Sublayer      scalar          `key:"sublayer"`
	Sequencing    scalar          `key:"sequencing"`
	Cookie        scalar          `key:"cookie"`
	MTU           scalar          `key:"mtu"`
	MTUCheck      scalar          `key:"mtu_check"`
	TooBig        scalar          `key:"too_big"`
	MSSClamp      scalar          `key:"mss_clamp"`
	DontFragment  scalar          `key:"dont_fragment"`
	TTL           scalar          `key:"ttl"`
	DSCP          scalar          `key:"dscp"`
	ECN           scalar          `key:"ecn"`
	EVPN          *rawEVPN        `key:"evpn"`
	Static        *rawStatic      `key:"static"`
}

type rawVLANs struct {
	place
	Outer scalar `key:"outer"`
	Inner scalar `key:"inner"`
}

type rawL2Protocols struct {
	place
	STP   scalar `key:"stp"`
	LACP  scalar `key:"lacp"`
	LLDP  scalar `key:"lldp"`
	PVST  scalar `key:"pvst"`
	Dot1X scalar `key:"dot1x"`
	CFM   scalar `key:"cfm"`
}

type rawEVPN struct {
	place
	RouteTarget   scalars `key:"route_target"`
	RD            scalar  `key:"rd"`
	LocalService  scalar  `key:"local_service"`
	RemoteService scalar  `key:"remote_service"`
}

type rawStatic struct {
	place
	When           scalar `key:"when"`
	After          scalar `key:"after"`
	Remote         scalar `key:"remote"`
	LocalSession   scalar `key:"local_session"`
	RemoteSession  scalar `key:"remote_session"`
	LocalCookie    scalar `key:"local_cookie"`
	PreviousCookie scalar `key:"previous_local_cookie"`
	RemoteCookie   scalar `key:"remote_cookie"`
	RemotePort     scalar `key:"remote_port"`
}

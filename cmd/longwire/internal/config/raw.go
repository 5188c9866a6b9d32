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
	Capacity scalar `key:"capacity"`
	Attach   scalar `key:"attach"`
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
	Name          scalar     `key:"name"`
	Interface     scalar     `key:"interface"`
	Source        scalar     `key:"source"`
	Encapsulation scalar     `key:"encapsulation"`
	Port          scalar     `key:"port"`
	Sublayer      scalar     `key:"sublayer"`
	Cookie        scalar     `key:"cookie"`
	MTU           scalar     `key:"mtu"`
	MTUCheck      scalar     `key:"mtu_check"`
	TTL           scalar     `key:"ttl"`
	EVPN          *rawEVPN   `key:"evpn"`
	Static        *rawStatic `key:"static"`
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
	When          scalar `key:"when"`
	After         scalar `key:"after"`
	Remote        scalar `key:"remote"`
	LocalSession  scalar `key:"local_session"`
	RemoteSession scalar `key:"remote_session"`
	LocalCookie   scalar `key:"local_cookie"`
	RemoteCookie  scalar `key:"remote_cookie"`
	RemotePort    scalar `key:"remote_port"`
}

// Package api is the agent's control interface: HTTP with JSON over a unix
// socket. Paths carry the version: /v1/pseudowires.
package api

import (
	"context"
	"time"
)

// Pseudowire is the state of one pseudowire.
type Pseudowire struct {
	Name          string `json:"name"`
	Interface     string `json:"interface"`
	VLANs         string `json:"vlans,omitempty"`          // of the interface, "200 inner 100"; absent = all
	State         string `json:"state"`                    // up, down, blocked or stale
	Reason        string `json:"reason,omitempty"`         // why it is not up
	Detail        string `json:"detail,omitempty"`         // for people
	Source        string `json:"source,omitempty"`         // signalled or static
	Remote        string `json:"remote,omitempty"`         // the far end's address
	Encapsulation string `json:"encapsulation,omitempty"`  // of what we send: ip or udp
	LocalSession  uint32 `json:"local_session,omitempty"`  // the far end sends this id
	RemoteSession uint32 `json:"remote_session,omitempty"` // we send this id
	MTU           int    `json:"mtu,omitempty"`            // bytes of Ethernet payload
	// UnderlayMTU is that of IP on the way to the far end, MaxPayload the largest
	// Ethernet payload that crosses it in one packet. NeedMTU is the least
	// underlay MTU that carries the circuit's largest payload, NeedMTU1500 that
	// for 1500 bytes. All are in bytes, and absent when they are not known.
	UnderlayMTU int    `json:"underlay_mtu,omitempty"`
	MaxPayload  int    `json:"max_payload,omitempty"`
	NeedMTU     int    `json:"need_mtu,omitempty"`
	NeedMTU1500 int    `json:"need_mtu_1500,omitempty"`
	TooBig      string `json:"too_big,omitempty"` // fragment, drop or answer
	// CookieRotated is when our cookie was changed, while the previous one is
	// still accepted.
	CookieRotated *time.Time `json:"cookie_rotated,omitempty"`
	Since         time.Time  `json:"since"`
}

// Session is one entry of the kernel's session maps.
type Session struct {
	Pseudowire    string `json:"pseudowire"` // empty for the host's share of a port
	Direction     string `json:"direction"`  // receive or transmit
	Session       uint32 `json:"session"`    // 0 in an entry that sends nothing
	Interface     string `json:"interface"`
	VLANs         string `json:"vlans,omitempty"` // of the interface, when transmitting; absent = all
	Local         string `json:"local,omitempty"`
	Remote        string `json:"remote,omitempty"`        // absent while the far end is unknown
	Encapsulation string `json:"encapsulation,omitempty"` // ip, udp, or ip+udp when both are accepted
	LocalPort     uint16 `json:"local_port,omitempty"`
	RemotePort    uint16 `json:"remote_port,omitempty"`
	Sublayer      string `json:"sublayer,omitempty"`
	CookieLength  int    `json:"cookie_length"`    // bytes
	Cookie        string `json:"cookie,omitempty"` // hexadecimal; a secret, only on request
	// Tags says what happens to VLAN tags: "pop 1", "push 0x8100/100" or
	// "set 0x88a8/200 0x8100/100".
	Tags string `json:"tags,omitempty"`
	// Options are the policies that are in force, each a word.
	Options []string `json:"options,omitempty"`
}

// Neighbor is the state of one BGP session.
type Neighbor struct {
	Address    string    `json:"address"`
	ASN        uint32    `json:"asn"`
	State      string    `json:"state"` // of the BGP state machine, such as established
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason,omitempty"` // why there is no session, or it is of no use
	Detail     string    `json:"detail,omitempty"` // for people
	Received   uint64    `json:"received"`         // routes
	Advertised uint64    `json:"advertised"`       // routes
	Flaps      uint64    `json:"flaps"`
	// Failures counts sessions and attempts at one that failed, by reason.
	Failures map[string]uint64 `json:"failures,omitempty"`
}

// Usable says whether routes can be exchanged with the neighbour.
func (n Neighbor) Usable() bool { return n.State == "established" && n.Reason == "" }

// Tunnel is one way to a far end, as its route describes it.
type Tunnel struct {
	Session      uint32 `json:"session"`
	Endpoint     string `json:"endpoint"`
	CookieLength int    `json:"cookie_length"`      // bytes
	UDPPort      uint16 `json:"udp_port,omitempty"` // absent = IP protocol 115
}

// The verdicts on a route.
const (
	RouteSelected = "selected" // a pseudowire uses it
	RouteStandby  = "standby"  // a pseudowire looks for it and uses another one
	RouteBlocked  = "blocked"  // it cannot be used
	RouteUnused   = "unused"   // no pseudowire looks for it
)

// Route is one received Ethernet A-D per-EVI route.
type Route struct {
	Service      uint32     `json:"service"`
	RouteTargets []string   `json:"route_targets"`
	RD           string     `json:"rd"`
	Peer         string     `json:"peer"`
	NextHop      string     `json:"next_hop,omitempty"`
	Originator   string     `json:"originator,omitempty"`
	Tunnels      []Tunnel   `json:"tunnels,omitempty"`
	MTU          uint16     `json:"mtu,omitempty"` // bytes of Ethernet payload
	ControlWord  bool       `json:"control_word"`
	Verdict      string     `json:"verdict"`
	Reason       string     `json:"reason,omitempty"`
	Detail       string     `json:"detail,omitempty"`
	Pseudowires  []string   `json:"pseudowires,omitempty"` // that look for it
	Since        time.Time  `json:"since"`
	StaleSince   *time.Time `json:"stale_since,omitempty"`
}

// Counters are the totals of one pseudowire; of none when the name is empty.
type Counters struct {
	Pseudowire     string            `json:"pseudowire"`
	EncapPackets   uint64            `json:"encap_packets"`
	EncapBytes     uint64            `json:"encap_bytes"` // of customer frames
	DecapPackets   uint64            `json:"decap_packets"`
	DecapBytes     uint64            `json:"decap_bytes"`     // of customer frames
	Fragmented     uint64            `json:"fragmented"`      // frames sent in fragments of the outer packet
	Answered       uint64            `json:"answered"`        // ICMP "too big" sent to the customer
	PreviousCookie uint64            `json:"previous_cookie"` // frames delivered that had the previous cookie
	SequenceGaps   uint64            `json:"sequence_gaps"`   // sequence numbers that were skipped
	SequenceResets uint64            `json:"sequence_resets"` // times that the far end began to count anew
	Drops          map[string]uint64 `json:"drops,omitempty"`
	SlowPath       *SlowPath         `json:"slow_path,omitempty"` // with the empty name only
}

// Agent is the state of the agent itself.
type Agent struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Config   string    `json:"config"`
	Started  time.Time `json:"started"`
	Holding  bool      `json:"holding"`            // learned sessions are kept until the routes are complete
	Repairs  uint64    `json:"repairs"`            // changes of other programs that were undone
	Problems []string  `json:"problems,omitempty"` // of no pseudowire in particular
	SelfTest []Check   `json:"selftest,omitempty"` // of the kernel, when the agent started
	// RefusedRoutes counts received routes that could not be used, by reason,
	// since the agent's start.
	RefusedRoutes map[string]uint64 `json:"refused_routes,omitempty"`
}

// Check is one check of the self-test.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"`           // ok, degraded or skipped: an agent that runs has failed none
	Mode   string `json:"mode,omitempty"`   // the safe mode chosen
	Detail string `json:"detail,omitempty"` // for people
}

// Backend is what the server shows. Its methods are called concurrently.
type Backend interface {
	Agent() Agent
	Pseudowires() []Pseudowire
	// Sessions reads the kernel; cookies are left out unless asked for.
	Sessions(cookies bool) ([]Session, error)
	Neighbors() []Neighbor
	Routes() []Route
	Counters() ([]Counters, error)
	// Reload applies the configuration file, wholly or not at all. An error
	// that is an *InvalidConfig says that the file is wrong.
	Reload(ctx context.Context) error
	// RotateCookies gives pseudowires, or all that are signalled, new cookies and
	// returns their names. An error that is a *Refused says that nothing was done.
	RotateCookies(ctx context.Context, pseudowires []string, all bool) ([]string, error)
}

// Refused is the error of a request that cannot be done as things are.
type Refused struct{ Message string }

// Error implements error.
func (e *Refused) Error() string { return e.Message }

// InvalidConfig is the error of a reload that refuses the file.
type InvalidConfig struct{ Message string }

// Error implements error.
func (e *InvalidConfig) Error() string { return e.Message }

// The paths of version 1.
const (
	pathAgent       = "/v1/agent"
	pathPseudowires = "/v1/pseudowires"
	pathSessions    = "/v1/sessions"
	pathNeighbors   = "/v1/neighbors"
	pathRoutes      = "/v1/routes"
	pathCounters    = "/v1/counters"
	pathReload      = "/v1/reload"
	pathRotate      = "/v1/rotate-cookie"
)

// rotation is the body of a request for new cookies, and of its answer.
type rotation struct {
	Pseudowires []string `json:"pseudowires"`
	All         bool     `json:"all,omitempty"`
}

// failure is the body of every answer that is not a success.
type failure struct {
	Error string `json:"error"`
}

// Package api is the agent's control interface: HTTP with JSON over a unix
// socket. Paths carry the version: /v1/pseudowires.
package api

import (
	"context"
	"time"
)

// Pseudowire is the state of one pseudowire.
type Pseudowire struct {
	Name          string    `json:"name"`
	Interface     string    `json:"interface"`
	State         string    `json:"state"`                    // up, down, blocked or stale
	Reason        string    `json:"reason,omitempty"`         // why it is not up
	Detail        string    `json:"detail,omitempty"`         // for people
	Source        string    `json:"source,omitempty"`         // signalled or static
	Remote        string    `json:"remote,omitempty"`         // the far end's address
	Encapsulation string    `json:"encapsulation,omitempty"`  // of what we send: ip or udp
	LocalSession  uint32    `json:"local_session,omitempty"`  // the far end sends this id
	RemoteSession uint32    `json:"remote_session,omitempty"` // we send this id
	MTU           int       `json:"mtu,omitempty"`            // bytes of Ethernet payload
	Since         time.Time `json:"since"`
}

// Session is one entry of the kernel's session maps.
type Session struct {
	Pseudowire    string `json:"pseudowire"`
	Direction     string `json:"direction"` // receive or transmit
	Session       uint32 `json:"session"`
	Interface     string `json:"interface"`
	Local         string `json:"local"`
	Remote        string `json:"remote,omitempty"` // absent while the far end is unknown
	Encapsulation string `json:"encapsulation"`    // ip, udp, or ip+udp when both are accepted
	LocalPort     uint16 `json:"local_port,omitempty"`
	RemotePort    uint16 `json:"remote_port,omitempty"`
	Sublayer      string `json:"sublayer"`
	CookieLength  int    `json:"cookie_length"`    // bytes
	Cookie        string `json:"cookie,omitempty"` // hexadecimal; a secret, only on request
}

// Neighbor is the state of one BGP session.
type Neighbor struct {
	Address    string    `json:"address"`
	ASN        uint32    `json:"asn"`
	State      string    `json:"state"` // of the BGP state machine, such as established
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason,omitempty"` // the last error or notification
	Received   uint64    `json:"received"`         // routes
	Advertised uint64    `json:"advertised"`       // routes
	Flaps      uint64    `json:"flaps"`
}

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
	Pseudowire   string            `json:"pseudowire"`
	EncapPackets uint64            `json:"encap_packets"`
	EncapBytes   uint64            `json:"encap_bytes"` // of customer frames
	DecapPackets uint64            `json:"decap_packets"`
	DecapBytes   uint64            `json:"decap_bytes"` // of customer frames
	Drops        map[string]uint64 `json:"drops,omitempty"`
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
}

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
)

// failure is the body of every answer that is not a success.
type failure struct {
	Error string `json:"error"`
}

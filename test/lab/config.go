package lab

import (
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// Config is the configuration file of one agent, as far as the tests use it.
// The file is written from here, so that a test says only what it is about.
type Config struct {
	Router      Router       `yaml:"router"`
	BGP         *BGP         `yaml:"bgp,omitempty"`
	Dataplane   *Dataplane   `yaml:"dataplane,omitempty"`
	Metrics     *Metrics     `yaml:"metrics,omitempty"`
	State       State        `yaml:"state"`
	Pseudowires []Pseudowire `yaml:"pseudowires"`
}

// Router is the section router.
type Router struct {
	ID     netip.Addr   `yaml:"id"`
	ASN    uint32       `yaml:"asn,omitempty"`
	Source []netip.Addr `yaml:"source"`
}

// BGP is the section bgp.
type BGP struct {
	RestartTime   string     `yaml:"restart_time,omitempty"`
	SelectionTime string     `yaml:"selection_time,omitempty"`
	StaleTime     string     `yaml:"stale_time,omitempty"`
	Gobgpd        string     `yaml:"gobgpd,omitempty"`
	Listen        string     `yaml:"listen,omitempty"`
	Neighbors     []Neighbor `yaml:"neighbors,omitempty"`
}

// Neighbor is one item of bgp.neighbors.
type Neighbor struct {
	Address      netip.Addr `yaml:"address"`
	ASN          uint32     `yaml:"asn"`
	LocalAddress string     `yaml:"local_address,omitempty"`
	Passive      bool       `yaml:"passive,omitempty"`
	Multihop     uint8      `yaml:"multihop,omitempty"`
	TTLSecurity  uint8      `yaml:"ttl_security,omitempty"`
	PasswordFile string     `yaml:"password_file,omitempty"`
	HoldTime     string     `yaml:"hold_time,omitempty"`
}

// Dataplane is the section dataplane.
type Dataplane struct {
	Attach   string `yaml:"attach,omitempty"`
	Capacity int    `yaml:"capacity,omitempty"`
	More     Keys   `yaml:",inline"`
}

// Metrics is the section metrics.
type Metrics struct {
	Listen string `yaml:"listen"`
}

// State is the section state.
type State struct {
	Runtime string `yaml:"runtime"`
	Pins    string `yaml:"pins"`
}

// Pseudowire is one item of pseudowires.
type Pseudowire struct {
	Name          string  `yaml:"name"`
	Interface     string  `yaml:"interface"`
	Source        string  `yaml:"source,omitempty"`
	Encapsulation string  `yaml:"encapsulation,omitempty"`
	Sublayer      string  `yaml:"sublayer,omitempty"`
	Cookie        *int    `yaml:"cookie,omitempty"`
	MTU           int     `yaml:"mtu,omitempty"`
	EVPN          *EVPN   `yaml:"evpn,omitempty"`
	Static        *Static `yaml:"static,omitempty"`
	More          Keys    `yaml:",inline"`
}

// Keys are further keys of a section, as a test needs them.
type Keys map[string]any

// EVPN is the section evpn of a pseudowire.
type EVPN struct {
	RouteTarget   string `yaml:"route_target"`
	LocalService  int    `yaml:"local_service"`
	RemoteService int    `yaml:"remote_service"`
}

// Static is the section static of a pseudowire.
type Static struct {
	When          string     `yaml:"when,omitempty"`
	After         string     `yaml:"after,omitempty"`
	Remote        netip.Addr `yaml:"remote"`
	LocalSession  uint32     `yaml:"local_session"`
	RemoteSession uint32     `yaml:"remote_session"`
	RemotePort    int        `yaml:"remote_port,omitempty"`
	LocalCookie   string     `yaml:"local_cookie,omitempty"`
	RemoteCookie  string     `yaml:"remote_cookie,omitempty"`
}

// YAML returns the file's text.
func (c Config) YAML() (string, error) {
	text, err := yaml.Marshal(c)
	return string(text), err
}

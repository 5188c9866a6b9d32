package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"longwire/dataplane"
	pinned "longwire/dataplane/maps"
)

// listing is what list prints as JSON.
type listing struct {
	Sessions []listed          `json:"sessions"`
	Drops    map[string]uint64 `json:"drops"` // of packets without a session
}

// listed is one session. Fields of a direction that is absent are empty.
type listed struct {
	Pseudowire        string            `json:"pseudowire,omitempty"` // of an agent
	Session           uint32            `json:"session"`
	PeerSession       uint32            `json:"peer_session"`
	Circuit           string            `json:"circuit"`
	CircuitIndex      int               `json:"circuit_index"`
	Underlay          string            `json:"underlay,omitempty"`
	UnderlayIndex     int               `json:"underlay_index,omitempty"`
	Encapsulation     string            `json:"encapsulation"`
	Local             string            `json:"local"`
	Peer              string            `json:"peer"`
	Sublayer          string            `json:"sublayer"`
	CookieLength      int               `json:"local_cookie_length"` // bytes
	PeerCookieLength  int               `json:"peer_cookie_length"`  // bytes
	LocalCookie       string            `json:"local_cookie,omitempty"`
	PeerCookie        string            `json:"peer_cookie,omitempty"`
	EncapsulatedCount uint64            `json:"encapsulated"` // frames sent to the peer
	DecapsulatedCount uint64            `json:"decapsulated"` // frames sent out of the circuit
	Drops             map[string]uint64 `json:"drops"`
}

func listCommand(pins *string) *cobra.Command {
	var (
		format  string
		cookies bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the sessions; changes nothing, and works beside an agent",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&cookies, "cookies", false, "show the cookies, which are secrets")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format != "table" && format != "json" {
			return usagef("-o %q: choose table or json", format)
		}
		l, err := list(*pins, cookies)
		if err != nil {
			return fmt.Errorf("list the sessions: %w", err)
		}
		if format == "json" {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(l)
		}
		return l.table(cmd.OutOrStdout())
	}
	return cmd
}

// list reads the pinned maps. Without any there are no sessions.
func list(dir string, cookies bool) (listing, error) {
	l := listing{Sessions: []listed{}, Drops: map[string]uint64{}}
	view, err := pinned.OpenReadOnly(dir)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	defer func() { _ = view.Close() }()
	state, err := view.Read()
	if err != nil {
		return l, err
	}
	counters, err := view.Counters()
	if err != nil {
		return l, err
	}
	names, err := interfaceNames()
	if err != nil {
		return l, err
	}
	netns, err := netnsInode()
	if err != nil {
		return l, err
	}
	for _, e := range entries(state) {
		if e.netns != 0 && e.netns != netns {
			// The numbers are of other interfaces than those here.
			names = nil
		}
		l.Sessions = append(l.Sessions, e.listed(names, counters[e.name], cookies))
	}
	l.Drops = dropsOf(counters[""])
	return l, nil
}

// listed says of a session what both directions say.
func (e entry) listed(names map[int]string, c dataplane.Counters, cookies bool) listed {
	s := listed{
		CircuitIndex: e.circuit, UnderlayIndex: e.underlay, Sublayer: "none",
		EncapsulatedCount: c.EncapPackets, DecapsulatedCount: c.DecapPackets, Drops: dropsOf(c),
	}
	if e.circuit == 0 {
		s.Pseudowire = e.name
	}
	sublayer := dataplane.SublayerNone
	if r := e.receive; r != nil {
		s.Session, s.CircuitIndex = uint32(r.Session), r.Circuit
		s.Local, s.Encapsulation = endpoint(r.Local.String(), r.LocalPort), "ip"
		if r.Remote.IsValid() {
			s.Peer = r.Remote.String()
		}
		if r.AcceptUDP {
			s.Encapsulation = "udp"
		}
		sublayer, s.CookieLength = r.Sublayer, r.Cookie.Len()
		if cookies {
			s.LocalCookie = r.Cookie.String()
		}
	}
	if t := e.transmit; t != nil {
		s.PeerSession, s.CircuitIndex = uint32(t.Session), t.Circuit.IfIndex
		s.Local, s.Peer = endpoint(t.Local.String(), t.LocalPort), endpoint(t.Remote.String(), t.RemotePort)
		s.Encapsulation = t.Encapsulation.String()
		sublayer, s.PeerCookieLength = t.Sublayer, t.Cookie.Len()
		if cookies {
			s.PeerCookie = t.Cookie.String()
		}
	}
	if sublayer == dataplane.SublayerDefault {
		s.Sublayer = "default"
	}
	s.Circuit, s.Underlay = names[s.CircuitIndex], names[s.UnderlayIndex]
	return s
}

func endpoint(address string, port uint16) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}

func dropsOf(c dataplane.Counters) map[string]uint64 {
	drops := map[string]uint64{}
	for reason, n := range c.Drops {
		if n > 0 {
			drops[string(reason)] = n
		}
	}
	return drops
}

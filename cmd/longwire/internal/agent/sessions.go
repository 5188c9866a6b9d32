package agent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"longwire/cmd/longwire/internal/api"
	"longwire/dataplane"
)

// Sessions implements api.Backend.
func (a *Agent) Sessions(cookies bool) ([]api.Session, error) {
	state, err := a.deps.Plane.Read()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for name, l := range a.deps.Links.Snapshot().Links {
		names[l.Index] = name
	}
	sessions := []api.Session{}
	for _, r := range state.Receive {
		sessions = append(sessions, showReceive(r, names))
	}
	for _, t := range state.Transmit {
		sessions = append(sessions, showTransmit(t, names))
	}
	if !cookies {
		for i := range sessions {
			sessions[i].Cookie = ""
		}
	}
	slices.SortFunc(sessions, func(a, b api.Session) int {
		return cmp.Or(cmp.Compare(a.Pseudowire, b.Pseudowire), cmp.Compare(a.Direction, b.Direction),
			cmp.Compare(a.Session, b.Session), cmp.Compare(a.Interface, b.Interface))
	})
	return sessions, nil
}

func showReceive(r dataplane.Receive, names map[int]string) api.Session {
	s := api.Session{
		Pseudowire: r.Pseudowire, Direction: "receive", Session: uint32(r.Session), Interface: names[r.Circuit],
		Local: address(r.Local), Remote: address(r.Remote), LocalPort: r.LocalPort, RemotePort: r.RemotePort,
		Sublayer: sublayer(r.Sublayer), CookieLength: r.Cookie.Len(), Cookie: r.Cookie.String(),
		Tags: tagActions(r.Tags.Pop, r.Tags.Set, r.Tags.Push),
		Options: options(
			option{"previous-cookie", r.AcceptPrevious}, option{"sequencing", r.Sequencing}, option{"no-checksum", r.ZeroChecksum},
			option{fmt.Sprintf("clamp=%d", r.ClampMTU), r.ClampMTU != 0},
		),
	}
	switch {
	case r.AcceptIP && r.AcceptUDP:
		s.Encapsulation = "ip+udp"
	case r.AcceptUDP:
		s.Encapsulation = "udp"
	default:
		s.Encapsulation = "ip"
	}
	return s
}

func showTransmit(t dataplane.Transmit, names map[int]string) api.Session {
	s := api.Session{
		Pseudowire: t.Pseudowire, Direction: "transmit", Session: uint32(t.Session), Interface: names[t.Circuit.IfIndex],
		Options: options(
			option{"closed", t.Session == 0 && !t.ToHost}, option{"shared", t.Shared}, option{"to-host", t.ToHost},
		),
	}
	if t.Circuit.VLANs != (dataplane.VLANs{}) {
		s.VLANs = t.Circuit.VLANs.String()
	}
	if t.Session != 0 {
		s.Local, s.Remote, s.Encapsulation = address(t.Local), address(t.Remote), t.Encapsulation.String()
		s.LocalPort, s.RemotePort, s.Sublayer = t.LocalPort, t.RemotePort, sublayer(t.Sublayer)
		s.CookieLength, s.Cookie = t.Cookie.Len(), t.Cookie.String()
		s.Tags = tagActions(t.Tags.Pop, [2]dataplane.Tag{}, [2]dataplane.Tag{t.Tags.Push})
		s.Options = append(s.Options, policies(t)...)
	}
	for name := range strings.SplitSeq(t.DropL2CP.String(), ",") {
		if name != "" {
			s.Options = append(s.Options, "drop="+name)
		}
	}
	return s
}

// policies are the options of an entry that sends.
func policies(t dataplane.Transmit) []string {
	return options(
		option{fmt.Sprintf("ttl=%d", t.TTL), true}, option{"too-big=" + t.TooBig.String(), true},
		option{fmt.Sprintf("clamp=%d", t.ClampMTU), t.ClampMTU != 0}, option{"df", t.DontFragment},
		option{"dscp=copy", t.CopyDSCP}, option{fmt.Sprintf("dscp=%d", t.DSCP), !t.CopyDSCP && t.DSCP != 0}, option{"ecn=copy", t.CopyECN},
		option{"sequencing", t.Sequencing}, option{"entropy", t.Entropy}, option{"no-checksum", t.ZeroChecksum},
	)
}

// option is a word that is shown if it is on.
type option struct {
	word string
	on   bool
}

func options(all ...option) []string {
	var words []string
	for _, o := range all {
		if o.on {
			words = append(words, o.word)
		}
	}
	return words
}

// tagActions words what happens to the tags of a frame, in this order.
func tagActions(pop uint8, set, push [2]dataplane.Tag) string {
	var words []string
	if pop > 0 {
		words = append(words, fmt.Sprintf("pop %d", pop))
	}
	list := func(verb string, tags [2]dataplane.Tag) {
		for _, tag := range tags {
			if tag.Type != 0 {
				words = append(words, fmt.Sprintf("%s %#x/%d", verb, tag.Type, tag.VID))
			}
		}
	}
	list("set", set)
	list("push", push)
	return strings.Join(words, ", ")
}

func sublayer(s dataplane.Sublayer) string {
	if s == dataplane.SublayerDefault {
		return "default"
	}
	return "none"
}

// address is empty for the address of nobody.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

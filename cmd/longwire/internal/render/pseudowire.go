package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"longwire/cmd/longwire/internal/api"
)

// Pseudowire prints all about one pseudowire, one fact in a line.
func Pseudowire(w io.Writer, p api.Pseudowire, now time.Time) error {
	rows := [][]string{
		{"name", p.Name}, {"interface", p.Interface}, {"vlans", p.VLANs},
		{"state", p.State}, {"reason", p.Reason}, {"detail", p.Detail}, {"since", age(p.Since, now)},
		{"source", p.Source}, {"remote", p.Remote}, {"encapsulation", p.Encapsulation},
		{"local-session", number(p.LocalSession)}, {"remote-session", number(p.RemoteSession)},
		{"circuit-mtu", number(p.MTU)}, {"underlay-mtu", number(p.UnderlayMTU)},
		{"max-payload", number(p.MaxPayload)}, {"too-big", p.TooBig},
		{"needed-mtu", number(p.NeedMTU)}, {"needed-mtu-1500", number(p.NeedMTU1500)},
	}
	if p.CookieRotated != nil {
		rows = append(rows, []string{"cookie", fmt.Sprintf("new for %s, the previous one is still accepted", age(*p.CookieRotated, now))})
	}
	return table(w, []string{"FACT", "VALUE"}, rows)
}

// circuit is an interface with the VLANs of it that are meant, as one word.
func circuit(name, vlans string) string {
	if vlans == "" {
		return name
	}
	return name + "/" + strings.ReplaceAll(vlans, " inner ", ".")
}

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// table prints one line for each session, and one for packets without any. An
// empty cell is a dash, so that every line has the same number of words.
func (l listing) table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SESSION\tPEER-SESSION\tCIRCUIT\tUNDERLAY\tENCAP\tLOCAL\tPEER\tSUBLAYER\tLOCAL-COOKIE\tPEER-COOKIE\tENCAPSULATED\tDECAPSULATED\tDROPPED")
	for _, s := range l.Sessions {
		cells := []string{
			number(s.Session), number(s.PeerSession), interfaceCell(s.Circuit, s.CircuitIndex), interfaceCell(s.Underlay, s.UnderlayIndex),
			s.Encapsulation, s.Local, s.Peer, s.Sublayer, cookieCell(s.LocalCookie, s.CookieLength), cookieCell(s.PeerCookie, s.PeerCookieLength),
			strconv.FormatUint(s.EncapsulatedCount, 10), strconv.FormatUint(s.DecapsulatedCount, 10), dropCell(s.Drops),
		}
		for i, cell := range cells {
			if cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(l.Drops) > 0 {
		fmt.Fprintln(w, "packets without a session:", dropCell(l.Drops))
	}
	return nil
}

func number(n uint32) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

// interfaceCell is an interface's name, or its index when it is gone.
func interfaceCell(name string, index int) string {
	if name == "" {
		return number(uint32(index))
	}
	return name
}

func cookieCell(cookie string, length int) string {
	switch {
	case length == 0:
		return "none"
	case cookie == "":
		return fmt.Sprintf("%d-bytes", length)
	}
	return cookie
}

func dropCell(drops map[string]uint64) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		parts = append(parts, fmt.Sprintf("%s=%d", reason, drops[reason]))
	}
	return strings.Join(parts, ",")
}

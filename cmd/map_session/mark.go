package main

import (
	"fmt"
	"strconv"
	"strings"
)

// mark is the pseudowire name of a session that map_session made. The maps have
// no other place for what it says, and without it a later call could not take
// away what an earlier one has made.
type mark struct {
	circuit, underlay int  // ifindexes
	promiscuous       bool // the circuit was not, before us
}

const (
	markPrefix      = "map_session/"
	markPromiscuous = "/promiscuous"
)

// String returns the name, "map_session/5/3/promiscuous".
func (m mark) String() string {
	name := fmt.Sprintf("%s%d/%d", markPrefix, m.circuit, m.underlay)
	if m.promiscuous {
		name += markPromiscuous
	}
	return name
}

// parseMark reads a pseudowire's name; ok is false when somebody else gave it.
func parseMark(name string) (m mark, ok bool) {
	text, ours := strings.CutPrefix(name, markPrefix)
	text, m.promiscuous = strings.CutSuffix(text, markPromiscuous)
	circuit, underlay, two := strings.Cut(text, "/")
	var errCircuit, errUnderlay error
	m.circuit, errCircuit = strconv.Atoi(circuit)
	m.underlay, errUnderlay = strconv.Atoi(underlay)
	return m, ours && two && errCircuit == nil && errUnderlay == nil
}

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// mark is the pseudowire name of a session that map_session made. The maps have
// no other place for what it says, and without it a later call could not take
// away what an earlier one has made.
type mark struct {
	netns             uint64 // network namespace, by inode
	circuit, underlay int    // ifindexes in it
	promiscuous       bool   // the circuit was not, before us
}

const (
	markPrefix      = "map_session/"
	markPromiscuous = "/promiscuous"
)

// String returns the name, "map_session/4026531840/5/3/promiscuous".
func (m mark) String() string {
	name := fmt.Sprintf("%s%d/%d/%d", markPrefix, m.netns, m.circuit, m.underlay)
	if m.promiscuous {
		name += markPromiscuous
	}
	return name
}

// parseMark reads a pseudowire's name; ok is false when somebody else gave it.
func parseMark(name string) (mark, bool) {
	var m mark
	text, ours := strings.CutPrefix(name, markPrefix)
	text, m.promiscuous = strings.CutSuffix(text, markPromiscuous)
	numbers := strings.Split(text, "/")
	if !ours || len(numbers) != 3 {
		return mark{}, false
	}
	var errs [3]error
	m.netns, errs[0] = strconv.ParseUint(numbers[0], 10, 64)
	m.circuit, errs[1] = strconv.Atoi(numbers[1])
	m.underlay, errs[2] = strconv.Atoi(numbers[2])
	if errors.Join(errs[:]...) != nil {
		return mark{}, false
	}
	return m, true
}

// errElsewhere is returned for the pins of another network namespace, whose
// interfaces have the same numbers as ours.
var errElsewhere = errors.New("the pins are those of another network namespace")

// here fails unless all sessions are of a network namespace.
func here(marks []mark, netns uint64) error {
	for _, m := range marks {
		if m.netns != netns {
			return fmt.Errorf("%w: give this one its own by --pins, or, if that one is gone, use del --all first", errElsewhere)
		}
	}
	return nil
}

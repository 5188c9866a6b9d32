package exabgp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Received is one route that ExaBGP has received and decoded.
type Received struct {
	NextHop   string
	Raw       string // the NLRI in hexadecimal, with type and length
	RD        string
	ESI       string // "-" for zeros
	Tag       uint32
	Labels    [][]uint32                 // each the label and its raw 24 bits
	Attribute map[string]json.RawMessage // by ExaBGP's name of them
	Withdrawn bool
}

// Tunnel returns the value of the Tunnel Encapsulation attribute (RFC 9012) in
// hexadecimal behind 0x, or nothing. ExaBGP does not know the attribute, and so
// notes it as partial.
func (r Received) Tunnel() string {
	for _, name := range []string{"attribute-0x17-0xE0", "attribute-0x17-0xC0"} {
		var value string
		if json.Unmarshal(r.Attribute[name], &value) == nil {
			return strings.ToLower(value)
		}
	}
	return ""
}

// line is what ExaBGP prints of an UPDATE.
type line struct {
	Type     string `json:"type"`
	Neighbor struct {
		Message struct {
			Update struct {
				Attribute map[string]json.RawMessage                         `json:"attribute"`
				Announce  map[string]map[string][]map[string]json.RawMessage `json:"announce"`
				Withdraw  map[string][]map[string]json.RawMessage            `json:"withdraw"`
			} `json:"update"`
		} `json:"message"`
	} `json:"neighbor"`
}

// evpn is ExaBGP's name of the address family.
const evpn = "l2vpn evpn"

// Received returns the EVPN routes that it has received so far, in their order.
// A last line that is not complete is left out.
func (s *Speaker) Received() ([]Received, error) {
	text, err := os.ReadFile(s.output)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func parse(text []byte) ([]Received, error) {
	var routes []Received
	for {
		one, rest, complete := bytes.Cut(text, []byte("\n"))
		if !complete {
			return routes, nil
		}
		text = rest
		var l line
		if err := json.Unmarshal(one, &l); err != nil {
			return nil, fmt.Errorf("read what ExaBGP prints: %w: %s", err, one)
		}
		if l.Type != "update" {
			continue
		}
		more, err := l.routes()
		if err != nil {
			return nil, fmt.Errorf("read what ExaBGP prints: %w: %s", err, one)
		}
		routes = append(routes, more...)
	}
}

func (l line) routes() ([]Received, error) {
	var routes []Received
	update := l.Neighbor.Message.Update
	add := func(nextHop string, withdrawn bool, list []map[string]json.RawMessage) error {
		for _, fields := range list {
			r := Received{NextHop: nextHop, Attribute: update.Attribute, Withdrawn: withdrawn}
			if err := r.read(fields); err != nil {
				return err
			}
			routes = append(routes, r)
		}
		return nil
	}
	for nextHop, list := range update.Announce[evpn] {
		if err := add(nextHop, false, list); err != nil {
			return nil, err
		}
	}
	return routes, add("", true, update.Withdraw[evpn])
}

// read takes the fields of an NLRI that ExaBGP knows.
func (r *Received) read(fields map[string]json.RawMessage) error {
	for name, into := range map[string]any{"raw": &r.Raw, "rd": &r.RD, "esi": &r.ESI, "ethernet-tag": &r.Tag, "label": &r.Labels} {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return fmt.Errorf("field %s: %w", name, err)
			}
		}
	}
	r.Raw = strings.ToLower(r.Raw)
	return nil
}

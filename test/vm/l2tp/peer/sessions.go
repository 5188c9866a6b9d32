package main

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers of linux/l2tp.h: a command, attributes of a session, and attributes
// nested in its statistics.
const (
	cmdSessionGet = 8

	attrSessionID = 11
	attrStats     = 30

	statRxPackets        = 4
	statRxSeqDiscards    = 6
	statRxErrors         = 8
	statRxCookieDiscards = 10
	statRxInvalid        = 11
)

// Session is what the kernel counts of a session, in packets.
type Session struct {
	ID             uint32 `json:"id"` // that packets towards the kernel carry
	Received       uint64 `json:"received"`
	SeqDiscards    uint64 `json:"seq_discards"`
	CookieDiscards uint64 `json:"cookie_discards"`
	Invalid        uint64 `json:"invalid"`
	Errors         uint64 `json:"errors"`
}

// sessions asks the kernel's L2TP for all of its sessions; ip(8) does not show
// their counters.
func sessions() ([]Session, error) {
	family, err := netlink.GenlFamilyGet("l2tp")
	if err != nil {
		return nil, fmt.Errorf("the kernel's L2TP: %w", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
	request.AddData(&nl.Genlmsg{Command: cmdSessionGet, Version: 1})
	messages, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	list := []Session{}
	for _, message := range messages {
		s, err := parseSession(message[nl.SizeofGenlmsg:])
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func parseSession(b []byte) (Session, error) {
	var s Session
	attributes, err := nl.ParseRouteAttr(b)
	if err != nil {
		return s, err
	}
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case attrSessionID:
			s.ID = binary.NativeEndian.Uint32(a.Value)
		case attrStats:
			if err := s.parseStats(a.Value); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

func (s *Session) parseStats(b []byte) error {
	attributes, err := nl.ParseRouteAttr(b)
	if err != nil {
		return err
	}
	fields := map[uint16]*uint64{
		statRxPackets: &s.Received, statRxSeqDiscards: &s.SeqDiscards, statRxErrors: &s.Errors,
		statRxCookieDiscards: &s.CookieDiscards, statRxInvalid: &s.Invalid,
	}
	for _, a := range attributes {
		if field := fields[a.Attr.Type]; field != nil && len(a.Value) >= 8 {
			*field = binary.NativeEndian.Uint64(a.Value)
		}
	}
	return nil
}

package speaker

// Reason names why a session with a neighbour is not there or of no use. The
// words are those of the CLI, the API, the metrics, the log and the manual.
type Reason string

// The reasons of neighbours.
const (
	ReasonNone             Reason = ""
	ReasonEngineDown       Reason = "engine_down"
	ReasonSetupFailed      Reason = "setup_failed"
	ReasonBadLocalAddress  Reason = "bad_local_address"
	ReasonUnreachable      Reason = "unreachable"
	ReasonRefused          Reason = "connection_refused"
	ReasonAuthentication   Reason = "authentication"
	ReasonClosed           Reason = "closed_at_once"
	ReasonWrongASN         Reason = "wrong_asn"
	ReasonWrongRouterID    Reason = "wrong_router_id"
	ReasonNoCommonFamily   Reason = "no_common_family"
	ReasonOpenRejected     Reason = "open_rejected"
	ReasonHoldTimerExpired Reason = "hold_timer_expired"
	ReasonUpdateRejected   Reason = "update_rejected"
	ReasonMaxPrefix        Reason = "max_prefix"
	ReasonCease            Reason = "cease"
	ReasonProtocolError    Reason = "protocol_error"
	ReasonSessionLost      Reason = "session_lost"
)

// Meaning is the entry of a reason in the log and in the manual.
type Meaning struct {
	Reason Reason
	Advice string // what to do
}

// Meanings returns every reason with what to do about it.
func Meanings() []Meaning {
	return []Meaning{
		{ReasonEngineDown, "it starts again by itself; the log says why it ended"},
		{ReasonSetupFailed, "correct what the detail says in the neighbor's configuration"},
		{ReasonBadLocalAddress, "local_address is no address of this host: correct it, or add the address"},
		{ReasonUnreachable, "see that the neighbor runs, has a route back and no firewall before port 179, and that multihop and TTL security fit; it looks the same when it drops our segments for their TCP-MD5 password"},
		{ReasonRefused, "nothing listens there on port 179, or a firewall says so: start BGP on the neighbor, or correct address and port"},
		{ReasonAuthentication, "make the TCP-MD5 password the same at both ends, or take it away at both"},
		{ReasonClosed, "the neighbor took the connection and closed it without a reason: configure our address and AS number there, and see local_address here"},
		{ReasonWrongASN, "make router.asn and the neighbor's asn agree at both ends"},
		{ReasonWrongRouterID, "give each router a router.id of its own"},
		{ReasonNoCommonFamily, "enable the address family l2vpn evpn for this session on the neighbor"},
		{ReasonOpenRejected, "see the log of the end that refused: usually the AS numbers or the families of the two ends do not agree"},
		{ReasonHoldTimerExpired, "nothing came for the hold time: look at the neighbor's load and at losses on the way"},
		{ReasonUpdateRejected, "one end cannot read an UPDATE of the other; the log of the end that sent the notification says what"},
		{ReasonMaxPrefix, "more routes than the neighbor's limit of prefixes: raise it there, or find out who announces them"},
		{ReasonCease, "closed on purpose; the neighbor's log says by whom"},
		{ReasonProtocolError, "the two ends do not agree on the protocol: report it with a capture of port 179"},
		{ReasonSessionLost, "the TCP connection broke: the neighbor restarts, or the way to it does"},
	}
}

// advice returns what to do about a reason.
func (r Reason) advice() string {
	for _, m := range Meanings() {
		if m.Reason == r {
			return m.Advice
		}
	}
	return ""
}

// Codes of a NOTIFICATION (RFC 4271 section 4.5) and subcodes of its OPEN error
// (RFC 4271 section 6.2, RFC 5492 section 5) and cease (RFC 4486).
const (
	codeHeader    = 1
	codeOpen      = 2
	codeUpdate    = 3
	codeHoldTimer = 4
	codeState     = 5
	codeCease     = 6

	openBadPeerAS       = 2
	openBadIdentifier   = 3
	openAuthentication  = 5 // deprecated, and still sent by some
	openUnsupportedCapa = 7

	ceaseMaxPrefix = 1
)

// reasonOfNotification classifies a NOTIFICATION that either end sent.
func reasonOfNotification(code, subcode uint8) Reason {
	switch code {
	case codeOpen:
		return reasonOfOpen(subcode)
	case codeUpdate:
		return ReasonUpdateRejected
	case codeHoldTimer:
		return ReasonHoldTimerExpired
	case codeCease:
		if subcode == ceaseMaxPrefix {
			return ReasonMaxPrefix
		}
		return ReasonCease
	case codeHeader, codeState:
		return ReasonProtocolError
	}
	return ReasonProtocolError // of a later RFC
}

// reasonOfOpen classifies the refusal of an OPEN.
func reasonOfOpen(subcode uint8) Reason {
	switch subcode {
	case openBadPeerAS:
		return ReasonWrongASN
	case openBadIdentifier:
		return ReasonWrongRouterID
	case openAuthentication:
		return ReasonAuthentication
	case openUnsupportedCapa:
		return ReasonNoCommonFamily
	}
	return ReasonOpenRejected
}

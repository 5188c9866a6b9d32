package evpn

import "fmt"

// Reason names why a route cannot be used. The words are those of the CLI, the
// API, the metrics and the manual.
type Reason string

// The reasons that a route alone can give.
const (
	ReasonBadNextHop      Reason = "bad_next_hop"
	ReasonNoEncapsulation Reason = "no_encapsulation"
	ReasonBadCookie       Reason = "bad_cookie"
	ReasonBadSessionID    Reason = "bad_session_id"
	ReasonBadLabel        Reason = "bad_label"
	ReasonBadEndpoint     Reason = "bad_endpoint"
	ReasonMalformed       Reason = "malformed_route"
	ReasonMultihomed      Reason = "multihoming_unsupported"
	ReasonMTUMismatch     Reason = "mtu_mismatch"
	ReasonControlWord     Reason = "control_word_mismatch"
)

// Problem is a reason with the values that caused it.
type Problem struct {
	Reason Reason
	Detail string
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return string(p.Reason)
	}
	return fmt.Sprintf("%s: %s", p.Reason, p.Detail)
}

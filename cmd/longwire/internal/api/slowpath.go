package api

// SlowPath is what the slow path has counted, in outer packets since the agent's
// start. Received is the sum of those behind it but RateLimited.
type SlowPath struct {
	Received    uint64 `json:"received"`     // taken from the host's stack
	Delivered   uint64 `json:"delivered"`    // given to decapsulation
	Foreign     uint64 `json:"foreign"`      // came in by an interface that is no underlay
	Malformed   uint64 `json:"malformed"`    // no packets
	Failed      uint64 `json:"failed"`       // could not be given to decapsulation
	RateLimited uint64 `json:"rate_limited"` // dropped because too many came
}

// Dropped are the packets that were not delivered, by reason.
func (s SlowPath) Dropped() map[string]uint64 {
	return map[string]uint64{"foreign": s.Foreign, "malformed": s.Malformed, "failed": s.Failed, "rate_limited": s.RateLimited}
}

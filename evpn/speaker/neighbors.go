package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc/status"
)

const (
	// deferral is how long a restarted engine waits for the routes of its
	// peers before it sends its own (RFC 4724 section 4.1). Ours are there from
	// the start and depend on no peer's.
	deferral = 3 * time.Second
	// connectRetry is between attempts to connect; GoBGP waits for one to two
	// times as long.
	connectRetry = 5 * time.Second
	// maxRevivals bounds how often a neighbour is revived between two sessions;
	// a session that cannot come up is then left to GoBGP's slower pace.
	maxRevivals = 10
	// statusTimeout bounds what a busy engine can cost `show neighbors`.
	statusTimeout = time.Second
)

// peerConfig is what a neighbour was set up with.
type peerConfig struct {
	Neighbor
	restartTime time.Duration
	foreign     bool // of an operator's gobgpd, not ours to touch
}

// syncPeers sets up, changes and removes neighbours. It reports whether all is
// as desired.
func (s *Speaker) syncPeers(ctx context.Context, e *engine) bool {
	_, c := s.desired()
	wanted := map[netip.Addr]peerConfig{}
	for _, n := range c.Neighbors {
		wanted[n.Address] = peerConfig{Neighbor: n, restartTime: c.restartTime()}
	}
	done := true
	for address, held := range e.peers {
		if want, ok := wanted[address]; held.foreign || ok && want == held {
			continue
		} else if err := s.removePeer(ctx, e, address, ok); err != nil {
			s.note(ctx, address, err)
			done = false
		}
	}
	for address, want := range wanted {
		if _, ok := e.peers[address]; ok {
			continue
		}
		if _, err := e.api.AddPeer(ctx, &api.AddPeerRequest{Peer: want.peer()}); err != nil {
			s.note(ctx, address, fmt.Errorf("set up: %s", status.Convert(err).Message()))
			done = false
			continue
		}
		e.peers[address] = want
	}
	return done
}

// revive sets an idle neighbour up anew, and so lets it try at once. Left alone,
// GoBGP rests for five seconds and meanwhile closes the connections that the
// peer makes; two GoBGPs that do so to each other in turn can take minutes to
// meet. What GoBGP held of the peer as stale goes with it; our own table keeps
// that.
func (s *Speaker) revive(ctx context.Context, e *engine, neighbor netip.Addr) {
	held, ok := e.peers[neighbor]
	if !ok || held.foreign || !s.mayRevive(neighbor) {
		return
	}
	if p, err := e.findPeer(ctx, neighbor); err != nil || p.GetState().GetSessionState() != api.PeerState_IDLE ||
		p.GetState().GetAdminState() != api.PeerState_UP {
		return // it has moved on, or is kept down on purpose
	}
	if _, err := e.api.DeletePeer(ctx, &api.DeletePeerRequest{Address: neighbor.String()}); err != nil {
		s.note(ctx, neighbor, fmt.Errorf("revive: %w", err))
		return
	}
	delete(e.peers, neighbor)
	s.syncPeers(ctx, e)
}

// mayRevive counts the revivals of a neighbour.
func (s *Speaker) mayRevive(neighbor netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.historyOf(neighbor)
	h.revivals++
	return h.revivals <= maxRevivals
}

// removePeer ends a session. Of a neighbour that only changes, the routes become
// stale; those of one that is gone from the configuration are withdrawn.
func (s *Speaker) removePeer(ctx context.Context, e *engine, address netip.Addr, changes bool) error {
	if _, err := e.api.DeletePeer(ctx, &api.DeletePeerRequest{Address: address.String()}); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	delete(e.peers, address)
	change := func(in *adjIn) []Event { return in.remove(address) }
	if changes {
		change = func(in *adjIn) []Event { return s.drop(in, address) }
	} else {
		s.mu.Lock()
		delete(s.history, address)
		s.mu.Unlock()
	}
	select {
	case e.changes <- change:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// peer words a neighbour for GoBGP. It always sets the Restart State bit, and
// with it GoBGP says that forwarding goes on, which is true: a peer that still
// holds routes of ours keeps them until we have sent ours again.
func (p peerConfig) peer() *api.Peer {
	peer := &api.Peer{
		Conf:   &api.PeerConf{NeighborAddress: p.Address.String(), PeerAsn: p.ASN, AuthPassword: p.Password},
		Timers: &api.Timers{Config: &api.TimersConfig{ConnectRetry: uint64(connectRetry.Seconds()), HoldTime: uint64(p.HoldTime.Seconds())}},
		Transport: &api.Transport{
			RemotePort:  uint32(p.Port),
			PassiveMode: p.Passive,
		},
		GracefulRestart: &api.GracefulRestart{
			Enabled:             true,
			RestartTime:         uint32(p.restartTime.Seconds()),
			DeferralTime:        uint32(deferral.Seconds()),
			NotificationEnabled: true, // RFC 8538
			LocalRestarting:     true,
		},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: evpnFamily, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}},
		}},
	}
	if p.LocalAddress.IsValid() {
		peer.Transport.LocalAddress = p.LocalAddress.String()
	}
	if p.Multihop != 0 {
		peer.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(p.Multihop)}
	}
	if p.TTLSecurity != 0 {
		// A packet leaves with 255 and loses one at each hop but the first.
		peer.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 256 - uint32(p.TTLSecurity)}
	}
	return peer
}

// Neighbors returns the state of the configured neighbours in the order of the
// configuration, or that of an operator's gobgpd in the order of their
// addresses. It asks the engine and waits for at most a second.
func (s *Speaker) Neighbors() []NeighborStatus {
	s.mu.Lock()
	e, c := s.engine, s.config
	neighbors := c.Neighbors
	if c.Gobgpd != "" {
		neighbors = s.adopted
	}
	s.mu.Unlock()
	live := map[netip.Addr]*api.Peer{}
	if e != nil {
		ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
		defer cancel()
		peers, err := e.listPeers(ctx, "")
		switch {
		case err != nil:
			e = nil
		case c.Gobgpd != "":
			neighbors = foreignNeighbors(peers)
		}
		for _, p := range peers {
			if address, err := netip.ParseAddr(p.GetConf().GetNeighborAddress()); err == nil {
				live[address] = p
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]NeighborStatus, 0, len(neighbors))
	for _, n := range neighbors {
		list = append(list, s.status(n, live[n.Address], e != nil))
	}
	return list
}

// status combines GoBGP's view of a neighbour, which may be absent, with our
// record of it; s.mu must be held.
func (s *Speaker) status(n Neighbor, p *api.Peer, up bool) NeighborStatus {
	h := s.historyOf(n.Address)
	status := NeighborStatus{
		Address: n.Address, ASN: n.ASN, State: "down", Since: h.since, Flaps: h.flaps,
		Reason: h.failure.reason, Detail: h.failure.detail, Failures: h.counters(),
	}
	switch {
	case !up:
		status.Reason, status.Detail = ReasonEngineDown, "the BGP engine is not running"
		return status
	case p == nil:
		return status
	}
	status.State = strings.ToLower(p.GetState().GetSessionState().String())
	for _, f := range p.GetAfiSafis() {
		status.Received += f.GetState().GetReceived()
	}
	if p.GetState().GetSessionState() == api.PeerState_ESTABLISHED {
		if status.Reason != ReasonNoCommonFamily {
			status.Reason, status.Detail = ReasonNone, ""
			status.Advertised = uint64(len(s.ads))
		}
	}
	return status
}

package speaker

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"

	"longwire/evpn/wire"
)

// listing is a GoBGP that knows these peers and nothing else.
type listing struct {
	api.GobgpApiClient
	peers []*api.Peer
}

// listed is the answer of a listing.
type listed struct {
	grpc.ClientStream
	peers []*api.Peer
}

func (l listing) ListPeer(_ context.Context, r *api.ListPeerRequest, _ ...grpc.CallOption) (api.GobgpApi_ListPeerClient, error) {
	answer := &listed{}
	for _, p := range l.peers {
		if r.GetAddress() == "" || r.GetAddress() == p.GetConf().GetNeighborAddress() {
			answer.peers = append(answer.peers, p)
		}
	}
	return answer, nil
}

func (l *listed) Recv() (*api.ListPeerResponse, error) {
	if len(l.peers) == 0 {
		return nil, io.EOF
	}
	p := l.peers[0]
	l.peers = l.peers[1:]
	return &api.ListPeerResponse{Peer: p}, nil
}

// A session that BMP shows when it has ended already, and whose end BMP does not
// show because the peer was removed in that moment, is not taken for a living one.
func TestGoneSession(t *testing.T) {
	peer := func(state api.PeerState_SessionState) []*api.Peer {
		return []*api.Peer{
			{Conf: &api.PeerConf{NeighborAddress: "192.0.2.250"}, State: &api.PeerState{SessionState: api.PeerState_ESTABLISHED}},
			{Conf: &api.PeerConf{NeighborAddress: neighbor.String()}, State: &api.PeerState{SessionState: state}},
		}
	}
	for name, test := range map[string]struct {
		peers []*api.Peer
		want  []EventKind
	}{
		"it is there":           {peer(api.PeerState_ESTABLISHED), []EventKind{PeerUp}},
		"the peer is removed":   {peer(0)[:1], []EventKind{PeerUp, PeerDown}},
		"the peer is set up":    {peer(api.PeerState_ACTIVE), []EventKind{PeerUp, PeerDown}},
		"the peer is connected": {peer(api.PeerState_OPENSENT), []EventKind{PeerUp, PeerDown}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := listening()
			ctx, cancel := context.WithCancel(context.Background())
			messages, ended := make(chan wire.BMPMessage), make(chan struct{})
			go func() {
				defer close(ended)
				_ = s.route(ctx, &engine{api: listing{peers: test.peers}}, messages, nil) // ends with ctx
			}()
			messages <- wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor, EVPN: true}
			messages <- wire.BMPMessage{Kind: wire.BMPStatistics, Peer: neighbor} // the first one is done with
			cancel()
			<-ended
			var got []EventKind
			for range len(s.events) {
				got = append(got, (<-s.events).Kind)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if h := s.historyOf(neighbor); h.up == (len(test.want) == 2) || int(h.flaps) != len(test.want)-1 {
				t.Errorf("up %v, %d flaps", h.up, h.flaps)
			}
		})
	}
}

// A peer is found however an operator has written its address.
func TestFindPeer(t *testing.T) {
	e := &engine{api: listing{peers: []*api.Peer{
		{Conf: &api.PeerConf{NeighborAddress: "192.0.2.250"}},
		{Conf: &api.PeerConf{NeighborAddress: "2001:DB8:0::2"}},
	}}}
	for address, want := range map[string]string{"192.0.2.250": "192.0.2.250", "2001:db8::2": "2001:DB8:0::2", "2001:db8::3": ""} {
		p, err := e.findPeer(t.Context(), netip.MustParseAddr(address))
		if p.GetConf().GetNeighborAddress() != want || errors.Is(err, errNoSession) != (want == "") {
			t.Errorf("%s: %v, error %v", address, p, err)
		}
	}
	s, _ := listening()
	s.config.Neighbors, s.engine = []Neighbor{{Address: netip.MustParseAddr("2001:db8::2")}}, e
	if got := s.Neighbors(); len(got) != 1 || got[0].State != "unknown" {
		t.Errorf("shown as %+v", got)
	}
}

// The end of a session is counted once, however often it is told.
func TestEndToldTwice(t *testing.T) {
	s, _ := listening()
	e := &engine{endings: make(chan ending, 2)}
	s.record(e, wire.BMPMessage{Kind: wire.BMPPeerUp, Peer: neighbor, EVPN: true})
	in := newAdjIn()
	s.drop(in, neighbor)
	s.record(e, wire.BMPMessage{Kind: wire.BMPPeerDown, Peer: neighbor, Down: wire.Down{Cause: 5}})
	if got := s.shown(); got.Flaps != 1 || got.Reason != ReasonNone {
		t.Errorf("shown as %+v", got)
	}
}

package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"golang.org/x/sync/errgroup"

	"longwire/evpn"
	"longwire/evpn/wire"
)

const (
	guardInterval = 3 * time.Second
	guardTimeout  = 10 * time.Second // more than GoBGP can be busy with honest routes
)

// serve runs an engine that is ready until something of it ends, and returns
// when all its goroutines have.
func (s *Speaker) serve(parent context.Context, e *engine) error {
	group, ctx := errgroup.WithContext(parent)
	messages := make(chan wire.BMPMessage, 256)
	ends := make(chan ribEnd)
	group.Go(func() error { return s.readBMP(ctx, e, messages) })
	group.Go(func() error { return s.watch(ctx, e, ends) })
	group.Go(func() error { return s.route(ctx, e, messages, ends) })
	group.Go(func() error { return s.reconcile(ctx, e) })
	group.Go(func() error { return s.judge(ctx, e) })
	group.Go(func() error {
		<-ctx.Done()
		return e.bmp.Close() // ends readBMP
	})
	if e.process != nil {
		group.Go(func() error {
			select {
			case <-e.process.done:
				return fmt.Errorf("the BGP worker ended: %w", e.process.err)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		group.Go(func() error { return e.guard(ctx) })
	}
	err := group.Wait()
	if e.process != nil && parent.Err() == nil {
		err = e.settle(err)
	}
	return err
}

// guard asks the worker for a sign of life again and again: bytes that do not
// kill GoBGP might still catch it in a loop.
func (e *engine) guard(ctx context.Context) error {
	ticker := time.NewTicker(guardInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		request, cancel := context.WithTimeout(ctx, guardTimeout)
		_, err := e.api.GetBgp(request, &api.GetBgpRequest{})
		cancel()
		if err != nil {
			return fmt.Errorf("the BGP worker does not answer: %w", err)
		}
	}
}

// settle waits a moment for the death of the worker to become known when the
// end of one of its connections came first, so that the log names the cause.
func (e *engine) settle(err error) error {
	select {
	case <-e.process.done:
		return e.blame(err)
	case <-time.After(100 * time.Millisecond):
		return err
	}
}

// route is the owner of the adjIn: it turns messages, End-of-RIBs and changes of
// neighbours into events, in one order.
func (s *Speaker) route(ctx context.Context, e *engine, messages <-chan wire.BMPMessage, ends <-chan ribEnd) error {
	in := newAdjIn()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var events []Event
		select {
		case m := <-messages:
			s.record(e, m)
			events = in.message(m, time.Now())
			switch m.Kind {
			case wire.BMPPeerUp:
				if e.isGone(ctx, m.Peer) {
					events = append(events, s.drop(in, m.Peer)...)
				}
			case wire.BMPPeerDown:
				e.reportIdle(m.Peer)
			case wire.BMPRouteMonitoring, wire.BMPStatistics, wire.BMPInitiation, wire.BMPTermination, wire.BMPRouteMirroring:
			}
		case end := <-ends:
			events = in.endOfRIB(end)
		case change := <-e.changes:
			events = change(in)
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.emit(ctx, append(events, in.expire(time.Now())...)...)
		if due := in.due(); !due.IsZero() {
			timer.Reset(time.Until(due))
		}
	}
}

// isGone reports whether a session that BMP shows has ended already. When a peer is
// removed from GoBGP, BMP may not tell the end of a session that came up in that
// moment; later ones are ended by what removes the peer.
func (e *engine) isGone(ctx context.Context, peer netip.Addr) bool {
	_, err := e.session(ctx, peer)
	return errors.Is(err, errNoSession)
}

// drop ends a session whose end BMP may not tell.
func (s *Speaker) drop(in *adjIn, peer netip.Addr) []Event {
	s.recordDown(peer, failure{})
	return in.peer(peer).down(peer)
}

// watch follows what BMP does not show: End-of-RIB markers, each of which goes on
// with what GoBGP then holds of that peer, and attempts at a session that fail.
func (s *Speaker) watch(ctx context.Context, e *engine, ends chan<- ribEnd) error {
	stream, err := e.api.WatchEvent(ctx, &api.WatchEventRequest{
		Peer: &api.WatchEventRequest_Peer{},
		Table: &api.WatchEventRequest_Table{
			Filters: []*api.WatchEventRequest_Table_Filter{{Type: api.WatchEventRequest_Table_Filter_EOR, Init: true}},
		},
	})
	if err != nil {
		return fmt.Errorf("watch GoBGP's events: %w", err)
	}
	attempts := attempts{}
	for {
		response, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("watch GoBGP's events: %w", err)
		}
		if state := response.GetPeer().GetPeer().GetState(); state != nil {
			e.followAttempt(ctx, attempts, state)
		}
		for _, p := range response.GetTable().GetPaths() {
			peer, err := netip.ParseAddr(p.GetNeighborIp())
			if err != nil || p.GetFamily().GetAfi() != evpnFamily.Afi || p.GetFamily().GetSafi() != evpnFamily.Safi {
				continue
			}
			if err := s.passEnd(ctx, e, peer, ends); err != nil {
				return err
			}
		}
	}
}

// reportIdle asks for the revival of a neighbour; when many wait already, it is
// left to GoBGP, which is slower.
func (e *engine) reportIdle(neighbor netip.Addr) {
	select {
	case e.idle <- neighbor:
	default:
	}
}

func (s *Speaker) passEnd(ctx context.Context, e *engine, peer netip.Addr, ends chan<- ribEnd) error {
	end, err := e.readEnd(ctx, peer)
	if errors.Is(err, errNoSession) {
		return nil // it went again, and so has its End-of-RIB
	}
	if err != nil {
		return err
	}
	select {
	case ends <- end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errNoSession = errors.New("the session is not established")

// readEnd lists what GoBGP holds of a peer whose End-of-RIB has come.
func (e *engine) readEnd(ctx context.Context, peer netip.Addr) (ribEnd, error) {
	session, err := e.session(ctx, peer)
	if err != nil {
		return ribEnd{}, err
	}
	end := ribEnd{peer: peer, since: session.GetTimers().GetState().GetUptime().AsTime()}
	// The table of all peers holds what BMP shows; the peer's own also has
	// what GoBGP has rejected.
	err = e.listPaths(ctx, func(p *api.Path) {
		if p.GetNeighborIp() != peer.String() {
			return
		}
		if ep, err := wire.DecodePath(peer, p.GetNlriBinary(), nil); err == nil {
			end.routes = append(end.routes, ep.Key)
		} // else another route type
	})
	if err != nil {
		return ribEnd{}, fmt.Errorf("list the routes of %v: %w", peer, err)
	}
	return end, nil
}

// session returns GoBGP's view of an established peer, or errNoSession.
func (e *engine) session(ctx context.Context, peer netip.Addr) (*api.Peer, error) {
	p, err := e.findPeer(ctx, peer)
	if err == nil && p.GetState().GetSessionState() != api.PeerState_ESTABLISHED {
		err = errNoSession
	}
	return p, err
}

// findPeer returns GoBGP's view of a peer, or errNoSession when it has none.
func (e *engine) findPeer(ctx context.Context, peer netip.Addr) (*api.Peer, error) {
	// GoBGP compares words: an operator may have written the address otherwise.
	for _, address := range []string{peer.String(), ""} {
		peers, err := e.listPeers(ctx, address)
		if err != nil {
			return nil, err
		}
		for _, p := range peers {
			if found, err := netip.ParseAddr(p.GetConf().GetNeighborAddress()); err == nil && found == peer {
				return p, nil
			}
		}
	}
	return nil, errNoSession
}

// ours reports whether a path of GoBGP's own table is one of ours: a local
// one, under the route distinguishers of our router id.
func ours(p *api.Path, ep evpn.Endpoint, routerID netip.Addr) bool {
	rd := evpn.NewRD1(routerID, 0)
	_, err := netip.ParseAddr(p.GetNeighborIp())
	return err != nil && [6]byte(ep.RD[:6]) == [6]byte(rd[:6])
}

package speaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"longwire/evpn"
	"longwire/evpn/wire"
)

// pathBatch is how many paths go into one message to GoBGP.
const pathBatch = 256

// reconcile brings GoBGP to the desired paths and neighbours whenever they
// change, and again when something was refused.
func (s *Speaker) reconcile(ctx context.Context, e *engine) error {
	for {
		retry := time.Hour
		if err := s.syncPaths(ctx, e); err != nil && ctx.Err() == nil {
			s.log.Warn("announcing routes", "error", err, "retry", retryDelay)
			retry = retryDelay
		}
		if !s.syncPeers(ctx, e) {
			retry = retryDelay
		}
		select {
		case <-s.wake:
		case neighbor := <-e.idle:
			s.revive(ctx, e, neighbor)
		case <-time.After(retry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// syncPaths adds what is wanted and not there, replaces what differs in place,
// and removes the rest: never a removal before an addition of the same route.
// What GoBGP holds is listed once, and again after a failure.
func (s *Speaker) syncPaths(ctx context.Context, e *engine) error {
	ads, c := s.desired()
	if e.paths == nil {
		if err := e.readPaths(ctx, c.RouterID); err != nil {
			return err
		}
	}
	wanted, changes := s.diffPaths(e, ads)
	if len(changes) == 0 {
		return nil
	}
	if err := e.sendPaths(ctx, changes); err != nil {
		e.paths = nil
		return fmt.Errorf("send %d routes to GoBGP: %w", len(changes), err)
	}
	e.paths = wanted
	return nil
}

// readPaths lists the paths of ours that GoBGP holds: they outlive the
// connection that added them.
func (e *engine) readPaths(ctx context.Context, routerID netip.Addr) error {
	held := map[string]heldPath{}
	err := e.listPaths(ctx, func(p *api.Path) {
		ep, err := wire.DecodePath(netip.Addr{}, p.GetNlriBinary(), p.GetPattrsBinary())
		if err == nil && ours(p, ep, routerID) {
			held[string(p.GetNlriBinary())] = heldPath{p.GetNlriBinary(), ep}
		}
	})
	if err != nil {
		return fmt.Errorf("list our routes in GoBGP: %w", err)
	}
	e.paths = held
	return nil
}

// diffPaths returns what GoBGP shall hold and the paths that get it there.
func (s *Speaker) diffPaths(e *engine, ads []evpn.Advertisement) (map[string]heldPath, []*api.Path) {
	wanted := map[string]heldPath{}
	var changes []*api.Path
	for _, ad := range ads {
		path, held, err := makePath(ad)
		if err != nil {
			s.refuse(e, err)
			continue
		}
		key := string(held.nlri)
		if _, twice := wanted[key]; twice {
			s.refuse(e, fmt.Errorf("service %d is advertised twice under RD %v", ad.Service, ad.RD))
			continue
		}
		if !reflect.DeepEqual(e.paths[key].endpoint, held.endpoint) {
			changes = append(changes, path)
		}
		wanted[key] = held
	}
	for key, held := range e.paths {
		if _, ok := wanted[key]; !ok {
			changes = append(changes, &api.Path{Family: evpnFamily, NlriBinary: held.nlri, IsWithdraw: true})
		}
	}
	return wanted, changes
}

// makePath encodes an advertisement, and decodes it again as what GoBGP should
// give back of it.
func makePath(ad evpn.Advertisement) (*api.Path, heldPath, error) {
	nlri, attributes, err := wire.EncodePath(ad)
	if err != nil {
		return nil, heldPath{}, err
	}
	ep, err := wire.DecodePath(netip.Addr{}, nlri, attributes)
	if err != nil {
		return nil, heldPath{}, err
	}
	return &api.Path{Family: evpnFamily, NlriBinary: nlri, PattrsBinary: attributes}, heldPath{nlri, ep}, nil
}

// refuse logs an unusable advertisement, once for each engine.
func (s *Speaker) refuse(e *engine, err error) {
	if text := err.Error(); !e.refused[text] {
		e.refused[text] = true
		s.log.Error("a route is not announced", "error", err)
	}
}

func (e *engine) sendPaths(ctx context.Context, paths []*api.Path) error {
	stream, err := e.api.AddPathStream(ctx)
	if err != nil {
		return err
	}
	for len(paths) > 0 {
		n := min(len(paths), pathBatch)
		if err := stream.Send(&api.AddPathStreamRequest{TableType: api.TableType_GLOBAL, Paths: paths[:n]}); err != nil && !errors.Is(err, io.EOF) {
			return err
		} // io.EOF: CloseAndRecv has the reason
		paths = paths[n:]
	}
	_, err = stream.CloseAndRecv()
	return err
}

// listPaths calls f for every EVPN path that GoBGP holds, in its wire form:
// GoBGP's own form loses the Layer 2 Attributes.
func (e *engine) listPaths(ctx context.Context, f func(*api.Path)) error {
	stream, err := e.api.ListPath(ctx, &api.ListPathRequest{
		TableType: api.TableType_GLOBAL, Family: evpnFamily, EnableOnlyBinary: true,
	})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range r.GetDestination().GetPaths() {
			f(p)
		}
	}
}

// listPeers returns GoBGP's view of the peer with an address, or of all if that is
// empty.
func (e *engine) listPeers(ctx context.Context, address string) ([]*api.Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := e.api.ListPeer(ctx, &api.ListPeerRequest{Address: address})
	if err != nil {
		return nil, fmt.Errorf("list the neighbors: %w", err)
	}
	var peers []*api.Peer
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return peers, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list the neighbors: %w", err)
		}
		peers = append(peers, r.GetPeer())
	}
}

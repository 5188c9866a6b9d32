package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	api "github.com/osrg/gobgp/v3/api"
)

// stationFile, in the runtime directory, holds the port of the BMP station that
// an operator's gobgpd has of us.
const stationFile = "bmp-station"

// Probe returns why an operator's gobgpd cannot be used now, nil if it can. It
// changes nothing.
func Probe(ctx context.Context, c Config) error {
	e := &engine{}
	defer e.stop()
	if err := reach(ctx, c.Gobgpd); err != nil {
		return err
	}
	if err := e.connect(c.Gobgpd); err != nil {
		return err
	}
	return e.configure(ctx, c)
}

// reach connects to the gRPC interface of an operator's gobgpd once, because
// what gRPC says when it cannot hides the cause behind three others.
func reach(ctx context.Context, target string) error {
	network, address := "tcp", target
	if path, found := strings.CutPrefix(target, "unix://"); found {
		network, address = "unix", path
	}
	conn, err := (&net.Dialer{Timeout: requestTimeout}).DialContext(ctx, network, address)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("reach gobgpd: %w: let the agent's user write to the socket", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("reach gobgpd: %w: it does not run, or has other --api-hosts", err)
	}
	return fmt.Errorf("reach gobgpd: %w", err)
}

// adopt takes over an operator's gobgpd: its neighbours are left as they are,
// and its routes are asked for again, because it does not report the withdrawal
// of a route that its BMP client sent in the first dump.
func (e *engine) adopt(ctx context.Context) error {
	peers, err := e.listPeers(ctx, "")
	if err != nil {
		return err
	}
	e.adopted = foreignNeighbors(peers)
	for _, n := range e.adopted {
		e.peers[n.Address] = peerConfig{foreign: true}
	}
	_, err = e.api.ResetPeer(ctx, &api.ResetPeerRequest{Address: "all", Soft: true, Direction: api.ResetPeerRequest_IN})
	if err != nil {
		return fmt.Errorf("ask gobgpd for its routes: %w", err)
	}
	return nil
}

// foreignNeighbors are the neighbours of an operator's gobgpd that speak EVPN.
func foreignNeighbors(peers []*api.Peer) []Neighbor {
	var neighbors []Neighbor
	for _, p := range peers {
		address, err := netip.ParseAddr(p.GetConf().GetNeighborAddress())
		if err == nil && slices.ContainsFunc(p.GetAfiSafis(), isEVPN) {
			neighbors = append(neighbors, Neighbor{Address: address, ASN: cmp.Or(p.GetConf().GetPeerAsn(), p.GetState().GetPeerAsn())})
		}
	}
	slices.SortFunc(neighbors, func(a, b Neighbor) int { return a.Address.Compare(b.Address) })
	return neighbors
}

func isEVPN(f *api.AfiSafi) bool {
	family := f.GetConfig().GetFamily()
	return family.GetAfi() == evpnFamily.Afi && family.GetSafi() == evpnFamily.Safi
}

// replaceStation takes away the BMP station of an agent that was killed, and
// notes ours. gobgpd would try to reach a station that is gone for ever, and
// give the routes with their cookies to whoever has its port later.
func (e *engine) replaceStation(ctx context.Context, dir string, port uint32) error {
	file := filepath.Join(dir, stationFile)
	text, err := os.ReadFile(file)
	if err == nil {
		if old, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16); err == nil {
			// A gobgpd that was restarted since knows nothing of it.
			_, _ = e.api.DeleteBmp(ctx, &api.DeleteBmpRequest{Address: stationAddress, Port: uint32(old)})
		}
	}
	if err := os.WriteFile(file, fmt.Appendln(nil, port), 0o600); err != nil {
		return fmt.Errorf("note the BMP station: %w", err)
	}
	return nil
}

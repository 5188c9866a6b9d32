package speaker

import (
	"context"
	"fmt"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
)

// attempts are the neighbours that try to establish a session, by address; the
// value says that they are connected.
type attempts map[string]bool

// followAttempt reports a neighbour that falls back to idle from an attempt, and
// the end of a connection. The idle state of a new neighbour is none, and the
// end of an established session is reported by BMP, behind the routes of that
// session.
func (e *engine) followAttempt(ctx context.Context, a attempts, state *api.PeerState) {
	name := state.GetNeighborAddress()
	switch state.GetSessionState() {
	case api.PeerState_CONNECT, api.PeerState_ACTIVE:
		a[name] = false
	case api.PeerState_OPENSENT, api.PeerState_OPENCONFIRM:
		a[name] = true
	case api.PeerState_IDLE:
		connected, tried := a[name]
		delete(a, name)
		address, err := netip.ParseAddr(name)
		if err != nil || !tried {
			return
		}
		if connected {
			e.reportEnding(address, e.autopsy(ctx, address))
		}
		e.reportIdle(address)
	case api.PeerState_ESTABLISHED, api.PeerState_UNKNOWN:
		delete(a, name)
	}
}

// autopsy says why a connection ended before there was a session, if we did not
// end it ourselves. GoBGP counts a NOTIFICATION that comes before the session is
// established, but keeps nothing of what it says; what the neighbour's OPEN
// offered it keeps until the neighbour is set up anew.
func (e *engine) autopsy(ctx context.Context, neighbor netip.Addr) failure {
	closed := failure{ReasonClosed, "the neighbor closed the connection before there was a session"}
	p, err := e.findPeer(ctx, neighbor)
	if err != nil {
		return closed
	}
	received := p.GetState().GetMessages().GetReceived().GetNotification()
	before := e.notifications[neighbor]
	e.notifications[neighbor] = received
	switch offered := p.GetState().GetRemoteCap(); {
	case received == before || received == 0:
		return closed
	case len(offered) > 0 && !offersFamily(p.GetState()):
		return failure{ReasonNoCommonFamily, "the neighbor refused our OPEN, and its own does not offer l2vpn evpn"}
	}
	return failure{ReasonOpenRejected, fmt.Sprintf(
		"the neighbor refused our OPEN, and GoBGP keeps no reason: it may expect another AS number than our %d", p.GetState().GetLocalAsn())}
}

// offersFamily says whether the OPEN of a neighbour has offered EVPN.
func offersFamily(state *api.PeerState) bool {
	for _, offered := range state.GetRemoteCap() {
		var c api.MultiProtocolCapability
		if offered.UnmarshalTo(&c) == nil && c.GetFamily().GetAfi() == evpnFamily.Afi && c.GetFamily().GetSafi() == evpnFamily.Safi {
			return true
		}
	}
	return false
}

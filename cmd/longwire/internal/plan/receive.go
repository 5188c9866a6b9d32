package plan

import (
	"cmp"
	"fmt"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// receive installs what the far end may send to: the session of our
// advertisement, and that of the static far end, which is always there because
// the far end may fall back before us.
func (r *resolution) receive(pw config.Pseudowire, link Link, far farEnd, way way) *problem {
	common := receiveOf(pw, link, way)
	var wanted []dataplane.Receive
	if pw.Static != nil {
		wanted = append(wanted, staticReceive(pw, common))
	}
	if pw.EVPN != nil {
		w, err := signalledReceive(pw, common, r.in.Identities[pw.Name])
		if err != nil {
			return &problem{reasonOf(err), err.Error()}
		}
		if w.Session == 0 {
			return &problem{ReasonProgramFailed, "there is no session id yet"}
		}
		w.Remote = far.remote
		wanted = append(wanted, w)
	}
	for _, w := range wanted {
		if other, taken := r.plan.State.Receive[w.Session]; taken {
			return &problem{ReasonConflict, fmt.Sprintf("session id %d belongs to %s", w.Session, other.Pseudowire)}
		}
	}
	for _, w := range wanted {
		r.plan.State.Receive[w.Session] = w
	}
	return nil
}

// receiveOf is what all sessions of a pseudowire have in common.
func receiveOf(pw config.Pseudowire, link Link, way way) dataplane.Receive {
	w := dataplane.Receive{
		Pseudowire: pw.Name, Circuit: link.Index, Local: pw.Source,
		Sublayer: pw.Sublayer, Sequencing: pw.Sequencing, Tags: delivery(pw), ClampMTU: way.clamp,
	}
	if pw.Encapsulation == dataplane.EncapsulationUDP {
		w.AcceptUDP, w.LocalPort, w.ZeroChecksum = true, pw.Port, pw.ZeroChecksum
	}
	return w
}

func staticReceive(pw config.Pseudowire, w dataplane.Receive) dataplane.Receive {
	w.Session, w.Remote, w.Cookie = pw.Static.LocalSession, pw.Static.Remote, pw.Static.LocalCookie
	w.AcceptIP = !w.AcceptUDP
	if previous := pw.Static.PreviousCookie; previous != nil {
		w.Previous, w.AcceptPrevious = *previous, true
	}
	return w
}

// signalledReceive also takes protocol 115 when we ask for UDP, because a far
// end that does not know our UDP sub-TLV cannot send anything else.
func signalledReceive(pw config.Pseudowire, w dataplane.Receive, id Identity) (dataplane.Receive, error) {
	w.Session, w.AcceptIP = id.Session, true
	var err, previousErr error
	w.Cookie, err = dataplane.NewCookie(cut(id.Cookie.Bytes(), pw.CookieLength))
	if !id.Rotated.IsZero() && pw.CookieLength > 0 {
		w.AcceptPrevious = true
		w.Previous, previousErr = dataplane.NewCookie(cut(id.Previous.Bytes(), pw.CookieLength))
	}
	return w, cmp.Or(id.Err, err, previousErr)
}

func cut(b []byte, n int) []byte { return b[:min(n, len(b))] }

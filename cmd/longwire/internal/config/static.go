package config

import (
	"fmt"
	"time"

	"longwire/dataplane"
)

func (r resolver) static(rawPW *rawPseudowire, pw *Pseudowire) *Static {
	raw := rawPW.Static
	if raw == nil {
		return nil
	}
	s := &Static{
		After:         r.duration(raw.After, 0, time.Hour, defaultAfter),
		Remote:        r.address(raw.Remote),
		LocalSession:  r.session(raw.LocalSession),
		RemoteSession: r.session(raw.RemoteSession),
		RemotePort:    uint16(r.number(raw.RemotePort, 1, 65535, uint64(pw.Port))),
	}
	s.When = r.when(raw, rawPW.EVPN != nil)
	if raw.LocalCookie.present() {
		s.LocalCookie = r.cookie(raw.LocalCookie)
	}
	if raw.PreviousCookie.present() {
		s.PreviousCookie = r.previousCookie(raw, s.LocalCookie)
	}
	if raw.RemoteCookie.present() {
		s.RemoteCookie = r.cookie(raw.RemoteCookie)
	}
	r.staticKeys(raw, pw.Encapsulation)
	return s
}

// previousCookie parses the cookie that local_cookie replaces.
func (r resolver) previousCookie(raw *rawStatic, local dataplane.Cookie) *dataplane.Cookie {
	previous := r.cookie(raw.PreviousCookie)
	switch {
	case r.faulty(raw.PreviousCookie.Key) || raw.LocalCookie.present() && r.faulty(raw.LocalCookie.Key):
	case local.Len() == 0:
		r.add(raw.PreviousCookie.place, "is for a change of local_cookie, and there is none", "add local_cookie or remove it")
	case previous.Len() != local.Len():
		r.add(raw.PreviousCookie.place, fmt.Sprintf("has not the length of local_cookie on line %d", raw.LocalCookie.Line),
			"write as many digits: a session has cookies of one length (RFC 3931 section 4.1)")
	}
	return &previous
}

// when defaults to fallback beside evpn; alone, static is always used.
func (r resolver) when(raw *rawStatic, signalled bool) When {
	if !signalled {
		if raw.When.present() && r.choice(raw.When, "always", "fallback") == "fallback" {
			r.add(raw.When.place, "there is nothing to fall back from", "remove it or add evpn")
		}
		if raw.After.present() {
			r.add(raw.After.place, "is for a fallback, and this pseudowire has no evpn", "remove it")
		}
		return WhenAlways
	}
	when := When(r.choice(raw.When, string(WhenFallback), string(WhenAlways)))
	if when == WhenAlways && raw.After.present() {
		r.add(raw.After.place, fmt.Sprintf("conflicts with when: always on line %d", raw.When.Line), "remove one of them")
	}
	return when
}

// staticKeys checks which keys are there.
func (r resolver) staticKeys(raw *rawStatic, encapsulation dataplane.Encapsulation) {
	if !raw.Remote.present() {
		r.missing(raw.place, "remote", "give the far end's address")
	}
	if !raw.LocalSession.present() {
		r.missing(raw.place, "local_session", "give the session id that the far end sends to us")
	}
	if !raw.RemoteSession.present() {
		r.missing(raw.place, "remote_session", "give the session id that we send to the far end")
	}
	if raw.RemotePort.present() && encapsulation != dataplane.EncapsulationUDP {
		r.add(raw.RemotePort.place, "is for encapsulation: udp", "remove it or add encapsulation: udp")
	}
}
